"""Words and numbers as a reader of the report meets them."""

from __future__ import annotations

import math
import re
from html import escape

OUTCOMES = {
    "holds": ("✓", "holds"),
    "violated": ("✗", "violated"),
    "inconclusive": ("?", "inconclusive"),
    "not_applicable": ("∅", "not applicable"),
    "not_testable": ("–", "not testable"),
    "error": ("!", "error"),
    "interrupted": ("…", "not run"),
}
"""Outcome -> (sign, words); the two beyond the five of a verdict say that there is none."""

RELATIONS = {">=": r"\geq", "<=": r"\leq", "==": "=", ">": ">", "<": "<"}

_PLACES = {"new": "New results"}


def place_title(word: str) -> str:
    """Return the heading for the second word of a claim's id.

    Equations share one heading.

    >>> [place_title(word) for word in ("theorem2", "section42", "appendix_b", "equation7", "new")]
    ['Theorem 2', 'Section 4.2', 'Appendix B', 'Equations', 'New results']
    """
    if word.startswith("equation"):
        return "Equations"
    match = re.fullmatch(r"([a-z]+)_?(\d*|[a-z])", word)
    if match is None or word == "new":
        return _PLACES.get(word, word.replace("_", " ").capitalize())
    kind, number = match.groups()
    if kind == "section" and len(number) == 2:
        number = ".".join(number)
    return f"{_PLACES.get(kind, kind.capitalize())} {number.upper()}".strip()


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning and a stop at its end, unless it begins with a symbol.

    >>> sentence("for every $t$, the loss decays"), sentence("q(1-q) is small."), sentence("")
    ('For every $t$, the loss decays.', 'q(1-q) is small.', '')
    """
    text = text.strip()
    if re.match(r"[a-z]{2,}(?![\w(^=])", text) or re.match(r"a ", text):
        text = text[0].upper() + text[1:]
    return text if not text or text[-1] in ".!?:…" else text + "."


def place_order(word: str) -> tuple[int, str]:
    """Return the key that sorts places as the paper has them."""
    order = (
        "theorem1", "section4", "theorem2", "theorem3", "section42", "theorem4", "proposition5", "section51",
        "section", "equation", "appendix", "new",
    )  # fmt: skip
    if word in order[:8]:
        return order.index(word), word
    return next((order.index(kind) for kind in order if word.startswith(kind)), len(order)), _natural(word)


def _natural(word: str) -> str:
    return re.sub(r"\d+", lambda digits: digits.group().zfill(4), word)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number for plain text.

    >>> number(-0.31234), number(1.2e-9), number(None), number(12.0)
    ('-0.312', '1.2e-9', '–', '12')
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    text = f"{value or 0.0:.{digits}g}"  # -0.0 is shown as 0
    mantissa, exponent, power = text.partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def number_html(value: float | None, digits: int = 3) -> str:
    """Return a number for HTML: a true minus sign, powers of ten raised.

    >>> number_html(-1.25e-9)
    '−1.25 × 10<sup>−9</sup>'
    """
    return digits_html(number(value, digits))


def digits_html(text: str) -> str:
    """Return a decimal number that is already text as HTML."""
    mantissa, exponent, power = escape(text).partition("e")
    if not (exponent and re.fullmatch(r"[+-]?\d+", power)):
        whole = re.fullmatch(r"-?\d{5,}", text)
        return (f"{int(text):,}".replace(",", "\u202f") if whole else escape(text)).replace("-", "−")
    factor = {"1": "", "-1": "-"}.get(mantissa, f"{mantissa} × ")
    return f"{factor}10<sup>{int(power)}</sup>".replace("-", "−")


def seconds(value: float) -> str:
    """Return a duration as a person would say it.

    >>> seconds(0.0123), seconds(4.2), seconds(312)
    ('0.01 s', '4.2 s', '5 min 12 s')
    """
    if value < 1:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def count(n: int, one: str, many: str = "") -> str:
    """Return "1 claim", "12 claims"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
