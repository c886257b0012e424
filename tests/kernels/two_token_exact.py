"""A two-token run in 50 digits: how closely its counts were decided."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath

DIGITS = 50


def deciding_margin(cell: Sequence[float], steps: int, enough: float) -> tuple[float, int, float]:
    """Return (how closely the run's closest decision was taken, its step, how much relative errors of the loss grow).

    A decision is the sign of a margin (right or wrong), or which of two losses is the larger (in a spike or not, a new
    peak or not, above the start or not, a rise or not), or which of two spikes is the higher. Its distance is divided
    by the standard deviation that independent relative errors of size one, of the margins and of the pulls at every
    step, would give it to first order: the result is the relative error that may turn the decision. Where errors do not
    grow this is the plain margin in its own units; where the run is chaotic they do, and no arithmetic with rounding
    decides it. The run ends where the result falls below `enough`.

    `cell` holds rate, correlation, both frequencies, c, and both start margins.
    """
    with mpmath.workdps(DIGITS):
        rate, correlation, frequent, rare, distance, first, second = map(mpmath.mpf, cell)
        pulls = rate * distance * frequent, rate * distance * rare
        margins = [first, second]
        spread = mpmath.zeros(2)  # covariance of the margins' errors
        closest, at, growth = mpmath.inf, 0, mpmath.mpf(1)
        least = peak = height = before = initial = None
        tolerance = 1 + mpmath.mpf("1e-12")
        for step in range(steps + 1):
            shares = [1 / (1 + mpmath.exp(m)) for m in margins]
            found = []
            for index, margin in enumerate(margins):
                error = mpmath.sqrt(spread[index, index]) + abs(margin)
                found += [abs(margin) / error] if error > 0 and step > 0 else []
            slopes = mpmath.matrix([frequent * shares[0], rare * shares[1]])
            loss = frequent * mpmath.log1p(mpmath.exp(-margins[0])) + rare * mpmath.log1p(mpmath.exp(-margins[1]))
            moves = mpmath.sqrt((slopes.T * spread * slopes)[0]) + loss
            growth = max(growth, moves / loss)
            found += [abs(loss - value * factor) / (moves + error)
                      for other in (least, peak, before, initial) if other is not None
                      for value, error in [other] for factor in (1, tolerance)]  # fmt: skip
            if least is not None and loss > least[0]:
                rise = loss - least[0], moves + least[1]
                if height is not None:
                    found.append(abs(rise[0] - height[0]) / (rise[1] + height[1]))
                height = rise if height is None or rise[0] > height[0] else height
            if found and min(found) < closest:
                closest, at = min(found), step
            if closest < enough:
                break
            least = (loss, moves) if least is None or loss < least[0] else least
            peak = (loss, moves) if peak is None or loss > peak[0] else peak
            before = loss, moves
            initial = before if initial is None else initial
            actual = [a * q for a, q in zip(pulls, shares, strict=True)]
            falls = [s * (1 - q) for s, q in zip(actual, shares, strict=True)]
            jacobian = mpmath.matrix([[1 - falls[0], correlation * falls[1]], [correlation * falls[0], 1 - falls[1]]])
            spread = jacobian * spread * jacobian.T
            for index in range(2):
                spread[index, index] += margins[index] ** 2 + actual[0] ** 2 + actual[1] ** 2
            margins = [
                margins[0] + (actual[0] - correlation * actual[1]),
                margins[1] + (actual[1] - correlation * actual[0]),
            ]
        return float(closest), at, float(growth)
