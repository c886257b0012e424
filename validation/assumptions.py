"""Assumptions on an associative memory and its rule, each of which can be drawn inside, on and outside.

An assumption draws problems in which it alone is controlled; the family of a claim combines several.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dynamics import AssociativeMemory, GradientDescent, GradientFlow
from .assumption import Assumption, Where
from .case import Case

TOLERANCE = 1e-12


def _frequencies(rng: np.random.Generator, n_tokens: int) -> NDArray[np.float64]:
    return np.maximum(rng.dirichlet(np.ones(n_tokens)), 1e-6)


def _memory(
    rng: np.random.Generator, inputs: NDArray[np.float64], outputs: NDArray[np.float64]
) -> AssociativeMemory:
    n_tokens = len(inputs)
    p = _frequencies(rng, n_tokens)
    targets = rng.integers(len(outputs), size=n_tokens)
    return AssociativeMemory(inputs, outputs, targets, p / p.sum())


def _orthogonal_rows(rng: np.random.Generator, count: int, dim: int) -> NDArray[np.float64]:
    return np.linalg.qr(rng.normal(size=(dim, dim)))[0][:count]


def off_diagonal(gram: NDArray[np.float64]) -> float:
    """Return the largest cosine between two different rows, from their Gram matrix (zero rows count as 0)."""
    norms = np.sqrt(np.diag(gram))
    safe = np.where(norms > 0, norms, 1.0)
    cosines = np.abs(gram / np.outer(safe, safe))
    np.fill_diagonal(cosines, 0.0)
    return float(cosines.max(initial=0.0))


@dataclass(frozen=True)
class OrthogonalInputs(Assumption):
    """Input embeddings are pairwise orthogonal (norms free; boundary: a pair of very different norms)."""

    statement: str = "the input embeddings are orthogonal"

    def holds(self, case: Case) -> bool:
        """Return whether all cosines between input embeddings are below 1e-12."""
        return off_diagonal(case.problem.inputs @ case.problem.inputs.T) <= TOLERANCE

    def explain(self, case: Case) -> str:
        """Return the largest cosine found."""
        return f"{self}; the largest cosine is {off_diagonal(case.problem.inputs @ case.problem.inputs.T):.3g}"

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a random memory."""
        n_tokens = int(rng.integers(2, 6))
        dim = n_tokens + int(rng.integers(0, 3))
        inputs = _orthogonal_rows(rng, n_tokens, dim)
        norms = rng.uniform(0.5, 2.0, size=n_tokens)
        if where == "boundary":
            norms[0], norms[1] = 1e-3, 1e3
        inputs = inputs * norms[:, None]
        if where == "outside":
            inputs[1] += rng.uniform(0.1, 0.9) * inputs[0] * np.linalg.norm(inputs[1]) / np.linalg.norm(inputs[0])
        return Case(problem=_memory(rng, inputs, rng.normal(size=(int(rng.integers(2, 5)), dim))))


@dataclass(frozen=True)
class OrthonormalInputs(Assumption):
    """Input embeddings are orthonormal."""

    statement: str = "the input embeddings are orthonormal"

    def holds(self, case: Case) -> bool:
        """Return whether the input Gram matrix is the identity to 1e-12."""
        gram = case.problem.inputs @ case.problem.inputs.T
        return bool(np.abs(gram - np.eye(len(gram))).max() <= TOLERANCE)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a random memory; the boundary has as many tokens as dimensions."""
        dim = int(rng.integers(2, 7))
        count = dim if where == "boundary" else int(rng.integers(1, dim + 1))
        inputs = _orthogonal_rows(rng, count, dim)
        if where == "outside":
            inputs = inputs * rng.uniform(1.1, 2.0)
        return Case(problem=_memory(rng, inputs, rng.normal(size=(int(rng.integers(2, 5)), dim))))


@dataclass(frozen=True)
class OrthonormalOutputs(Assumption):
    """Output embeddings are orthonormal."""

    statement: str = "the output embeddings are orthonormal"

    def holds(self, case: Case) -> bool:
        """Return whether the output Gram matrix is the identity to 1e-12."""
        gram = case.problem.outputs @ case.problem.outputs.T
        return bool(np.abs(gram - np.eye(len(gram))).max() <= TOLERANCE)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a random memory; the boundary has as many classes as dimensions."""
        dim = int(rng.integers(2, 7))
        count = dim if where == "boundary" else int(rng.integers(2, dim + 1))
        outputs = _orthogonal_rows(rng, count, dim)
        if where == "outside":
            outputs = outputs + 0.3 * rng.normal(size=outputs.shape)
        return Case(problem=_memory(rng, rng.normal(size=(int(rng.integers(1, 5)), dim)), outputs))


@dataclass(frozen=True)
class OrthogonalOutputs(Assumption):
    """Output embeddings are pairwise orthogonal, norms free."""

    statement: str = "the output embeddings are orthogonal"

    def holds(self, case: Case) -> bool:
        """Return whether all cosines between output embeddings are below 1e-12."""
        return off_diagonal(case.problem.outputs @ case.problem.outputs.T) <= TOLERANCE

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a random memory; the boundary has very different norms."""
        dim = int(rng.integers(2, 7))
        outputs = _orthogonal_rows(rng, int(rng.integers(2, dim + 1)), dim)
        norms = rng.uniform(0.5, 2.0, size=len(outputs))
        if where == "boundary":
            norms[0], norms[1] = 1e-2, 1e2
        outputs = outputs * norms[:, None]
        if where == "outside":
            outputs[1] += rng.uniform(0.1, 0.9) * outputs[0] * norms[1] / norms[0]
        return Case(problem=_memory(rng, rng.normal(size=(int(rng.integers(1, 5)), dim)), outputs))


@dataclass(frozen=True)
class IndependentInputs(Assumption):
    """Input embeddings are linearly independent (so N <= d)."""

    statement: str = "the input embeddings are linearly independent"

    def holds(self, case: Case) -> bool:
        """Return whether the input matrix has full row rank."""
        return int(np.linalg.matrix_rank(case.problem.inputs)) == len(case.problem.inputs)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a random memory; the boundary is nearly dependent (a cosine of 1 - 1e-6), outside has N = d + 1."""
        dim = int(rng.integers(2, 6))
        count = dim + 1 if where == "outside" else int(rng.integers(2, dim + 1))
        inputs = rng.normal(size=(count, dim))
        if where == "boundary":
            inputs[1] = inputs[0] + 1e-3 * rng.normal(size=dim)
        return Case(problem=_memory(rng, inputs, rng.normal(size=(int(rng.integers(2, 5)), dim))))


@dataclass(frozen=True)
class TwoClasses(Assumption):
    """There are two classes."""

    statement: str = "there are two classes, $M=2$"

    def holds(self, case: Case) -> bool:
        """Return whether M = 2."""
        return len(case.problem.outputs) == 2

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a random memory; on the boundary the two class embeddings nearly coincide."""
        dim = int(rng.integers(2, 6))
        outputs = rng.normal(size=(int(rng.integers(3, 6)) if where == "outside" else 2, dim))
        if where == "boundary":
            outputs[1] = outputs[0] + 1e-3 * rng.normal(size=dim)
        return Case(problem=_memory(rng, rng.normal(size=(int(rng.integers(1, 5)), dim)), outputs))


@dataclass(frozen=True)
class TwoTokens(Assumption):
    """Two unit input embeddings, two classes, f(x) = x: the setting of equation (16)."""

    statement: str = r"$N=M=2$, $f^*(x)=x$, $u_1\neq u_2$, $\|e_1\|=\|e_2\|=1$, $\langle e_1,e_2\rangle=\alpha$"

    def holds(self, case: Case) -> bool:
        """Return whether the problem is a two-token problem with unit inputs and different outputs."""
        problem = case.problem
        if problem.inputs.shape[0] != 2 or problem.outputs.shape[0] != 2:
            return False
        unit = np.abs(np.sum(problem.inputs**2, axis=1) - 1).max() <= 1e-12
        apart = bool(np.any(problem.outputs[0] != problem.outputs[1]))
        return bool(unit) and apart and problem.targets.tolist() == [0, 1]

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token memory; the boundary has correlation -1 or 1 or very rare tokens."""
        p = float(rng.uniform(0.05, 0.95))
        correlation = float(rng.uniform(-0.95, 0.95))
        if where == "boundary":
            p, correlation = [(p, -1.0), (p, 1.0), (1 - 1e-6, correlation)][int(rng.integers(3))]
        memory = AssociativeMemory.two_tokens(correlation=correlation, frequencies=(p, 1 - p))
        if where == "outside":
            memory = AssociativeMemory(memory.inputs * 2.0, memory.outputs, memory.targets, memory.frequencies)
        return Case(problem=memory)


@dataclass(frozen=True)
class FrequentFirst(Assumption):
    """The first token is at least as frequent as the second."""

    statement: str = "$p_1 \\geq p_2$"

    def holds(self, case: Case) -> bool:
        """Return whether p_1 >= p_2."""
        return bool(case.problem.frequencies[0] >= case.problem.frequencies[1])

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token memory; the boundary has equal frequencies."""
        p = {"inside": rng.uniform(0.5, 0.99), "boundary": 0.5, "outside": rng.uniform(0.01, 0.49)}[where]
        problem = AssociativeMemory.two_tokens(correlation=float(rng.uniform(-0.9, 0.9)), frequencies=(p, 1 - p))
        return Case(problem=problem)


@dataclass(frozen=True)
class CorrelationBetween(Assumption):
    """The correlation of two unit tokens lies in an interval, with open or closed ends."""

    low: float = -1.0
    high: float = 1.0
    open_low: bool = False
    open_high: bool = False

    @property
    def statement(self) -> str:  # type: ignore[override]
        """Return the interval as a formula."""
        left = "<" if self.open_low else r"\leq"
        right = "<" if self.open_high else r"\leq"
        return rf"${self.low:g} {left} \alpha {right} {self.high:g}$"

    def _correlation(self, case: Case) -> float:
        return float(case.problem.inputs[0] @ case.problem.inputs[1])

    def holds(self, case: Case) -> bool:
        """Return whether the correlation lies in the interval (ends count as inside within 1e-15)."""
        value = self._correlation(case)
        above = value > self.low + 1e-15 if self.open_low else value >= self.low - 1e-15
        below = value < self.high - 1e-15 if self.open_high else value <= self.high + 1e-15
        return above and below

    def explain(self, case: Case) -> str:
        """Return the interval and the correlation."""
        return f"{self}; the correlation is {self._correlation(case):.17g}"

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token memory with a correlation inside, at (or next to an open) end, or outside."""
        low, high = max(self.low, -1.0), min(self.high, 1.0)
        if where == "boundary":
            ends = [low + 1e-9 if self.open_low else low, high - 1e-9 if self.open_high else high]
            value = ends[int(rng.integers(2))]
        elif where == "inside":
            value = float(rng.uniform(low + 1e-9, high - 1e-9))
        else:
            gaps = [(a, b) for a, b in ((-1.0, low), (high, 1.0)) if b > a]
            ends_open = [end for end, is_open in ((low, self.open_low), (high, self.open_high)) if is_open]
            value = float(rng.uniform(*gaps[int(rng.integers(len(gaps)))])) if gaps else ends_open[0]
        p = float(rng.uniform(0.5, 0.95))
        return Case(problem=AssociativeMemory.two_tokens(correlation=value, frequencies=(p, 1 - p)))


@dataclass(frozen=True)
class ZeroStart(Assumption):
    """The weights start at zero."""

    statement: str = "$W_0 = 0$"

    def holds(self, case: Case) -> bool:
        """Return whether the initial weights are absent or all zero."""
        return case.initial is None or not np.any(case.initial)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token case; outside has random initial weights."""
        problem = AssociativeMemory.two_tokens(correlation=float(rng.uniform(-0.9, 0.9)), frequencies=(0.7, 0.3))
        start = rng.normal(size=(2, 2)) if where == "outside" else np.zeros((2, 2))
        return Case(problem=problem, initial=start)


@dataclass(frozen=True)
class ConstantRateDescent(Assumption):
    """The rule is gradient descent with a constant learning rate and no momentum."""

    statement: str = r"gradient descent with a constant learning rate $\eta > 0$"

    def holds(self, case: Case) -> bool:
        """Return whether the rule is plain gradient descent."""
        rule = case.rule
        return isinstance(rule, GradientDescent) and not callable(rule.learning_rate) and rule.momentum == 0

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token case with a log-uniform rate; outside has momentum."""
        problem = AssociativeMemory.two_tokens(correlation=float(rng.uniform(-0.9, 0.9)), frequencies=(0.7, 0.3))
        rate = {"inside": 10 ** rng.uniform(-3, 3), "boundary": 1e-12, "outside": 1.0}[where]
        rule = GradientDescent(float(rate), momentum=0.9 if where == "outside" else 0.0)
        return Case(problem=problem, rule=rule, steps=100)


@dataclass(frozen=True)
class FlowRule(Assumption):
    """The rule is gradient flow (a case without a rule is taken as one)."""

    statement: str = "gradient flow"

    def holds(self, case: Case) -> bool:
        """Return whether the rule is gradient flow, or left open."""
        return case.rule is None or isinstance(case.rule, GradientFlow)

    def draw(self, rng: np.random.Generator, where: Where = "inside") -> Case:
        """Return a two-token case of flow; outside is gradient descent."""
        problem = AssociativeMemory.two_tokens(correlation=float(rng.uniform(-0.9, 0.9)), frequencies=(0.7, 0.3))
        if where == "outside":
            return Case(problem=problem, rule=GradientDescent(float(10 ** rng.uniform(-3, 3))), steps=100)
        return Case(problem=problem, rule=GradientFlow(), time=float(10 ** rng.uniform(-2, 4)))
