"""The gallery holds every figure, its pages are what the record and the definitions say, and the record is true."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from traindyn.validation.figures import Definition, Finding, Numbers, Request, figures
from traindyn.validation.figures.catalogue import find

TOOL = Path(__file__).resolve().parents[2] / "tools" / "gallery.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_figure_is_in_the_gallery(tool: ModuleType) -> None:
    assert list(tool.recorded()) == [each.name for each in figures()], "run: python tools/gallery.py NAME"


def test_pages_are_those_of_the_record(tool: ModuleType) -> None:
    texts = tool.pages(figures(), tool.recorded())
    for path, text in texts.items():
        assert path.read_text(encoding="utf-8") == text, "run: python tools/gallery.py --pages"
    assert set(tool.EXPERIMENTS.glob("*.md")) == {path for path in texts if path.parent == tool.EXPERIMENTS}


def test_pages_hold_what_a_definition_and_its_findings_say(tool: ModuleType) -> None:
    records = tool.recorded()
    gallery = tool.GALLERY.read_text(encoding="utf-8")
    for definition in figures():
        pages = [gallery]
        if definition.is_experiment:
            pages.append((tool.EXPERIMENTS / f"{tool.word(definition)}.md").read_text(encoding="utf-8"))
            assert definition.question in gallery
            assert all(part in pages[1] for part in (definition.hypothesis, definition.method))
        for page in pages:
            assert definition.title in page
            assert definition.caption in page
            assert f"traindyn figure {definition.name}\n" in page
            for found in tool.findings(records[definition.name]):
                assert found.number in page
                assert found.statement.replace("|", r"\|") in page or found.statement in page


def test_every_figure_says_what_to_see(tool: ModuleType) -> None:
    assert [each.name for each in figures() if len(each.caption.split()) < 15] == []
    assert [each.name for each in figures() if each.is_experiment and not tool.recorded()[each.name]["findings"]] == []


def test_pictures_are_there_and_small(tool: ModuleType) -> None:
    records = tool.recorded().values()
    named = {record[key] for record in records for key in ("picture", "published_picture") if key in record}
    there = {path.name: path.stat().st_size for path in tool.IMAGES.iterdir()}
    assert set(there) == named
    assert sum(there.values()) < 4 * 2**20
    assert all(size <= tool.LARGEST_SVG for name, size in there.items() if name.endswith(".svg"))
    for definition in figures():
        assert ("published_picture" in tool.recorded()[definition.name]) is definition.published


@pytest.mark.parametrize("name", ["cabannes2024.fig1", "cabannes2024.fig2"])
def test_the_record_is_what_the_code_finds(tool: ModuleType, name: str) -> None:
    record = tool.recorded()[name]
    for published, key in ((False, "findings"), (True, "published_findings")):
        now = find(name).compute(Request(as_published=published)).findings
        assert [each.statement for each in now] == [each["statement"] for each in record[key]]
        for new, old in zip(now, tool.findings(record, key), strict=True):
            assert new.value == pytest.approx(old.value, rel=1e-9)  # another processor may round otherwise
            assert (new.outcome, new.basis) == (old.outcome, old.basis)


def test_one_figure_goes_through_the_whole_tool(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from traindyn.validation.figures import catalogue, style

    def compute(request):  # type: ignore[no-untyped-def]
        value = 0.25 if request.quick else 0.5
        found = Finding("The share | of runs", value, 0.1, 0.6, "95 % interval", "open")
        return Numbers({}, {}, findings=(found,))

    def draw(numbers, as_published):  # type: ignore[no-untyped-def]
        canvas = style.canvas(2.0, 1.5)
        canvas.subplots().plot([0.0, numbers.findings[0].value])
        return canvas

    definition = Definition(
        "test.tiny", "A line [of two]", 100.0, compute, draw, caption="It rises.", published=False, quick_seconds=1.0,
        question="Does it?", hypothesis="It does.", method="Look.",
    )  # fmt: skip
    monkeypatch.setattr(catalogue, "_all", lambda: {"test.tiny": definition})
    monkeypatch.setattr(tool, "WORK", tmp_path / "work")
    monkeypatch.setattr(tool, "IMAGES", tmp_path / "images")
    for limit, size, value in ((99.0, "quick", "0.25"), (100.0, "full", "0.5")):
        record = tool.drawn(definition, limit)
        texts = tool.pages([definition], {"test.tiny": record})
        page = texts[tool.EXPERIMENTS / "tiny.md"]
        assert f"| open | The share \\| of runs | {value} [0.1, 0.6] | 95 % interval |" in page
        assert f"a run at {size} size with seed 0" in page
        assert f"Drawn here at {size} size" in texts[tool.GALLERY]
        assert record["picture"] == "test.tiny.svg"
    monkeypatch.setattr(tool, "LARGEST_SVG", 10)
    assert tool.drawn(definition, 100.0)["picture"] == "test.tiny.png"
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["test.tiny.png"]
    content = (tmp_path / "images" / "test.tiny.png").read_bytes()
    assert int.from_bytes(content[16:20], "big") == 2.0 * tool.DOTS_PER_INCH
