"""The HTML report: self-contained, complete, well formed, and safe against what a claim's text may hold."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from traindyn.validation import Case, Claim, Evidence, Family, Outcome, Parameter, Source
from traindyn.validation.registry import claims
from traindyn.validation.report import picture, scale, tex, typed, wording
from traindyn.validation.report.entry import entry
from traindyn.validation.report.formula import FormulaSheet
from traindyn.validation.results import Result
from traindyn.validation.verify import verify

HOSTILE = '<script>alert("x")</script> & \'quotes\' <img src=x onerror=y>'
FORMULA = re.compile(r"(?<!\\)\$.+?(?<!\\)\$|\\\$", re.DOTALL)


def family():
    return Family((Parameter("rate", 0.1, 10.0, "log"),), lambda rate: Case(), show={"rate": 1.0})


def below(case):
    steps = np.arange(1.0, 301.0)
    return Evidence(steps, np.log1p(steps / 2), np.log1p(case.parameters["rate"] * steps), 1e-12, "step $t$", "log")


def above(case):
    steps = np.arange(1.0, 301.0)
    return Evidence(steps, np.log1p(case.parameters["rate"] * steps), np.zeros(300), 1e-12, "step $t$", "log")


def claim(name="margin", form="printed", evaluate=below, expected="violated", **changes):
    values = {
        "id": f"cabannes2024.theorem2.{name}",
        "form": form,
        "title": f"About {name} and $m_t$",
        "statement": r"For every $t$, $m_t \geq \log\left(1 + \frac{\eta c t}{2}\right)$, at \$1 a proof.",
        "source": Source("cabannes2024", "Theorem 2", "T2.5"),
        "quantity": "$m_t$",
        "relation": ">=",
        "bound": r"$\log(\eta c t + 1)$",
        "expected": Outcome(expected),
        "reason": "because",
        "family": family() if evaluate else None,
        "evaluate": evaluate,
        "cases": (8, 8),
        "directed": (4, 4),
    }
    return Claim(**(values | changes))


CLAIMS = [
    claim(),
    claim(form="corrected", evaluate=above, expected="holds", proof="convexity of $e^m + m$", bound="0"),
    claim("limit", evaluate=None, expected="not_testable", reason="an $O(1/t)$ without a constant"),
    claim("surprise", expected="holds"),
    claim("hostile", title=HOSTILE, statement=HOSTILE, reason=HOSTILE, quantity=HOSTILE, bound=HOSTILE),
]


@pytest.fixture(scope="module")
def page():
    return verify(CLAIMS, html=None, progress=False, jobs=1), verify(CLAIMS, progress=False).to_html()


class Outline(HTMLParser):
    """Collects tags, ids, references and visible text, and checks that tags are closed in order."""

    VOID = frozenset(("meta", "input", "br", "img", "link"))

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.words, self.tags = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src"):
                self.references.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


@pytest.fixture(scope="module")
def outline(page):
    parsed = Outline()
    parsed.feed(page[1])
    parsed.close()
    return parsed


def test_the_page_is_self_contained(page, outline):
    assert "http://" not in page[1]
    assert "https://" not in page[1]
    assert "@import" not in page[1]
    assert "url(" not in page[1]
    assert all(reference.startswith("#") for reference in outline.references)
    assert "default-src 'none'" in page[1]


def test_ids_are_unique_and_every_reference_has_a_target(outline):
    assert len(outline.ids) == len(set(outline.ids))
    assert {reference[1:] for reference in outline.references} <= set(outline.ids)
    assert not outline.open


def test_every_claim_is_on_the_page(page, outline):
    text = " ".join(outline.words)
    for each in CLAIMS:
        assert each.id in text
        assert each.id.replace(".", "-") in outline.ids
    assert page[1].count('class="form o-') == len(CLAIMS)


def test_formulas_are_set_and_none_is_left_as_source(outline):
    text = "".join(outline.words)
    assert "$" not in text.replace("$1 a proof", "")
    assert "\\" not in text
    labels = [a["aria-label"] for tag, a in outline.tags if tag == "span" and a.get("class") == "math"]
    assert r"m_t \geq \log\left(1 + \frac{\eta c t}{2}\right)" in labels


def test_hostile_text_stays_text(page, outline):
    assert "<script>alert" not in page[1]
    assert "<img" not in page[1]
    assert [tag for tag, _ in outline.tags].count("script") == 1
    assert HOSTILE in "".join(outline.words)


def test_unexpected_outcomes_are_said_at_the_top(page):
    top = page[1].split('id="glance"')[0]
    assert "1 of 5 outcomes differs from what was expected" in top
    assert "cabannes2024.theorem2.surprise" in top


def test_a_violated_claim_shows_the_lines_that_rerun_it(outline):
    text = "".join(outline.words)
    assert "import traindyn as td\nverdict = td.check('cabannes2024.theorem2.margin', form='printed'" in text


def test_two_runs_give_the_same_page_but_for_times(page):
    again = verify(CLAIMS, progress=False, jobs=1).to_html()

    def timeless(text):
        return re.sub(r"[\d.]+ s\b|\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", text)

    assert timeless(again) == timeless(page[1])


def test_every_formula_of_every_registered_claim_can_be_set():
    sheet = FormulaSheet()
    loose = []
    for each in claims():
        entry(Result(each, trouble="not evaluated"), sheet)
        texts = [each.title, each.statement, each.quantity, each.bound, each.reason, each.proof]
        texts += [str(assumption) for assumption in each.assumptions]
        loose += [(each.id, text) for text in texts if "\\" in FORMULA.sub("", text)]
    assert sheet.failures == []
    assert loose == []  # TeX outside dollars would be read as it stands


def test_an_unknown_command_is_shown_as_source_and_noted():
    sheet = FormulaSheet()
    assert '<code class="tex">\\nosuchthing{x}</code>' in sheet.prose(r"see $\nosuchthing{x}$")
    assert [tex for tex, _ in sheet.failures] == [r"\nosuchthing{x}"]


def test_a_glyph_is_stored_once():
    sheet = FormulaSheet()
    for _ in range(3):
        sheet.prose("$m$ and $m + m$")
    assert sheet.definitions().count("<path") == 2


@pytest.mark.parametrize(
    "source",
    [
        r"a = b + c",
        r"-a \leq -b",
        r"e^{a = b}",
        r"\left(a = b\right) + c",
        r"f(x = 1), \quad y > 0",
        r"a = \left\{ b + c \right\}",
    ],
)
def test_line_breaks_lose_nothing_and_keep_brackets_together(source):
    pieces = tex.split(source)
    assert "".join(pieces) == source
    for piece in pieces:
        assert piece.count("{") == piece.count("}")
        assert piece.count("(") == piece.count(")")
        assert piece.count(r"\left") == piece.count(r"\right")


def test_a_sign_of_a_number_is_not_cut_off():
    assert tex.split(r"-a \leq -b + c") == [r"-a \leq ", "-b + ", "c"]


@pytest.mark.parametrize("relation", [">=", "<=", "==", ">", "<"])
@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(np.array([3.0]), np.array([1.0]), np.array([1.0])),
        Evidence(np.arange(5.0), np.full(5, np.nan), np.ones(5)),
        Evidence(np.arange(5.0), np.array([1, np.inf, 2, -np.inf, 3.0]), np.ones(5)),
        Evidence(np.zeros(4), np.arange(4.0), np.zeros(4)),
        Evidence(np.tile(np.arange(6.0), 2), np.arange(12.0), np.ones(12), 1e-3, "step", "log"),
        Evidence(np.arange(5000.0), np.sin(np.arange(5000.0)), np.zeros(5000), 0.5),
        Evidence(np.logspace(-300, 300, 50), np.logspace(-300, 300, 50), np.logspace(300, -300, 50), 0.0, "x", "log"),
        Evidence(np.arange(9.0), np.full(9, 1e16), np.full(9, 1e16) + 2.0, 4.0),
    ],
)
def test_every_evidence_can_be_drawn_with_finite_coordinates(evidence, relation):
    svg = picture.draw(evidence, relation, "a & b")
    assert "nan" not in svg.lower().replace("aria", "")
    assert "inf" not in svg
    assert svg.count("<path") == svg.count("/>") - svg.count("<circle") - svg.count("<rect")
    assert len(svg) < 40_000


def test_the_violated_part_is_shaded_and_only_that():
    steps = np.arange(10.0)
    good = picture.draw(Evidence(steps, steps + 1, steps, 1e-12), ">=", "d")
    bad = picture.draw(Evidence(steps, steps, steps + (steps > 5) - (steps <= 5), 1e-12), ">=", "d")
    assert 'class="fails"' not in good
    assert 'class="fails"' in bad


def test_stacked_and_interleaved_evidence_is_drawn_as_curves_not_as_zigzag():
    stacked = Evidence(np.tile(np.arange(1.0, 6.0), 2), np.repeat([1.0, 2.0], 5), np.zeros(10))
    interleaved = Evidence(np.repeat(np.arange(1.0, 6.0), 2), np.tile([1.0, 2.0], 5), np.zeros(10))
    lines = [
        sorted(re.findall(r'<path class="quantity" d="([^"]*)"', picture.draw(evidence, ">=", "d")))
        for evidence in (stacked, interleaved)
    ]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 2


def test_axis_positions_and_ticks():
    logarithmic = scale.Axis("log", 1e-3, 1e3)
    np.testing.assert_allclose(logarithmic.position(np.array([1e-3, 1.0, 1e3])), [0, 0.5, 1], atol=1e-15)
    assert logarithmic.ticks(4) == [(1e-2, "10^-2"), (1.0, "1"), (1e2, "100")]
    assert [label for _, label in scale.Axis("linear", 0.0, 1.0).ticks(5)] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    signed = scale.Axis("symlog", -10.0, 10.0, 0.1)
    np.testing.assert_allclose(signed.position(np.array([-10.0, 0.0, 10.0])), [0, 0.5, 1], atol=1e-15)


def test_numbers_as_a_reader_sees_them():
    assert wording.number_html(-3.2e-11) == "−3.2 × 10<sup>−11</sup>"
    assert wording.digits_html("-4.5e-60") == "−4.5 × 10<sup>−60</sup>"
    assert wording.number(float("inf")) == "∞"
    assert [wording.place_title(w) for w in ("appendix_b", "section51", "proposition5")] == [
        "Appendix B",
        "Section 5.1",
        "Proposition 5",
    ]


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("at eta = 0.1, c = 2 it fails", [r"\eta  = 0.1", "c = 2"]),
        ("log(1+e^-m) <= log 2 + max(-m, 0) holds", [r"\log (1+e^{-m}) \leq  \log  2 + \max (-m, 0)"]),
        ("true (see e^{m_i} + m_i), always", ["e^{m_{i}} + m_{i}"]),
        ("the range span{u_i-u_j} of W", [r"\mathrm{span}\{u_{i}-u_{j}\}", "W"]),
        ("along (u_2-u_1) (x) e_2", [r"(u_{2}-u_{1}) \otimes  e_{2}"]),
        ("above k* in Appendix C, row T4.6 (17), a 0-1 loss of 1/2", ["k^{*}"]),
        ("A step of a two-sided bound, e.g. I and he, as is", []),
        ("sqrt(p_1p_2) and 1e-4", [r"\sqrt{p_{1}p_{2}}", "10^{-4}"]),
        ("the value 7.8e4 stays below 22180", [r"7.8\times 10^{4}"]),
    ],
)
def test_formulas_typed_as_text_are_found(text, formulas):
    pieces = typed.split(text)
    assert "".join(source for _, _, source in pieces) == text
    assert [found for is_formula, found, _ in pieces if is_formula] == formulas


def test_a_typed_formula_that_cannot_be_set_stays_text():
    sheet = FormulaSheet()
    assert sheet._formula_or_none(r"\nosuchthing") is None
    assert sheet.failures == []
