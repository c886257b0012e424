"""Assumptions of the claims on orthogonal memories, mini-batches and accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .... import analytics
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
class NonzeroInputs(Assumption):
    """No input embedding is zero: a token of zero embedding has no speed, and its margin stays where it starts."""

    statement: str = "no input embedding is zero"

    def holds(self, case: Case) -> bool:
        """Return whether every input has an entry whose square is not zero."""
        return bool(np.all(np.einsum("xd,xd->x", case.problem.inputs, case.problem.inputs) > 0))

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a descent of two tokens; the second embedding is short on the boundary, zero outside."""
        rate = float(rng.uniform(0.1, 2.0))
        if where == "outside":
            problem = AssociativeMemory(np.diag([1.0, 0.0]), np.eye(2), [0, 1], [0.5, 0.5])
            return Case(problem=problem, rule=GradientDescent(rate), steps=100)
        short = where == "boundary"
        return binary_case(1e-3 * rate if short else rate, 0.5, 1e-3 if short else float(rng.uniform(0.2, 2.0)))


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


@dataclass(frozen=True)
class StartWithin(Assumption):
    """The initial margins are moderate: beyond +-700 e^m leaves the range of a float64."""

    most: float = 700.0

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the condition as a formula."""
        return rf"$|m_0(x)|\leq {self.most:g}$ for every token"

    def holds(self, case: Case) -> bool:
        """Return whether every initial margin lies within the range."""
        return bool(np.abs(tokens(case).start).max() <= self.most)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a case with that initial margin."""
        factor = {"inside": float(rng.uniform(-0.9, 0.9)), "boundary": 1 - 1e-12,
        "outside": 1 + float(rng.exponential())}
        return binary_case(1.0, 0.5, initial=self.most * factor[where])


@dataclass(frozen=True)
class RunsUntil(Assumption):
    """The run is long: k_x t reaches a given number for every token."""

    least: float

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the condition as a formula."""
        return rf"the run goes to $\eta c_xt\geq {self.least:g}$ for every token"

    def holds(self, case: Case) -> bool:
        """Return whether min k_x times the number of steps is at least the number."""
        total = (case.steps or 0) * float((tokens(case).speed * case.rule.learning_rate).min())
        return total >= self.least * (1 - 1e-12)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a run of 100 steps with a rate that just reaches the number (boundary), or more, or less."""
        factor = {"inside": 1 + float(rng.exponential()), "boundary": 1.0, "outside": float(rng.uniform(0.1, 0.9))}
        return binary_case(self.least * factor[where] / 100, 0.5, steps=100)


@dataclass(frozen=True)
class LogarithmDecides(Assumption):
    """t is so large that the logarithm in (3.5) outweighs the constants, and so gives the sign of eta t L - sum p/c."""

    sign: int

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the condition as a formula."""
        relation = ">" if self.sign > 0 else "<"
        term = r"\sum_x\frac{p}{c_x^2}[(1-\frac{k_x}{2})\log(k_xt)-C_\infty-\frac{1}{2}]"
        return rf"$t$ is large: ${term}{relation} 0$ by a fifth of the sum of sizes, and $k_xt\geq 1000$"

    def holds(self, case: Case) -> bool:
        """Return whether the sum has the sign, by a fifth of the sum of its terms' sizes."""
        speed = tokens(case).speed
        k = speed * case.rule.learning_rate
        total = k * int(case.steps or 0)
        if total.min() < 1000 or k.min() < 1e-4 or k.max() > 100:
            return False
        limits = np.array([analytics.descent_constant(float(rate)).value for rate in k])
        weight = case.problem.frequencies / speed**2
        lead = (1 - k / 2) * np.log(total)
        rest = limits + 0.5
        size = float(np.sum(weight * (np.abs(lead) + np.abs(rest))))
        return bool(self.sign * float(np.sum(weight * (lead - rest))) > 0.2 * size)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return equal tokens with a rate on the right or wrong side of 2; the boundary has fewer steps."""
        low, high = float(rng.uniform(0.2, 1.0)), float(rng.uniform(3.0, 8.0))
        inside, outside = (low, high) if self.sign > 0 else (high, low)
        steps = 6000 if where == "boundary" else 50000
        return binary_case(outside if where == "outside" else inside, 0.5, steps=steps)


@dataclass(frozen=True)
class Asymptotic(Assumption):
    """The terms of (3.5) beyond k t are small against k t from t = 1000 on."""

    statement: str = r"$t\geq 1000$, and $|k/2-a|\log(kt)+|C_\infty|+a+k\leq 0.3\,kt$ there"

    def holds(self, case: Case) -> bool:
        """Return whether the run has 1000 steps and the terms are small for every token."""
        constants = tokens(case)
        k = constants.speed * case.rule.learning_rate
        if int(case.steps or 0) < 1000 or k.min() < 1e-3 * constants.wrong or k.max() > 100 + constants.wrong:
            return False
        if np.abs(constants.start).max() > 30:
            return False
        for rate, start in zip(k, constants.start, strict=True):
            limit = analytics.descent_constant(float(rate), float(start), constants.wrong).value
            lead = abs(rate / 2 - constants.wrong) * abs(np.log(1000 * rate))
            if lead + abs(limit) + constants.wrong + rate > 0.3 * 1000 * rate:
                return False
        return True

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return equal tokens; the boundary has exactly 1000 steps, outside has fewer."""
        steps = {"inside": 5000, "boundary": 1000, "outside": 999}[where]
        return binary_case(float(rng.uniform(0.3, 6.0)), 0.5, steps=steps)


BINARY: tuple[Assumption, ...] = (TwoClasses(), OrthogonalInputs())
ZERO_DESCENT: tuple[Assumption, ...] = (*BINARY, ConstantRateDescent(), ZeroStart())
ANY_DESCENT: tuple[Assumption, ...] = (*BINARY, ConstantRateDescent())
TIED_DESCENT: tuple[Assumption, ...] = (OrthogonalInputs(), Tied(), ConstantRateDescent(), StartWithin())
ZERO_FLOW: tuple[Assumption, ...] = (*BINARY, Flow(), ZeroStart())
ANY_FLOW: tuple[Assumption, ...] = (*BINARY, Flow(), StartWithin())
