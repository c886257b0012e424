"""One token at a time: its softmax, loss, margin and residual, for use inside compiled loops.

The functions take one row of scores, allocate nothing and never raise. Sums are float64 whatever the type of the
row. The exponentials are taken relative to the largest score, so nothing overflows, and no probability is obtained
as one minus another: the loss and the residual of a well learned token keep their relative precision down to the
smallest float64. A NaN among the scores comes out as a NaN in every result.
"""

from __future__ import annotations

import math

from ..arrays import Vector
from ..compile import compiled


@compiled()
def residual_row(scores_row: Vector, target: int, frequency: float, out_row: Vector) -> tuple[float, float]:
    """Fill `out_row` with frequency (softmax - onehot); return the token's loss (unweighted) and margin.

    out_z = p P_z for z != f and out_f = -p sum_(z != f) P_z. `out_row` may be `scores_row` itself.

    Cost: M exponentials.
    """
    best_wrong = -math.inf
    for label in range(scores_row.shape[0]):
        if label != target and scores_row[label] > best_wrong:
            best_wrong = scores_row[label]
    right = scores_row[target]
    largest = right if right >= best_wrong else best_wrong

    wrong = 0.0
    for label in range(scores_row.shape[0]):
        if label != target:
            weight = math.exp(scores_row[label] - largest)
            out_row[label] = weight
            wrong += weight
    total = wrong + math.exp(right - largest)
    scale = frequency / total
    for label in range(scores_row.shape[0]):
        out_row[label] *= scale
    out_row[target] = -scale * wrong
    return _loss_and_margin(right, best_wrong, largest, wrong, total)


@compiled()
def loss_row(scores_row: Vector, target: int) -> tuple[float, float]:
    """Return the loss (unweighted) and the margin of one token.

    loss = log(1 + sum_(z != f) exp(s_z - s_f)), margin = s_f - max_(z != f) s_z.

    Cost: M exponentials.
    """
    best_wrong = -math.inf
    for label in range(scores_row.shape[0]):
        if label != target and scores_row[label] > best_wrong:
            best_wrong = scores_row[label]
    right = scores_row[target]
    largest = right if right >= best_wrong else best_wrong

    wrong = 0.0
    for label in range(scores_row.shape[0]):
        if label != target:
            wrong += math.exp(scores_row[label] - largest)
    total = wrong + math.exp(right - largest)
    return _loss_and_margin(right, best_wrong, largest, wrong, total)


@compiled()
def _loss_and_margin(
    right: float, best_wrong: float, largest: float, wrong: float, total: float
) -> tuple[float, float]:
    if total != total:
        return math.nan, math.nan
    # learned: log1p keeps a small loss; not learned: two terms >= 0, nothing to cancel
    loss = math.log1p(wrong) if right >= best_wrong else math.log(total) + (largest - right)
    return loss, right - best_wrong


@compiled()
def margin_row(scores_row: Vector, target: int) -> float:
    """Return s_f - max_(z != f) s_z; infinity where there is one class only."""
    best_wrong = -math.inf
    for label in range(scores_row.shape[0]):
        score = scores_row[label]
        if score != score:
            return math.nan
        if label != target and score > best_wrong:
            best_wrong = score
    return scores_row[target] - best_wrong  # type: ignore[no-any-return]


@compiled()
def softmax_row(scores_row: Vector, out_row: Vector) -> None:
    """Fill `out_row` with the softmax of the scores; `out_row` may be `scores_row` itself."""
    largest = scores_row[0]
    for label in range(1, scores_row.shape[0]):
        if scores_row[label] > largest:
            largest = scores_row[label]
    total = 0.0
    for label in range(scores_row.shape[0]):
        weight = math.exp(scores_row[label] - largest)
        out_row[label] = weight
        total += weight
    for label in range(scores_row.shape[0]):
        out_row[label] /= total
