"""The table of operations: it drives validation, dispatch, the tests of the twins and the table in the documentation.

In shapes N is the number of tokens, M of classes, d the dimension of the embeddings, r the rank of a factorised W; one
letter a size.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Count = Callable[[int, int, int], int]


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of the kernels: what it takes and gives, and what it must at least cost."""

    name: str
    """The name that the public function and every twin have."""
    equation: str
    """What is computed, with the equation of the paper where it has one."""
    arguments: dict[str, str]
    """Name and shape of each argument in order, "" for a number."""
    result: str
    """Shapes of the result, separated by commas, "" for a number."""
    home: str
    """Module of the Numba twin in ``kernels.cpu``."""
    flops: Count
    """Floating-point operations for (N, M, d): an exponential counts as one, an iteration as stated in `equation`."""
    elements: Count
    """Array elements that must be read or written for (N, M, d)."""

    def bytes(self, n_tokens: int, n_classes: int, dim: int, itemsize: int = 8) -> int:
        """Return the bytes that must move between memory and processor at least.

        >>> OPERATIONS["margins"].bytes(10, 4, 3)
        480
        """
        return itemsize * self.elements(n_tokens, n_classes, dim)

    @functools.cache  # noqa: B019  (the table lives as long as the program)
    def twin(self, device: str) -> Callable[..., Any]:
        """Return the implementation on a device: "reference" (NumPy, as printed) or "cpu" (Numba)."""
        module = f".reference.{self.name}" if device == "reference" else f".{device}.{self.home}"
        twin: Callable[..., Any] = getattr(importlib.import_module(module, __package__), self.name)
        return twin


_LABELS = {"targets": "N", "frequencies": "N"}
_MEMORY = {"inputs": "Nd", "outputs": "Md", **_LABELS}
_TOKENS = {"scores": "NM", **_LABELS}


def _scores_flops(n: int, m: int, d: int) -> int:
    return 2 * n * m * d + 2 * min(n, m) * d * d


def _gradient_flops(n: int, m: int, d: int) -> int:
    return 2 * _scores_flops(n, m, d) + 5 * n * m


def _product_flops(n: int, m: int, d: int) -> int:
    return 3 * _scores_flops(n, m, d) + 9 * n * m


def _hessian_flops(n: int, m: int, d: int) -> int:
    pairs = d * (d + 1) // 2
    return _scores_flops(n, m, d) + 2 * n * m * (pairs + d) + 2 * n * pairs * pairs


def _memory_elements(n: int, m: int, d: int) -> int:
    return d * d + n * d + m * d + 2 * n


_ROWS = (
    Operation(
        "scores",
        "S_xy = u_y^T W e_x, eq. (10)",
        {"weights": "dd", "inputs": "Nd", "outputs": "Md"},
        "NM",
        "scores",
        _scores_flops,
        lambda n, m, d: d * d + n * d + m * d + n * m,
    ),
    Operation(
        "loss",
        "sum_x p(x) log(1 + sum_(z != f) exp(S_xz - S_xf)), eqs. (2), (3)",
        _TOKENS,
        "",
        "tokens",
        lambda n, m, d: 4 * n * m,
        lambda n, m, d: n * m + 2 * n,
    ),
    Operation(
        "margins",
        "S_xf - max_(z != f) S_xz, eq. (13)",
        {"scores": "NM", "targets": "N"},
        "N",
        "tokens",
        lambda n, m, d: n * m,
        lambda n, m, d: n * m + 2 * n,
    ),
    Operation(
        "accuracy",
        "1 - sum of p(x) over the tokens with margin <= 0, eq. (1)",
        _TOKENS,
        "",
        "tokens",
        lambda n, m, d: n * m,
        lambda n, m, d: n * m + 2 * n,
    ),
    Operation(
        "softmax_gradient",
        "loss and sum_(x,z) p(x) (P_xz - 1[z = f]) u_z e_x^T, eq. (9)",
        {"weights": "dd", **_MEMORY},
        ",dd",
        "gradient",
        _gradient_flops,
        lambda n, m, d: _memory_elements(n, m, d) + d * d,
    ),
    Operation(
        "factorised_gradient",
        "loss and its gradients by A and B for W = A B^T, the chain rule on eq. (9); counted: r = d",
        {"left": "dr", "right": "dr", **_MEMORY},
        ",dr,dr",
        "factorised",
        lambda n, m, d: 4 * (n + m) * d * d + 6 * n * m * d + 5 * n * m,
        lambda n, m, d: 4 * d * d + n * d + m * d + 2 * n,
    ),
    Operation(
        "normalised_gradient",
        "loss and its gradients by W and by the gain for normalised W e_x, the chain rule on eq. (9)",
        {"weights": "dd", **_MEMORY, "gain": "", "epsilon": ""},
        ",dd,",
        "normalised",
        lambda n, m, d: 4 * n * d * d + 4 * n * m * d + 12 * n * d + 5 * n * m,
        lambda n, m, d: _memory_elements(n, m, d) + d * d,
    ),
    Operation(
        "particle_step",
        "S - rate G_E diag(p) (P - Y) G_U, eq. (12)",
        {
            "scores": "NM",
            "input_gram": "NN",
            "output_gram": "MM",
            "targets": "N",
            "frequencies": "N",
            "learning_rate": "",
        },
        "NM",
        "particles",
        lambda n, m, d: 2 * n * m * (n + m) + 5 * n * m,
        lambda n, m, d: 2 * n * m + n * n + m * m + 2 * n,
    ),
    Operation(
        "hessian",
        "sum_x p(x) C_x (x) e_x e_x^T, C_x = U^T (diag P_x - P_x P_x^T) U, eq. (26)",
        {"weights": "dd", **_MEMORY},
        "(dd)(dd)",
        "curvature",
        _hessian_flops,
        lambda n, m, d: _memory_elements(n, m, d) + d**4,
    ),
    Operation(
        "hessian_vector_product",
        "sum_x p(x) C_x V e_x e_x^T, eq. (26) applied to V",
        {"weights": "dd", "direction": "dd", **_MEMORY},
        "dd",
        "curvature",
        _product_flops,
        lambda n, m, d: _memory_elements(n, m, d) + 2 * d * d,
    ),
    Operation(
        "hessian_spectrum",
        "all eigenvalues of eq. (26), dense; counted: the matrix and its reduction to tridiagonal form",
        {"weights": "dd", **_MEMORY},
        "D,D,",
        "eigenvalue",
        lambda n, m, d: _hessian_flops(n, m, d) + 4 * d**6 // 3,
        lambda n, m, d: _memory_elements(n, m, d) + d**4 + 2 * d * d,
    ),
    Operation(
        "sharpness",
        "largest eigenvalue of eq. (26); counted: one Hessian-vector product",
        {"weights": "dd", **_MEMORY},
        "",
        "eigenvalue",
        _product_flops,
        _memory_elements,
    ),
    Operation(
        "largest_eigenvalue",
        "largest eigenvalue and eigenvector of eq. (26); counted: one Hessian-vector product",
        {"weights": "dd", **_MEMORY},
        ",dd,,",
        "eigenvalue",
        _product_flops,
        lambda n, m, d: _memory_elements(n, m, d) + d * d,
    ),
)

OPERATIONS: dict[str, Operation] = {row.name: row for row in _ROWS}
"""All operations by name."""


def table() -> str:
    """Return the table of operations as Markdown, for the documentation.

    >>> print(table().splitlines()[0])
    | operation | computes | arguments | result | flops | elements moved |
    """
    sizes = (100, 100, 64)
    lines = ["| operation | computes | arguments | result | flops | elements moved |", "|---|---|---|---|---|---|"]
    for row in _ROWS:
        arguments = ", ".join(f"{name} {_shape(letters)}".strip() for name, letters in row.arguments.items())
        result = ", ".join(_shape(letters) or "number" for letters in row.result.split(","))
        counts = f"{row.flops(*sizes):,} | {row.elements(*sizes):,}"
        lines.append(f"| `{row.name}` | {row.equation} | {arguments} | {result} | {counts} |")
    return "\n".join([*lines, "", f"Counts are for N = {sizes[0]}, M = {sizes[1]}, d = {sizes[2]}.", ""])


def _shape(letters: str) -> str:
    if letters == "(dd)(dd)":
        return "(d², d²)"
    if letters == "D":
        return "(d²,)"
    return f"({', '.join(letters)}{',' if len(letters) == 1 else ''})" if letters else ""
