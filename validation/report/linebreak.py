"""Where a long formula may be broken: after a relation or a binary sign that stands outside all brackets.

The rule is TeX's for formulas in running text.  A narrow page then wraps a formula instead of shrinking it.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
_OPENING = frozenset("{([") | {r"\left", r"\lbrace", r"\langle", r"\lfloor", r"\lceil", r"\{"}
_CLOSING = frozenset("})]") | {r"\right", r"\rbrace", r"\rangle", r"\rfloor", r"\rceil", r"\}"}
_RELATIONS = frozenset("=<>") | {
    r"\leq", r"\le", r"\geq", r"\ge", r"\neq", r"\ne", r"\equiv", r"\approx", r"\sim", r"\simeq", r"\propto", r"\to",
    r"\rightarrow", r"\Rightarrow", r"\Leftrightarrow", r"\iff", r"\implies", r"\in", r"\ll", r"\gg",
    r"\quad", r"\qquad",
}  # fmt: skip
_SIGNS = frozenset("+-") | {r"\pm", r"\mp"}


def split(tex: str) -> list[str]:
    r"""Return the pieces of a formula (without dollars) between which a line may end.

    Joined, the pieces are the formula again.  A minus sign that opens a formula or follows another sign or relation
    belongs to what comes after it; a relation that is followed by another one (``\quad`` after a comma) is not cut off.

    >>> split(r"m_t \geq \log(1 + k t) + e^{a = b}")
    ['m_t \\geq', ' \\log(1 + k t) +', ' e^{a = b}']
    >>> split("-a")
    ['-a']
    """
    pieces: list[str] = []
    current, depth, delimiter = "", 0, False
    before = "start"  # what the last visible token was: "start", "operator" or "symbol"
    tokens = _TOKEN.findall(tex)
    for token in tokens:
        if delimiter:  # the bracket after \left or \right is a delimiter, not a bracket that opens a group
            current, delimiter = current + token, token.isspace()
            continue
        relation = depth == 0 and token in _RELATIONS
        sign = depth == 0 and token in _SIGNS
        if current and before == "cut" and not (relation or token.isspace()):
            pieces.append(current)
            current, before = "", "operator"
            if token.isspace():
                continue
        current += token
        if token in _OPENING:
            depth += 1
        elif token in _CLOSING:
            depth -= 1
        delimiter = token in (r"\left", r"\right")
        if relation or (sign and before == "symbol"):
            before = "cut"
        elif not token.isspace():
            before = "symbol" if before != "cut" and not sign else ("operator" if sign else before)
    return [*pieces, current] if current else pieces


def full_fractions(tex: str) -> str:
    r"""Return the formula with its fractions outside scripts and other fractions set in full size.

    >>> full_fractions(r"\frac{a}{b} e^{\frac{a}{b}}")
    '\\dfrac{a}{b} e^{\\frac{a}{b}}'
    """
    depth, parts = 0, []
    for token in _TOKEN.findall(tex):
        depth += (token == "{") - (token == "}")
        parts.append(r"\dfrac" if token == r"\frac" and depth == 0 else token)
    return "".join(parts)
