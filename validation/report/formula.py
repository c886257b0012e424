"""Formulas set as inline SVG whose glyph outlines are stored once a page.

TeX is parsed by matplotlib's mathtext with the STIX fonts that matplotlib ships, so a formula looks the same on every
machine, follows the colour of the text around it, and stands on its baseline.  (MathML was tried instead: without a
mathematical font on the reader's machine a browser falls back to text glyphs of the wrong size, so the picture wins;
the TeX source stays readable to screen readers and in the tooltip.)
"""

from __future__ import annotations

import re
from functools import cached_property
from html import escape
from typing import Any

from . import tex as typesetting
from . import typed

_EM = 1000.0  # user units of the drawings: one em
_FONT_SCALE = 100.0  # units of matplotlib's outlines: one em
_DOLLARS = re.compile(r"(?<!\\)\$(.+?)(?<!\\)\$", re.DOTALL)
_TRAILING = re.compile(r"^[.,;:!?)\]’”…]+")
_MINUS = re.compile(r"(?<![\w.)−-])-(?=\d)")  # a sign before a number, not a hyphen or a difference
_POWER = re.compile(r"(?<![\w.])((?:−?\d+\.)?\d+)e([+-]?\d+)(?![\w.])")
_LEADING = re.compile(r"[(\[“‘]+$")
_LONG = 11.0  # ems; a shorter formula is never broken


class FormulaSheet:
    r"""Sets formulas and collects the glyphs they use.

    One sheet belongs to one page: put `definitions()` into the page once, after everything has been set.

    >>> sheet = FormulaSheet()
    >>> markup = sheet.prose(r"the margin $m_t$, always")
    >>> markup.startswith("the margin <span") and "m_t" in markup
    True
    >>> sheet.definitions().count("<path")
    2
    """

    def __init__(self) -> None:
        self._glyphs: dict[str, tuple[str, str]] = {}
        self._pieces: dict[str, tuple[str, float]] = {}
        self.failures: list[tuple[str, str]] = []

    @cached_property
    def _outlines(self) -> Any:
        from matplotlib.textpath import TextToPath

        return TextToPath()

    @cached_property
    def _font(self) -> Any:
        from matplotlib.font_manager import FontProperties

        return FontProperties(math_fontfamily="stix", size=_FONT_SCALE)

    def prose(self, text: str) -> str:
        """Return the text as HTML: everything escaped, each ``$...$`` set as a formula."""
        parts, end = [], 0
        for match in _DOLLARS.finditer(text):
            before = text[end : match.start()]
            opening = _LEADING.search(before)
            lead = opening.group() if opening else ""
            parts.append(self._between(before[: len(before) - len(lead)]))
            end = match.end()
            trailing = _TRAILING.match(text[end:])
            glued = trailing.group() if trailing else ""
            end += len(glued)
            parts.append(self.formula(match.group(1), glued=glued, lead=lead))
        return "".join(parts) + self._between(text[end:])

    def _between(self, text: str) -> str:
        """Return text outside dollars; formulas typed as plain text are set where that is possible."""
        parts = []
        for is_formula, piece, source in typed.split(text):
            drawn = self._formula_or_none(piece) if is_formula else None
            parts.append(_words(source) if drawn is None else drawn)
        return "".join(parts)

    def _formula_or_none(self, tex: str) -> str | None:
        known = len(self.failures)
        drawn = self.formula(tex)
        if len(self.failures) == known:
            return drawn
        self.failures.pop()
        return None

    def formula(self, tex: str, glued: str = "", display: bool = False, lead: str = "") -> str:
        """Return one formula (TeX without dollars) as HTML.

        `glued` is punctuation that must stay on its line, `lead` an opening bracket before it; `display` sets
        fractions in full size.
        """
        if display:
            tex = typesetting.full_fractions(tex)
        source, tex = tex, typesetting.spaced(tex)
        try:
            pieces = [self._piece(tex)]
            if pieces[0][1] > _LONG:
                pieces = [self._piece(piece) for piece in typesetting.split(tex)]
        except ValueError as error:
            self.failures.append((tex, str(error)))
            return f'{escape(lead)}<code class="tex">{escape(source)}</code>{escape(glued)}'
        drawn = [svg for svg, _ in pieces]
        if lead:
            drawn[0] = f'<span class="glue">{escape(lead)}{drawn[0]}</span>'
        if glued:
            drawn[-1] = f'<span class="glue">{drawn[-1]}{escape(glued)}</span>'
        label = escape(" ".join(source.split()), quote=True)
        return f'<span class="math" role="img" aria-label="{label}" title="{label}">{"".join(drawn)}</span>'

    def definitions(self) -> str:
        """Return the hidden SVG that holds the outline of every glyph used so far."""
        paths = "".join(f'<path id="{name}" d="{outline}"/>' for name, outline in self._glyphs.values())
        return f'<svg class="glyphs" aria-hidden="true" width="0" height="0"><defs>{paths}</defs></svg>'

    def _piece(self, tex: str) -> tuple[str, float]:
        """Return the drawing of an unbreakable piece and its width in ems."""
        known = self._pieces.get(tex)
        if known is None:
            known = self._pieces[tex] = self._draw(f"${tex}$")
        return known

    def _draw(self, source: str) -> tuple[str, float]:
        width, height, depth, *_ = self._outlines.mathtext_parser.parse(source, 72, self._font)
        placed, outlines, rectangles = self._outlines.get_glyphs_mathtext(self._font, source)
        unit = _EM / _FONT_SCALE
        marks = []
        for glyph, x, y, size in placed:
            name = self._name(glyph, outlines[glyph])
            if abs(size - 1.0) < 1e-9:
                marks.append(f'<use href="#{name}" x="{x * unit:.0f}" y="{-y * unit:.0f}"/>')
            else:
                marks.append(
                    f'<use href="#{name}" transform="translate({x * unit:.0f} {-y * unit:.0f}) scale({size:.3g})"/>'
                )
        for corners, _ in rectangles:
            left, right = min(c[0] for c in corners[:5]), max(c[0] for c in corners[:5])
            low, high = min(c[1] for c in corners[:5]), max(c[1] for c in corners[:5])
            marks.append(
                f'<path d="M{left * unit:.0f} {-high * unit:.0f}h{(right - left) * unit:.0f}'
                f'v{(high - low) * unit:.0f}h{(left - right) * unit:.0f}z"/>'
            )
        # mathtext's height includes the depth; one hundredth of an em above and below keeps anti-aliasing inside
        top, bottom = (height - depth) * unit + 10, depth * unit + 10
        em = top / _EM + bottom / _EM
        svg = (
            f'<svg class="m" aria-hidden="true" viewBox="0 {-top:.0f} {width * unit:.0f} {top + bottom:.0f}" '
            f'style="width:{width / _FONT_SCALE:.2f}em;height:{em:.2f}em;vertical-align:{-bottom / _EM:.2f}em">'
            f"{''.join(marks)}</svg>"
        )
        return svg, width / _FONT_SCALE

    def _name(self, glyph: str, outline: tuple[Any, Any]) -> str:
        if glyph not in self._glyphs:
            self._glyphs[glyph] = (f"g{len(self._glyphs):x}", _path_data(*outline))
        return self._glyphs[glyph][0]


def _words(text: str) -> str:
    r"""Return text outside formulas as HTML: ``\$`` is a dollar, signs typed in ASCII become the signs meant."""
    for ascii_sign, meant in ((r"\$", "$"), ("<=", "≤"), (">=", "≥"), ("->", "→"), ("+-", "±")):
        text = text.replace(ascii_sign, meant)
    text = _POWER.sub(lambda m: f"{m[1]} × 10\0{int(m[2])}\1", _MINUS.sub("−", text))
    return escape(text).replace("\0-", "<sup>−").replace("\0", "<sup>").replace("\1", "</sup>")


def _path_data(vertices: Any, codes: Any) -> str:
    """Return an outline (matplotlib path) as SVG path data with the y axis pointing down, in thousandths of an em."""
    letters = {1: "M", 2: "L", 3: "Q", 4: "C"}
    parts, index = [], 0
    while index < len(codes):
        code = int(codes[index])
        if code == 79:
            parts.append("Z")
            index += 1
            continue
        count = {1: 1, 2: 1, 3: 2, 4: 3}.get(code, 0)
        if count == 0:
            break
        points = vertices[index : index + count]
        numbers = " ".join(f"{x * _EM / _FONT_SCALE:.0f} {-y * _EM / _FONT_SCALE:.0f}" for x, y in points)
        parts.append(letters[code] + numbers)
        index += count
    return "".join(parts)
