"""High-precision twins: the dynamics and their observables evaluated again with mpmath.

These share no code with the compiled simulation. A case found in double precision is evaluated here with 50 and with
70 digits; the difference of the two is the estimate of the error that a certificate needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import mpmath
from mpmath import mpf

from .case import Case, Exact

DIGITS = (50, 70)
Matrix = list[list[Any]]


def evaluate_twice(function: Callable[[], tuple[Any, Any]], method: str) -> Exact:
    """Evaluate (quantity, bound) with 50 and with 70 digits and return both with the estimate of their error.

    `function` takes no argument, computes with mpmath in the current precision, and returns (quantity, bound). The
    error is the difference between the two evaluations plus one unit of the 50th digit of the values.

    >>> exact = evaluate_twice(lambda: (mpmath.sqrt(2), mpf(1.5)), "square root")
    >>> exact.slack("<=") > 0, exact.error < mpf(10) ** -48
    (True, True)
    """
    with mpmath.workdps(DIGITS[0]):
        low = [+mpf(value) for value in function()]
    with mpmath.workdps(DIGITS[1]):
        high = [+mpf(value) for value in function()]
        error = sum(abs(a - b) for a, b in zip(low, high, strict=True))
        error += sum(abs(value) for value in high) * mpf(10) ** (-DIGITS[0])
        return Exact(high[0], high[1], error, f"{method} with {DIGITS[0]} and {DIGITS[1]} digits")


def matrix(array: Any) -> Matrix:
    """Return a two-dimensional array of floats as nested lists of mpf, exactly."""
    return [[mpf(float(value)) for value in row] for row in array]


def gram(rows: Any) -> Matrix:
    """Return the Gram matrix of the rows of an array of floats, in the current precision."""
    exact = matrix(rows)
    return [[mpmath.fdot(a, b) for b in exact] for a in exact]


class Descent:
    """Gradient descent of an associative memory in the current mpmath precision, in the scores (Theorem 1).

    S <- S - rate G_E diag(p) (softmax(S) - Y) G_U. `rate` is a float or a function of the step. Call `run(t)` to
    advance to step t (never backwards); then read `scores`, `margin(x)`, `margins()`, `loss()`.

    The embeddings of a problem are rounded: in `AssociativeMemory.two_tokens` the second one has norm 1 only to 1e-16.
    A claim whose bound is attained with equality must not be judged on that rounding: pass the ideal Gram matrices
    (and frequencies) of the case as mpf through `input_gram`, `output_gram`, `frequencies`.

    Cost: steps * N M (N + M) multiplications of mpf, about a microsecond each.
    """

    def __init__(
        self,
        problem: Any,
        rate: Any,
        initial: Any = None,
        *,
        input_gram: Matrix | None = None,
        output_gram: Matrix | None = None,
        frequencies: Sequence[Any] | None = None,
    ) -> None:
        self.targets = [int(target) for target in problem.targets]
        self.frequencies = [mpf(float(p)) for p in problem.frequencies] if frequencies is None else list(frequencies)
        self.input_gram = gram(problem.inputs) if input_gram is None else input_gram
        self.output_gram = gram(problem.outputs) if output_gram is None else output_gram
        self.rate = rate
        self.step = 0
        inputs, outputs = matrix(problem.inputs), matrix(problem.outputs)
        if initial is None:
            self.scores = [[mpf(0)] * len(outputs) for _ in inputs]
        else:
            weights = matrix(initial)
            images = [[mpmath.fdot(row, e) for row in weights] for e in inputs]
            self.scores = [[mpmath.fdot(u, image) for u in outputs] for image in images]

    def run(self, step: int) -> Descent:
        """Advance to `step` and return self."""
        while self.step < step:
            given = self.rate(self.step) if callable(self.rate) else self.rate
            rate = given if isinstance(given, mpf) else mpf(float(given))
            residual = [self._residual(x) for x in range(len(self.targets))]
            classes = range(len(self.output_gram))
            pushed = [[mpmath.fdot(row, self.output_gram[j]) for j in classes] for row in residual]
            for x, row in enumerate(self.scores):
                for j in classes:
                    row[j] -= rate * mpmath.fsum(
                        self.input_gram[x][y] * pushed[y][j] for y in range(len(self.targets))
                    )
            self.step += 1
        return self

    def _residual(self, x: int) -> list[Any]:
        """Return p(x) (softmax(S_x) - onehot), the target's entry as minus the sum of the others."""
        row, target = self.scores[x], self.targets[x]
        top = max(row)
        exponentials = [mpmath.exp(value - top) for value in row]
        total = mpmath.fsum(exponentials)
        out = [self.frequencies[x] * value / total for value in exponentials]
        out[target] = -mpmath.fsum(value for j, value in enumerate(out) if j != target)
        return out

    def margin(self, x: int) -> Any:
        """Return the margin of token x: target score minus the best other score."""
        row, target = self.scores[x], self.targets[x]
        return row[target] - max(value for j, value in enumerate(row) if j != target)

    def margins(self) -> list[Any]:
        """Return the margins of all tokens."""
        return [self.margin(x) for x in range(len(self.targets))]

    def loss(self) -> Any:
        """Return the frequency-weighted cross entropy."""
        total = mpf(0)
        for x, target in enumerate(self.targets):
            row = self.scores[x]
            others = mpmath.fsum(mpmath.exp(value - row[target]) for j, value in enumerate(row) if j != target)
            total += self.frequencies[x] * mpmath.log1p(others)
        return total


def descent(case: Case, step: int) -> Descent:
    """Return the gradient descent of a case advanced to `step`, in the current precision."""
    return Descent(case.problem, case.rule.learning_rate, case.initial).run(step)


def extrapolated_flow(
    derivative: Callable[[Any, Sequence[Any]], Sequence[Any]],
    initial: Iterable[Any],
    start: Any,
    stop: Any,
    intervals: int,
    order: int = 8,
) -> tuple[list[Any], Any]:
    """Integrate an autonomous or non-autonomous flow by extrapolated midpoint steps; return (state, error).

    Each of the `intervals` equal intervals takes one Gragg-Bulirsch-Stoer step of order 2 * `order` (step numbers
    2, 4, ..., 2 * order). The error is the largest difference from the run of order 2 * (order - 1): two orders of one
    method. Choose a time in which the solution is smooth (log time).

    >>> with mpmath.workdps(50):
    ...     state, error = extrapolated_flow(lambda s, y: [-y[0]], [1], 0, 1, intervals=8, order=10)
    ...     bool(abs(state[0] - mpmath.exp(-1)) < error), bool(error < mpf(10) ** -20)
    (True, True)
    """
    results = []
    for k in (order - 1, order):
        state = [mpf(value) for value in initial]
        width = (mpf(stop) - mpf(start)) / intervals
        for number in range(intervals):
            state = _bulirsch_stoer_step(derivative, state, mpf(start) + number * width, width, k)
        results.append(state)
    return results[1], max(abs(a - b) for a, b in zip(*results, strict=True))


def _bulirsch_stoer_step(
    derivative: Callable[[Any, Sequence[Any]], Sequence[Any]], state: list[Any], time: Any, width: Any, order: int
) -> list[Any]:
    table: list[list[Any]] = []
    for level in range(1, order + 1):
        count = 2 * level
        h = width / count
        before = list(state)
        now = [y + h * f for y, f in zip(state, derivative(time, state), strict=True)]
        for number in range(1, count):
            slope = derivative(time + number * h, now)
            before, now = now, [y + 2 * h * f for y, f in zip(before, slope, strict=True)]
        slope = derivative(time + width, now)
        row = [(a + b + h * f) / 2 for a, b, f in zip(now, before, slope, strict=True)]
        fresh = [row]
        for back in range(1, level):
            ratio = (mpf(count) / (2 * (level - back))) ** 2
            row = [a + (a - b) / (ratio - 1) for a, b in zip(row, table[back - 1], strict=True)]
            fresh.append(row)
        table = fresh
    return table[-1]
