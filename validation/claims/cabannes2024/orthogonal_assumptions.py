"""Assumptions of the claims on orthogonal memories, mini-batches and accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....dynamics import AssociativeMemory, GradientDescent, StochasticGradientDescent
from ...assumption import Assumption, Where
from ...assumptions import ConstantRateDescent, OrthogonalInputs, TwoClasses, ZeroStart, off_diagonal
from ...case import Case
from .orthogonal_cases import binary_case, tied_case, tokens
from .two_token_cases import Flow


@dataclass(frozen=True)
class Tied(Assumption):
    """Two classes; or orthogonal outputs of one norm whose wrong classes start with equal scores on every token."""

    statement: str = r"$M=2$, or orthogonal outputs of equal norm and equal wrong scores at the start"

    def holds(self, case: Case) -> bool:
        """Return whether the wrong classes stay tied, to 1e-9 of the scores."""
        problem = case.problem
        if problem.n_classes == 2:
            return True
        gram = problem.outputs @ problem.outputs.T
        norms = np.diag(gram)
        if off_diagonal(gram) > 1e-12 or np.ptp(norms) > 1e-12 * norms.max():
            return False
        if case.initial is None:
            return True
        scores = problem.scores(case.initial)
        wrong = scores[np.arange(problem.n_classes) != problem.targets[:, None]].reshape(problem.n_tokens, -1)
        return bool(np.ptp(wrong, axis=1).max() <= 1e-9 * max(1.0, float(np.abs(scores).max())))

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a random case; on the boundary there are two classes, outside the wrong scores differ."""
        classes = 2 if where == "boundary" else int(rng.integers(3, 7))
        case = tied_case(classes, 1.0, float(rng.uniform(-3, 3)), 100)
        if where == "outside":
            return Case({}, case.problem, case.rule, 100, None, rng.normal(size=(classes, classes)))
        return case


@dataclass(frozen=True)
class FastTokens(Assumption):
    """Every token has eta c_x at least a given number."""

    least: float = 2.0

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the condition as a formula."""
        return rf"$\eta c_x \geq {self.least:.7g}$ for every token"

    def holds(self, case: Case) -> bool:
        """Return whether min eta c_x >= least (within 1e-12)."""
        return bool(self._slowest(case) >= self.least * (1 - 1e-12))

    def explain(self, case: Case) -> str:
        """Return the condition and the least eta c_x."""
        return f"{self}; the least is {self._slowest(case):.12g}"

    def _slowest(self, case: Case) -> float:
        return float((tokens(case).speed * case.rule.learning_rate).min())

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a case with the slowest token above, at or below the number."""
        factor = {"inside": 1 + float(rng.exponential(2.0)), "boundary": 1.0, "outside": float(rng.uniform(0.1, 0.9))}
        return binary_case(self.least * factor[where], float(rng.uniform(0.1, 0.5)))


@dataclass(frozen=True)
class SlowTokens(Assumption):
    """Every token has k/a = eta c_x / a at most a given number."""

    most: float = 3.0

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the condition as a formula."""
        return rf"$k/a \leq {self.most:.7g}$ for every token ($k=\eta c_x$ for two classes)"

    def holds(self, case: Case) -> bool:
        """Return whether max k/a <= most (within 1e-12)."""
        return bool(self._fastest(case) <= self.most * (1 + 1e-12))

    def explain(self, case: Case) -> str:
        """Return the condition and the largest k/a."""
        return f"{self}; the largest is {self._fastest(case):.12g}"

    def _fastest(self, case: Case) -> float:
        constants = tokens(case)
        return float((constants.speed * case.rule.learning_rate).max() / constants.wrong)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a case with equal tokens below, at or above the number."""
        factor = {"inside": float(rng.uniform(0.1, 0.9)), "boundary": 1.0, "outside": 1 + float(rng.exponential(2.0))}
        return binary_case(self.most * factor[where], 0.5)


@dataclass(frozen=True)
class PlainDescent(Assumption):
    """The rule is gradient descent without momentum; the learning rate may be a schedule."""

    statement: str = "gradient descent without momentum (any learning rates)"

    def holds(self, case: Case) -> bool:
        """Return whether the rule is gradient descent without momentum."""
        return isinstance(case.rule, GradientDescent) and case.rule.momentum == 0

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token case; the boundary has a tiny rate, outside has momentum."""
        rate = 1e-12 if where == "boundary" else float(10 ** rng.uniform(-2, 2))
        rule = GradientDescent(rate, momentum=0.5 if where == "outside" else 0.0)
        return Case(problem=AssociativeMemory.two_tokens(correlation=0.0), rule=rule, steps=50)


@dataclass(frozen=True)
class MiniBatches(Assumption):
    """The rule is stochastic descent, on batches few enough to be enumerated."""

    most: int = 20000

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the condition with the number of batches."""
        return rf"stochastic gradient descent with at most {self.most} different batches, $N^{{|B|}}$"

    def holds(self, case: Case) -> bool:
        """Return whether the rule draws batches and there are not too many of them."""
        if not isinstance(case.rule, StochasticGradientDescent):
            return False
        return bool(case.problem.n_tokens ** min(case.rule.batch_size, 64) <= self.most)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token case; on the boundary batches of one token, outside full gradient descent."""
        problem = AssociativeMemory.two_tokens(correlation=float(rng.uniform(-0.9, 0.9)))
        if where == "outside":
            return Case(problem=problem, rule=GradientDescent(0.1), steps=1)
        size = 1 if where == "boundary" else int(rng.integers(2, 8))
        return Case(problem=problem, rule=StochasticGradientDescent(0.1, size), steps=1)


BINARY: tuple[Assumption, ...] = (TwoClasses(), OrthogonalInputs())
ZERO_DESCENT: tuple[Assumption, ...] = (*BINARY, ConstantRateDescent(), ZeroStart())
ANY_DESCENT: tuple[Assumption, ...] = (*BINARY, ConstantRateDescent())
TIED_DESCENT: tuple[Assumption, ...] = (OrthogonalInputs(), Tied(), ConstantRateDescent())
ZERO_FLOW: tuple[Assumption, ...] = (*BINARY, Flow(), ZeroStart())
ANY_FLOW: tuple[Assumption, ...] = (*BINARY, Flow())
