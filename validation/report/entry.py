"""What the report shows of one claim and of one id: every text escaped, every formula set, every picture drawn."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from . import picture, wording
from .formula import FormulaSheet

if TYPE_CHECKING:
    from ..case import Evidence
    from ..claim import Claim
    from ..results import Result


@dataclass(frozen=True)
class Figure:
    """A drawn picture with its legend and caption."""

    svg: Markup
    quantity: Markup
    bound: Markup
    relation: str
    numbers: tuple[Markup, Markup] | None
    axis_name: Markup
    caption: Markup
    fails: bool


@dataclass(frozen=True)
class Entry:
    """One form of a claim, ready for the template."""

    form: str
    heading: str
    outcome: str
    sign: str
    words: str
    expected: str
    unexpected: bool
    statement: Markup
    relation: Markup
    assumptions: tuple[Markup, ...]
    reason: Markup
    proof: Markup
    figure: Figure | None
    slack: Markup
    slack_value: float | None
    place: Markup
    cases: int
    seconds: str
    certified: bool
    witness: dict[str, Any] | None
    rerun: str
    message: Markup
    trouble: str


@dataclass(frozen=True)
class Group:
    """All forms of one id under one heading."""

    id: str
    anchor: str
    title: Markup
    place: Markup
    section: str
    errata: tuple[str, ...]
    kind: str
    kind_words: str
    printed: Entry | None
    corrected: Entry | None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return the forms that exist, the printed one first."""
        return tuple(form for form in (self.printed, self.corrected) if form is not None)


KINDS = {
    "true": "holds as printed",
    "mended": "false as printed, corrected",
    "false": "false as printed",
    "sharpened": "not testable as printed, made precise",
    "open": "not testable as printed",
    "new": "not in the paper, holds",
    "unsettled": "not settled",
    "unexpected": "not as expected",
}


def group(results: Iterable[Result], sheet: FormulaSheet) -> list[Group]:
    """Return the results by id, sorted as the paper has them."""
    by_id: dict[str, dict[str, Result]] = {}
    for result in results:
        by_id.setdefault(result.claim.id, {})[result.claim.form] = result
    ids = list(by_id)
    ids.sort(key=lambda name: (name.split(".")[0], wording.place_order(name.split(".")[1])))
    return [_group(name, by_id[name], sheet) for name in ids]


def _group(name: str, forms: dict[str, Result], sheet: FormulaSheet) -> Group:
    entries = {form: entry(result, sheet) for form, result in forms.items()}
    printed, corrected = entries.get("printed"), entries.get("corrected")
    first = forms.get("printed") or forms["corrected"]
    kind = _kind(printed, corrected)
    errata = dict.fromkeys(r.claim.source.erratum for r in forms.values() if r.claim.source.erratum)
    return Group(
        id=name,
        anchor=name.replace(".", "-"),
        title=Markup(sheet.prose(first.claim.title)),
        place=Markup(sheet.prose(first.claim.source.place)),
        section=".".join(name.split(".")[:2]),
        errata=tuple(errata),
        kind=kind,
        kind_words=KINDS[kind],
        printed=printed,
        corrected=corrected,
    )


def _kind(printed: Entry | None, corrected: Entry | None) -> str:
    forms = [form for form in (printed, corrected) if form is not None]
    if any(form.unexpected for form in forms):
        return "unexpected"
    if printed is None:
        return "new" if corrected is not None and corrected.outcome == "holds" else "unsettled"
    mended = corrected is not None and corrected.outcome == "holds"
    return {
        "holds": "true",
        "violated": "mended" if mended else "false",
        "not_testable": "sharpened" if mended else "open",
    }.get(printed.outcome, "unsettled")


def entry(result: Result, sheet: FormulaSheet) -> Entry:
    """Return what the report shows of one result; of a claim that was not run, no more than its name."""
    prose = sheet.prose if result.outcome != "interrupted" else _nothing
    claim, verdict = result.claim, result.verdict
    sign, words = wording.OUTCOMES[result.outcome]
    witness = verdict.witness if verdict is not None else None
    where = dict(verdict.where) if verdict is not None else {}
    message = verdict.message if verdict is not None and verdict.message != claim.reason else ""
    return Entry(
        form=claim.form,
        heading="As printed" if claim.form == "printed" else "Corrected",
        outcome=result.outcome,
        sign=sign,
        words=words,
        expected=wording.OUTCOMES[str(claim.expected)][1],
        unexpected=not result.as_expected and result.outcome != "interrupted",
        statement=Markup(prose(wording.sentence(claim.statement))),
        relation=Markup(_relation(claim, sheet) if result.outcome != "interrupted" else ""),
        assumptions=tuple(Markup(prose(str(a))) for a in claim.assumptions),
        reason=Markup(prose(wording.sentence(claim.reason))),
        proof=Markup(prose(wording.sentence(claim.proof))),
        figure=_figure(claim, result.evidence, result.shown, sheet, told=witness is not None),
        slack=Markup(wording.number_html(verdict.slack if verdict is not None else None)),
        slack_value=verdict.slack if verdict is not None else None,
        place=_place(where, sheet),
        cases=verdict.cases if verdict is not None else 0,
        seconds=wording.seconds(result.seconds),
        certified=verdict.certified if verdict is not None else False,
        witness=None if witness is None else _witness(witness, sheet),
        rerun=f'import traindyn as td\nprint(td.check("{claim.id}", form="{claim.form}"))',
        message=Markup(sheet.prose(wording.sentence(message))),
        trouble=result.trouble,
    )


def _nothing(text: str) -> str:
    return ""


def _relation(claim: Claim, sheet: FormulaSheet) -> str:
    """Return `quantity relation bound` as one formula where both sides are formulas."""
    sign = wording.RELATIONS[claim.relation]
    sides = (claim.quantity.strip(), claim.bound.strip())
    if all(_is_formula(side) for side in sides):
        return sheet.formula(f"{sides[0][1:-1]} {sign} {sides[1][1:-1]}", display=True)
    return f"{sheet.prose(sides[0])} {sheet.formula(sign)} {sheet.prose(sides[1])}"


def _is_formula(text: str) -> bool:
    return len(text) > 2 and text[0] == text[-1] == "$" and "$" not in text[1:-1]


def _place(where: Mapping[str, Any], sheet: FormulaSheet) -> Markup:
    parts = [f"{_name(name, sheet)} = {_value(value)}" for name, value in where.items()]
    return Markup(", ".join(parts))


def _name(name: str, sheet: FormulaSheet) -> str:
    """Return the name of a parameter or an axis as a reader should see it."""
    if "$" in name:
        return sheet.prose(name)
    words = re.sub(r"^n_", "number of ", name).replace("_", " ")
    return sheet.prose(re.sub(r"(?<= )([A-Za-z])$", r"$\1$", words))


def _value(value: Any) -> str:
    if isinstance(value, float):
        return wording.number_html(value, 5)
    if isinstance(value, int) and not isinstance(value, bool):
        return wording.digits_html(str(value))
    return str(Markup.escape(str(value)))


def _witness(witness: Any, sheet: FormulaSheet) -> dict[str, Any]:
    return {
        "parameters": [(Markup(_name(name, sheet)), Markup(_value(v))) for name, v in witness.parameters.items()],
        "axis_name": Markup(_name(witness.axis_name, sheet)),
        "axis_value": Markup(wording.number_html(witness.axis_value, 8)),
        "quantity": Markup(wording.number_html(witness.quantity, 12)),
        "bound": Markup(wording.number_html(witness.bound, 12)),
        "slack": Markup(wording.number_html(witness.slack, 6)),
        "exact_slack": Markup(wording.digits_html(witness.exact_slack)) if witness.exact_slack is not None else None,
        "exact_error": Markup(_rounded(witness.exact_error)) if witness.exact_error is not None else None,
        "method": Markup(sheet.prose(witness.method or "")),
        "code": witness.code,
    }


def _rounded(text: str) -> str:
    """Return an error estimate with two digits, however small; the exponent may lie outside the range of floats."""
    mantissa, _, power = text.lower().partition("e")
    try:
        value = float(mantissa)
    except ValueError:
        return wording.digits_html(text)
    return wording.digits_html(f"{value:.2g}e{power}" if power else f"{value:.2g}")


def _figure(
    claim: Claim, evidence: Evidence | None, shown: Mapping[str, Any], sheet: FormulaSheet, told: bool
) -> Figure | None:
    """Return the picture; a single point is not drawn but told, unless the witness tells it anyway."""
    if evidence is None or (told and evidence.axis.size == 1):
        return None
    slack = evidence.slack(claim.relation)
    fails = bool((slack < -evidence.error).any())
    description = f"{claim.quantity} {claim.relation} {claim.bound}, against {evidence.axis_name}".replace("$", "")
    single = evidence.axis.size == 1
    return Figure(
        svg=Markup("" if single else picture.draw(evidence, claim.relation, description)),
        numbers=_both(evidence) if single else None,
        quantity=Markup(sheet.prose(claim.quantity)),
        bound=Markup(sheet.prose(claim.bound)),
        relation=claim.relation,
        axis_name=Markup(_name(evidence.axis_name, sheet)),
        caption=_place(shown, sheet),
        fails=fails,
    )


def _both(evidence: Evidence) -> tuple[Markup, Markup]:
    quantity, bound = float(evidence.quantity[0]), float(evidence.bound[0])
    return Markup(wording.number_html(quantity, 8)), Markup(wording.number_html(bound, 8))
