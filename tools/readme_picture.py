"""Draw the picture of the README again: `python tools/readme_picture.py` writes docs/images/verify.png and .svg."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from traindyn.validation.figures import figure

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"


def main() -> None:
    """Draw the figure and copy its picture files to their place."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        drawn = figure("traindyn.overview", out=folder)
        for path in (drawn.picture, drawn.vector):
            shutil.copyfile(path, IMAGES / f"verify{path.suffix}")
            print(f"wrote {IMAGES / f'verify{path.suffix}'}")


if __name__ == "__main__":
    main()
