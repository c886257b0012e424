"""The gradient through a normalisation: against its Jacobians, 40 digits, and where vectors vanish."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from traindyn import kernels
from traindyn.errors import InputError
from traindyn.kernels import reference

KINDS = ("none", "unit", "layer", "batch")
SIZES = [(1, 2, 2), (3, 1, 2), (2, 2, 2), (5, 4, 3), (9, 3, 4), (3, 9, 5), (20, 30, 12)]
NAMES = ("weights", "inputs", "outputs", "targets", "frequencies", "gain", "epsilon")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("degenerate", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_equals_the_jacobians(kind, degenerate, dtype, instance):
    for size in SIZES:
        values = instance(*size, dtype=dtype, degenerate=degenerate)
        given = [values[name] for name in NAMES]
        wide = [a.astype(np.float64) if getattr(a, "dtype", None) == np.float32 else a for a in given]
        expected = reference.normalised_gradient(*wide, kind=kind)
        found = kernels.normalised_gradient(*given, kind=kind)
        # roundings of sums of at most 30 terms, magnified by 1/sqrt(epsilon) = 7
        tolerance = {"float64": 1e-13, "float32": 1e-4}[dtype]
        for want, got in zip(expected, found, strict=True):
            unit = max(1.0, float(np.abs(want).max()))
            np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * unit, err_msg=f"{kind} at {size}")


def exact_loss(kind, weights, values):
    """The loss at weights of mpmath numbers, entry by entry."""
    inputs, outputs, targets, shares = (values[name].tolist() for name in NAMES[1:5])
    gain, epsilon = mpmath.mpf(values["gain"]), mpmath.mpf(values["epsilon"])
    dim = len(weights)
    hidden = [[sum(weights[i][k] * e[k] for k in range(dim)) for i in range(dim)] for e in inputs]
    if kind == "layer":
        hidden = [[h - sum(row) / dim for h in row] for row in hidden]
    if kind == "batch":
        means = [sum(p * row[i] for p, row in zip(shares, hidden, strict=True)) for i in range(dim)]
        hidden = [[h - mean for h, mean in zip(row, means, strict=True)] for row in hidden]
        squares = [dim * sum(p * row[i] ** 2 for p, row in zip(shares, hidden, strict=True)) for i in range(dim)]
        normal = [[h / mpmath.sqrt(s + epsilon) for h, s in zip(row, squares, strict=True)] for row in hidden]
    elif kind == "none":
        normal = hidden
    else:
        normal = [[h / mpmath.sqrt(sum(x**2 for x in row) + epsilon) for h in row] for row in hidden]
    total = mpmath.mpf(0)
    for row, target, share in zip(normal, targets, shares, strict=True):
        scores = [gain * sum(n * u for n, u in zip(row, output, strict=True)) for output in outputs]
        total += share * (mpmath.log(sum(mpmath.exp(s) for s in scores)) - scores[target])
    return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epsilon", [0.3, 1e-6])
def test_forty_digits(kind, epsilon, instance):
    values = {**instance(4, 3, 3), "epsilon": epsilon}
    loss, gradient, slope = kernels.normalised_gradient(*(values[name] for name in NAMES), kind=kind)
    weights, direction = values["weights"].tolist(), values["direction"].tolist()

    def along(size):
        moved = [
            [mpmath.mpf(w) + size * v for w, v in zip(*rows, strict=True)]
            for rows in zip(weights, direction, strict=True)
        ]
        return exact_loss(kind, moved, values)

    with mpmath.workdps(40):
        step = mpmath.mpf(10) ** -12
        change = (along(step) - along(-step)) / (2 * step)  # to 1e-24 and the third derivative
        assert loss == pytest.approx(float(along(0)), rel=1e-14)
        assert np.sum(gradient * values["direction"]) == pytest.approx(float(change), rel=1e-12, abs=1e-14)
        up, down = ({**values, "gain": mpmath.mpf(values["gain"]) + sign * step} for sign in (1, -1))
        change = (exact_loss(kind, weights, up) - exact_loss(kind, weights, down)) / (2 * step)
        assert slope == pytest.approx(float(change), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_zero_weights_are_moved_by_epsilon_alone(kind, instance):
    """At W = 0 the normalised vectors vanish, and their derivative is 1/sqrt(epsilon)."""
    values = {**instance(4, 3, 3), "weights": np.zeros((3, 3)), "epsilon": 1e-4}
    loss, gradient, slope = kernels.normalised_gradient(*(values[name] for name in NAMES), kind=kind)
    _, plain, _ = kernels.normalised_gradient(*(values[name] for name in NAMES), kind="none")
    if kind == "layer":
        plain = plain - plain.mean(axis=0)
    if kind == "batch":
        inputs = values["inputs"] - values["frequencies"] @ values["inputs"]
        residual = np.full((4, 3), 1 / 3) - np.eye(3)[values["targets"]]
        plain = values["gain"] * values["outputs"].T @ (values["frequencies"][:, None] * residual).T @ inputs
    assert loss == pytest.approx(np.log(3.0), rel=1e-15)
    assert slope == 0.0
    np.testing.assert_allclose(gradient, 100.0 * plain, rtol=1e-12, atol=1e-13)


def test_what_is_refused(instance):
    given = [instance(2, 2, 2)[name] for name in NAMES]
    for kind in ("units", ["unit"], 1):
        with pytest.raises(InputError, match="kind of normalisation"):
            kernels.normalised_gradient(*given, kind=kind)
    with pytest.raises(InputError, match="epsilon must be positive"):
        kernels.normalised_gradient(*given[:-1], 0.0)
    with pytest.raises(InputError, match="gain must be positive"):
        kernels.normalised_gradient(*given[:-2], -1.0, 1e-6)
