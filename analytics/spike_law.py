"""How long a loss spike lasts: the law of large learning rates and the regime in which it is exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .spikes import _LOG2, _interference, _interfering
from .two_tokens import checked_rate


@dataclass(frozen=True)
class SpikeDuration:
    """What the law of spike durations says for one system and learning rate.

    `misclassified` counts the steps t >= 1 at which some margin is <= 0, `above_initial` those with L(W_t) > log 2;
    the peak loss lies in [`peak_lower`, `peak_upper`]. The law applies where `regime`, the smaller of the two margins
    (half the rare one, the frequent one) right after the spike, is at least `needed`. `naive_regime` is the smaller of
    K p_2 and K p_1 (1 - corr^2), which does not suffice however large it is.
    """

    misclassified: int
    above_initial: int
    peak_lower: float
    peak_upper: float
    regime: float
    needed: float
    naive_regime: float

    @property
    def applies(self) -> bool:
        """Return whether the regime of the law holds."""
        return self.regime >= self.needed


def spike_duration(
    correlation: float, frequencies: Sequence[float], learning_rate: float, squared_distance: float = 2.0
) -> SpikeDuration:
    """Return the law of spike durations for correlation * p_1 > p_2.

    .. code-block:: text

        x = (corr p_1 - p_2) / (2 p_2),  delta = ceil(x) - x,  K = eta c/2,  h = max(20, log 4K)
        regime:  K p_2 delta >= h  and  K (p_1 (1 - corr^2) - 2 corr p_2 delta) >= h
        steps misclassified  = ceil(x)                                            (independent of the rate)
        steps with L > log 2 = ceil( (corr p_1 - p_2 - y/K) / (2 p_2) ),   y = log(2^{1/p_2} - 1)
        K (corr p_1 - p_2) p_2  <=  peak loss  <=  K (corr p_1 - p_2) p_2 + log 2

    Idea: in the regime every sigmoid is 0 or 1 up to e^-h: the first step takes the rare margin to -2 K p_2 x, each
    later one raises it by 2 K p_2 and lowers the frequent margin by 2 K corr p_2; the frequent margin is still
    K (p_1 (1 - corr^2) - 2 corr p_2 delta) when the rare one reaches 2 K p_2 delta > 0, and from there steps are too
    short (2 K e^-h <= 1/2) to undo it. The loss is p_2 log(1 + e^{-m_2}) meanwhile, above log 2 iff -m_2 > y. The
    spec's log(2)/p_2 for y miscounts when a margin falls between the two; its h = 20 is enough for K < e^20 / 4.
    Source: spec 1.2, new, with these two repairs.

    >>> law = spike_duration(0.95, (0.99, 0.01), 1e4)
    >>> law.misclassified, law.above_initial, law.applies
    (47, 47, True)
    """
    pair = _interfering(correlation, frequencies, squared_distance)
    scale = 0.5 * checked_rate(learning_rate) * pair.squared_distance
    alpha, frequent, rare = pair.correlation, pair.frequent, pair.rare
    excess = _interference(pair)
    steps = excess / (2.0 * rare)
    delta = math.ceil(steps) - steps
    across = frequent * (1.0 - alpha) * (1.0 + alpha)
    level = _LOG2 / rare + math.log1p(-math.exp(-_LOG2 / rare))
    height = scale * excess * rare
    return SpikeDuration(
        misclassified=math.ceil(steps),
        above_initial=max(0, math.ceil((excess - level / scale) / (2.0 * rare))),
        peak_lower=height,
        peak_upper=height + _LOG2,
        regime=scale * min(rare * delta, across - 2.0 * alpha * rare * delta),
        needed=max(20.0, math.log(4.0 * scale)),
        naive_regime=scale * min(rare, across),
    )
