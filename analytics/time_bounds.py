"""Steps to perfect accuracy for any separable problem and any learning rate: a perceptron argument."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .curvature import squared_diameter
from .protocol import Memory


def cumulative_error_bound(memory: Memory, margin: float, learning_rate: float, steps: int | float) -> float:
    r"""Return the proved bound on the summed error probabilities of gradient descent from W = 0.

    .. math:: \sum_{s<t} G_s \le \frac{R^2 D^2}{\gamma^2} + \frac{1}{\gamma}\sqrt{\frac{2 w t}{\eta}}, \qquad
              G_s = \sum_x p(x)\,(1 - p_{W_s}(f(x)|x)),

    R the largest input norm, D the diameter of the outputs, w = W_0((M-1)/e) (Lambert), gamma the hard margin.

    `margin` gamma > 0: the largest least margin of a unit-Frobenius W (`hard_margin`). Any rate, any separable
    embeddings. Source: errata, section 6 (NEW). Proof: <-grad, W*> >= gamma G gives ||W_t||
    from below; -<W, grad> <= w and ||grad|| <= R D G give ||W_t||^2 <= 2 eta w t + (eta R D)^2 sum G;
    solve for sum G. Cost: O(M^2 d).

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> round(cumulative_error_bound(memory, 1.0, 1.0, 100), 4)
    9.4628
    """
    norm, diameter, lambert = _scales(memory, margin, learning_rate)
    return float((norm * diameter / margin) ** 2 + np.sqrt(2.0 * lambert * steps / learning_rate) / margin)


def perfect_accuracy_bound(memory: Memory, margin: float, learning_rate: float) -> float:
    r"""Return the proved bound on the first step with perfect accuracy of gradient descent from W = 0.

    .. math:: T \le \frac{8 w}{\eta\gamma^2 p_{min}^2} + \frac{4 R^2 D^2}{\gamma^2 p_{min}}.

    Arguments as in `cumulative_error_bound`. Source: errata, section 6 (NEW). Proof: an imperfect step has
    G >= p_min/2; solve the quadratic of `cumulative_error_bound`. Loose by one to three orders on random problems.

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> memory = SimpleNamespace(
    ...     inputs=np.eye(2), outputs=np.eye(2), targets=np.array([0, 1]), frequencies=np.array([0.5, 0.5]))
    >>> round(perfect_accuracy_bound(memory, 1.0, 1.0), 4)
    24.9109
    """
    norm, diameter, lambert = _scales(memory, margin, learning_rate)
    rarest = float(np.min(memory.frequencies))
    slow = 8.0 * lambert / (learning_rate * (margin * rarest) ** 2)
    return float(slow + 4.0 * (norm * diameter / margin) ** 2 / rarest)


def _scales(memory: Memory, margin: float, learning_rate: float) -> tuple[float, float, float]:
    from scipy.special import lambertw

    if not margin > 0.0:
        raise InputError("margin must be positive (the problem must be separable)", margin)
    if not learning_rate > 0.0:
        raise InputError("learning_rate must be positive", learning_rate)
    norm = float(np.max(np.linalg.norm(memory.inputs, axis=1)))
    lambert = float(lambertw((len(memory.outputs) - 1) / np.e).real)
    return norm, float(np.sqrt(squared_diameter(memory.outputs))), lambert
