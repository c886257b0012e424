"""Draw the gallery: `python tools/gallery.py [NAME ...]` draws figures and experiments into docs/images/gallery and
records what they found in docs/gallery.json; the pages docs/gallery.md and docs/experiments/*.md are written from the
definitions and that record alone (`--pages` writes them without drawing).

An experiment is drawn at full size if that takes at most `--limit` CPU seconds by its definition, else at the quick
size; its page says which. A figure of a paper is drawn in both versions.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from traindyn.validation.figures import Definition, FigureFiles, Finding, figure, figures
from traindyn.validation.figures.rendering import picture

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
IMAGES, RECORD, GALLERY, EXPERIMENTS = (
    DOCS / "images" / "gallery", DOCS / "gallery.json", DOCS / "gallery.md", DOCS / "experiments",
)  # fmt: skip
WORK = ROOT / "out" / "gallery"  # a killed run goes on from the stores that lie here
LARGEST_SVG = 300_000  # bytes
DOTS_PER_INCH = 150
NOTE = "<!-- written by tools/gallery.py: change the definitions of the figures, not this page -->\n"

Record = dict[str, Any]


def drawn(definition: Definition, limit: float) -> Record:
    """Draw every version of a figure, put the pictures in their place, and return what was found."""
    quick = definition.quick_seconds is not None and definition.seconds > limit
    resumed = any(WORK.glob(f"{definition.name}{'-quick' if quick else ''}.*.db"))
    before = time.process_time()
    result = figure(definition.name, WORK, quick=quick, progress=sys.stderr.isatty())
    spent = time.process_time() - before
    facts = json.loads(result.provenance.read_text(encoding="utf-8"))
    record: Record = {name: facts[name] for name in ("size", "version", "seed", "processor", "libraries")}
    record |= {
        "cpu_seconds": None if resumed else float(f"{spent:.2g}"),  # None: a part was done by a call that was killed
        "data_sha256": facts["sha256"]["npz"],
        "findings": facts["findings"],
        "picture": placed(definition, result, as_published=False),
    }
    if definition.published:
        published = figure(definition.name, WORK, as_published=True)
        record["published_picture"] = placed(definition, published, as_published=True)
        record["published_findings"] = json.loads(published.provenance.read_text(encoding="utf-8"))["findings"]
    return record


def placed(definition: Definition, result: FigureFiles, as_published: bool) -> str:
    """Write the smaller sensible picture into the docs, and return its name."""
    stem = definition.name + ("-as-published" if as_published else "")
    content, ending = result.vector.read_bytes(), "svg"
    if len(content) > LARGEST_SVG:
        content, ending = with_palette(picture(definition, result.numbers, as_published, "png", DOTS_PER_INCH)), "png"
    IMAGES.mkdir(parents=True, exist_ok=True)
    for old in (IMAGES / f"{stem}.svg", IMAGES / f"{stem}.png"):
        old.unlink(missing_ok=True)
    (IMAGES / f"{stem}.{ending}").write_bytes(content)
    return f"{stem}.{ending}"


def with_palette(content: bytes) -> bytes:
    """Return a PNG with 256 colours, about a third of the size."""
    from PIL import Image  # matplotlib needs it too

    stream = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(256).save(stream, "png", optimize=True)
    return stream.getvalue()


def findings(record: Record, key: str = "findings") -> tuple[Finding, ...]:
    """Return the recorded findings."""
    return tuple(Finding(**each) for each in record[key])


def word(definition: Definition) -> str:
    """Return the last word of a name, which names the page of an experiment."""
    return definition.name.rsplit(".", 1)[-1]


def gallery_page(known: Iterable[Definition], records: dict[str, Record]) -> str:
    """Return the text of the gallery."""
    shown = [(each, records[each.name]) for each in known if each.name in records]
    parts = [
        NOTE,
        "# Gallery\n",
        "Every figure of the paper and every experiment of its review, as this package draws them. Pictures, numbers "
        "and outcomes on this page were printed by the code; the sentences below a picture are what it proves or "
        "refutes. How to draw, vary and add figures: [figures and experiments](how-to/figures.md).\n",
    ]
    for heading, wanted in (("## Figures", False), ("## Experiments", True)):
        chosen = [(each, record) for each, record in shown if each.is_experiment is wanted]
        if chosen:
            parts.append(f"{heading}\n")
        for definition, record in chosen:
            parts += entry(definition, record)
    return "\n".join(parts)


def entry(definition: Definition, record: Record) -> list[str]:
    """Return the paragraphs of one figure."""
    parts = [f"### {definition.title}\n", f"![{alternative(definition)}](images/gallery/{record['picture']})\n"]
    if definition.is_experiment:
        parts.append(f"**Question.** {definition.question}\n")
    parts.append(f"{definition.caption}\n")
    if record["findings"]:
        parts.append(sentences(findings(record)))
    if definition.is_experiment:
        parts.append(f"[The experiment's page](experiments/{word(definition)}.md): hypothesis, method, numbers.\n")
    if "published_picture" in record:
        parts.append("<details><summary>as published</summary>\n")
        parts.append(f"![{alternative(definition)}, as published](images/gallery/{record['published_picture']})\n")
        if definition.quirks:
            parts.append("What this version keeps:\n")
            parts.append("".join(f"- {quirk}\n" for quirk in definition.quirks))
        parts.append("</details>\n")
    parts.append(commands(definition))
    parts.append(f"{cost(definition)} Drawn here at {record['size']} size, {spent_on(record)}.\n")
    return parts


def experiment_page(definition: Definition, record: Record) -> str:
    """Return the text of an experiment's page."""
    return "\n".join([
        NOTE,
        f"# {definition.title}\n",
        f"**Question.** {definition.question}\n",
        f"**Hypothesis.** {definition.hypothesis}\n",
        f"**Method.** {definition.method}\n",
        f"![{alternative(definition)}](../images/gallery/{record['picture']})\n",
        f"{definition.caption}\n",
        "## Answer\n",
        table(findings(record)),
        "A sentence is open where its interval crosses an end of the range that it names; a number without an interval "
        "is exact.\n",
        "## Run it\n",
        commands(definition),
        f"{cost(definition)} {run_of(record)}\n",
        f"In Python, `{function(definition)}`; a `Request` says size, seed, store and executor: "
        "[figures and experiments](../how-to/figures.md). [All figures](../gallery.md).\n",
    ])  # fmt: skip


def alternative(definition: Definition) -> str:
    """Return the words in place of a picture."""
    return re.sub(r"[\[\]]", "", definition.title)


def sentences(found: tuple[Finding, ...]) -> str:
    """Return findings as a list."""
    return "".join(f"- **{each.outcome}:** {each.statement}: {each.number} ({each.basis}).\n" for each in found)


def table(found: tuple[Finding, ...]) -> str:
    """Return findings as a table."""
    rows = [(each.outcome, each.statement, each.number, each.basis) for each in found]
    lines = ["| outcome | sentence | number | basis |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def commands(definition: Definition) -> str:
    """Return the lines that draw a figure again."""
    lines = [f"traindyn figure {definition.name}"]
    if definition.quick_seconds is not None:
        lines.append(f"traindyn figure {definition.name} --quick")
    if definition.published:
        lines.append(f"traindyn figure {definition.name} --as-published")
    return "```sh\n" + "\n".join(lines) + "\n```\n"


def cost(definition: Definition) -> str:
    """Return what a figure costs, in a sentence."""
    quick = "" if definition.quick_seconds is None else f", the quick size {definition.quick_seconds:g}"
    return f"It takes about {definition.seconds:g} CPU seconds{quick}, once everything is compiled."


def run_of(record: Record) -> str:
    """Return where the numbers on the page come from, in a sentence."""
    return (
        f"The numbers are those of a run at {record['size']} size with seed {record['seed']} by traindyn "
        f"{record['version']} ({record['libraries']}; {record['processor']}; {spent_on(record)}; "
        f"data sha256 {record['data_sha256'][:12]})."
    )


def spent_on(record: Record) -> str:
    """Return what the run took, in words."""
    spent = record["cpu_seconds"]
    return "in several goes" if spent is None else f"in {spent:g} CPU seconds with compilation"


def function(definition: Definition) -> str:
    """Return the full name of the function behind a figure."""
    return f"{definition.compute.__module__}.{definition.compute.__qualname__}"


def pages(known: Iterable[Definition], records: dict[str, Record]) -> dict[Path, str]:
    """Return the text of every page by its path."""
    listed = tuple(known)
    texts = {GALLERY: gallery_page(listed, records)}
    for definition in listed:
        if definition.is_experiment and definition.name in records:
            texts[EXPERIMENTS / f"{word(definition)}.md"] = experiment_page(definition, records[definition.name])
    return texts


def recorded() -> dict[str, Record]:
    """Return what was found when the figures were drawn, by name."""
    if not RECORD.exists():
        return {}
    records: dict[str, Record] = json.loads(RECORD.read_text(encoding="utf-8"))
    return records


def main() -> None:
    """Draw what is asked for, and write the record and the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw again; all of them when left out")
    parser.add_argument("--limit", type=float, default=180.0, help="most CPU seconds of a full size (default 180)")
    parser.add_argument("--pages", action="store_true", help="write the pages from the record, and draw nothing")
    given = parser.parse_args()
    known = {each.name: each for each in figures()}
    if unknown := set(given.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; `traindyn figures` lists them")
    records = {name: record for name, record in recorded().items() if name in known}
    for name in () if given.pages else given.names or known:
        record = drawn(known[name], given.limit)
        print(f"{name}: {record['size']}, {spent_on(record)}", flush=True)
        drawn_by_now = {**recorded(), name: record}  # read anew: another call may draw other figures meanwhile
        records = {each: drawn_by_now[each] for each in known if each in drawn_by_now}
        RECORD.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    texts = pages(known.values(), records)
    pictures = {record.get(key) for record in records.values() for key in ("picture", "published_picture")}
    stale = [page for page in EXPERIMENTS.glob("*.md") if page not in texts]
    for old in stale + [each for each in IMAGES.glob("*.*") if each.name not in pictures]:
        old.unlink()
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
