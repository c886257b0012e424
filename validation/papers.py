"""The papers whose claims are checked, and how to cite them."""

from __future__ import annotations

from ..errors import unknown_name

BIBTEX = {
    "cabannes2024": """@inproceedings{cabannes2024,
  title     = {Learning Associative Memories with Gradient Descent},
  author    = {Cabannes, Vivien and {\\c S}im{\\c s}ek, Berfin and Bietti, Alberto},
  booktitle = {Proceedings of the 41st International Conference on Machine Learning},
  series    = {PMLR},
  volume    = {235},
  year      = {2024},
  eprint    = {2402.18724},
  archiveprefix = {arXiv},
}""",
}


def cite(name: str) -> str:
    """Return the BibTeX entry of a paper, of the paper of a claim, or of a figure's paper.

    Parameters
    ----------
    name : a paper's key ("cabannes2024") or any id that begins with one

    Raises
    ------
    InputError : no paper has that key.

    Examples
    --------
    >>> import traindyn as td
    >>> print(td.cite("cabannes2024.theorem2.descent_margin").splitlines()[0])
    @inproceedings{cabannes2024,
    """
    key = name.split(".", 1)[0]
    if key not in BIBTEX:
        raise unknown_name("paper", name, BIBTEX)
    return BIBTEX[key]
