"""What TeX knows about a formula and mathtext does not: where it may be broken, and two matters of spacing and size.

A formula in running text may end a line after a relation or a binary sign that stands outside all brackets, so that a
narrow page wraps it instead of shrinking it.
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
_SCRIPT = r"(?:[_^](?:\{(?:[^{}]|\{[^{}]*\})*\}|\\[A-Za-z]+|[^\s\\{}]))"
_LARGE = re.compile(rf"\\(?:sum|prod|int)(?![A-Za-z])(?:\s*{_SCRIPT})*+(?!\s*\\[,;:!])")
_FUNCTIONS = frozenset((r"\log", r"\exp", r"\sinh", r"\cosh", r"\tanh", r"\max", r"\min", r"\sup", r"\inf"))
_OPERATOR = re.compile(r"(\\[A-Za-z]+|[A-Za-z0-9})\]])\s*(\\(?:log|exp|sinh|cosh|tanh|max|min|sum|prod)(?![A-Za-z]))")
_SIGNS = frozenset("+-") | {r"\pm", r"\mp"}
_SPACED = _RELATIONS | _SIGNS | _FUNCTIONS | {r"\left"}


def split(tex: str) -> list[str]:
    r"""Return the pieces of a formula (without dollars) between which a line may end.

    Joined, the pieces are the formula again.  A minus sign that opens a formula or follows another sign or relation
    belongs to what comes after it; a relation that is followed by another one (``\quad`` after a comma) is not cut off.

    >>> split(r"m_t \geq \log(1 + k t) + e^{a = b}")
    ['m_t \\geq ', '\\log(1 + k t) + ', 'e^{a = b}']
    >>> split("-a")
    ['-a']
    """
    pieces: list[str] = []
    current, depth = "", 0
    may_end = operand = delimiter = False
    for token in _TOKEN.findall(tex):
        outside = depth == 0 and not delimiter
        relation, sign = outside and token in _RELATIONS, outside and token in _SIGNS
        if may_end and not (relation or token.isspace()):
            pieces.append(current)
            current, may_end = "", False
        current += token
        if token.isspace():
            continue
        if not delimiter:  # the bracket after \\left or \\right does not open or close a group of its own
            depth += (token in _OPENING) - (token in _CLOSING)
        delimiter = token in (r"\left", r"\right")
        may_end = relation or (sign and operand)
        operand = not (relation or sign)
    return [*pieces, current] if current else pieces


def spaced(tex: str) -> str:
    r"""Return the formula with the thin space that TeX leaves before operators and after large ones.

    >>> spaced(r"\sum_{x} \frac{1}{c_x}")
    '\\sum_{x}\\, \\frac{1}{c_x}'
    """
    tex = _LARGE.sub(r"\g<0>\\,", tex.replace("^*", "^{*}"))  # mathtext would space a bare star like a product
    return _OPERATOR.sub(lambda m: m[0] if m[1] in _SPACED else rf"{m[1]}\,{m[2]}", tex)


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
