"""Formulas that were typed as plain text: ``m_t >= log(eta c t + 1)`` within a sentence.

Reasons and proof ideas are written to be read in a terminal as well, so their formulas are often plain text.  A run of
words is taken for a formula if every word of it is built from single letters, numbers, names of Greek letters, names
of functions and signs, and at least one of them could be nothing else; everything else stays text.
"""

from __future__ import annotations

import re

_GREEK = frozenset(
    (
        "alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "pi", "rho",
        "sigma", "tau", "phi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Pi", "Sigma", "Phi", "Psi",
        "Omega",
    )
)  # fmt: skip
_FUNCTIONS = frozenset(["log", "exp", "sinh", "cosh", "tanh", "max", "min", "sup"])
_NAMES = {"sum": r"\sum ", "prod": r"\prod ", "gbar": r"\bar\gamma ", "span": r"\mathrm{span}", "grad": r"\nabla "}
_SIGNS = {"<=": r"\leq ", ">=": r"\geq ", "->": r"\to ", "~": r"\sim ", "*": r"\cdot "}
_SHORT = frozenset(  # words of two letters that are words
    (
        "am", "an", "as", "at", "be", "by", "do", "go", "he", "if", "in", "is", "it", "me", "my", "no", "of", "oh",
        "ok", "on", "or", "so", "to", "up", "us", "we", "al", "vs",
    )
)  # fmt: skip
_LONG = frozenset(["Mpt", "sqrt"])
_KNOWN = _GREEK | _FUNCTIONS | _NAMES.keys()

_TOKEN = re.compile(
    r"\d+(?:\.\d+)?e[+-]?\d+(?![A-Za-z])|\d+(?:\.\d+)?|\.\d+|[A-Za-z]+|<=|>=|->|[-+*/=<>~|()\[\]{}^_',;.!]"
)
_INDEX = re.compile(r"_(?:\{[^{}]*\}|[A-Za-z]+|\d+|[+-])")
_EDGE = re.compile(r"^(?P<before>[(\[]*)(?P<word>.*?)(?P<after>[.,;:!?]*)$", re.DOTALL)
_NOT = re.compile(r"\d+-\d+|[A-Za-z]\d[\d.]*|\(?[\d.]+\)?|[-+]?\d+/\d+|[A-Za-z]-[A-Za-z]+")  # 0-1, T4.6, (17), 1/2


def split(text: str) -> list[tuple[bool, str, str]]:
    r"""Return the text as pieces (is it a formula, its TeX, the text itself); joined, the texts are the whole.

    >>> split("so gamma_1 <= 2K, and both decay")
    [(False, '', 'so '), (True, '\\gamma _{1} \\leq  2K', 'gamma_1 <= 2K'), (False, '', ', and both decay')]
    >>> split("rows T4.6 and (17): a two-sided 0-1 loss")
    [(False, '', 'rows T4.6 and (17): a two-sided 0-1 loss')]
    """
    pieces: list[tuple[bool, str, str]] = []
    words = re.findall(r"\s+|\S+", text)
    index, plain = 0, ""
    while index < len(words):
        end = index if words[index].isspace() or _is_label(plain, words[index]) else _run(words, index)
        found = _formula("".join(words[index:end])) if end > index else None
        if found is None:
            plain += words[index]
            index += 1
            continue
        before, core, after = found
        plain += before
        if plain:
            pieces.append((False, "", plain))
        pieces.append((True, _tex(core), core))
        plain, index = after, end
    return [*pieces, (False, "", plain)] if plain else pieces


def _run(words: list[str], start: int) -> int:
    """Return the end of the run of formula words that begins here; `start` if there is none."""
    end = start
    for index in range(start, len(words)):
        word = words[index]
        if word.isspace():
            continue
        match = _EDGE.match(word)
        assert match is not None
        if not _is_word(word.rstrip(".,;:!?")):
            break
        end = index + 1
        if match["after"] and _open("".join(words[start:end])) <= 0:
            break
    return end


def _is_label(before: str, word: str) -> bool:
    """Return whether a letter names a part of a text, as in "Appendix C"."""
    return bool(re.search(r"(?:Appendix|Lemma|Section|Theorem|[Rr]ow) $", before) and re.match(r"[A-Z]\b", word))


def _is_word(word: str) -> bool:
    """Return whether a word consists of nothing but parts of formulas."""
    if word == "(x)":
        return True
    rest = _INDEX.sub("", word)
    if "".join(_TOKEN.findall(rest)) != rest or not rest:
        return False
    bound = word != rest or any(sign in rest for sign in "+-*/=<>^|(")
    for letters in re.findall(r"[A-Za-z]+", re.sub(r"\de[+-]?\d", "", rest)):
        known = letters in _KNOWN or letters in _LONG
        if not known and (len(letters) > 2 or (len(letters) == 2 and not bound and letters.lower() in _SHORT)):
            return False
    return True


def _formula(source: str) -> tuple[str, str, str] | None:
    """Return (text before, formula, text after) of a run, or None if it is not worth setting or not balanced."""
    match = re.match(r"^(.*?)([.,;:!?\s]*)$", source, re.DOTALL)
    assert match is not None
    core, after = match.groups()
    before = ""
    while core.startswith(("(", "[")) and _open(core) > 0:
        before, core = before + core[0], core[1:]
    while core.endswith((")", "]")) and _open(core) < 0:
        core, after = core[:-1], core[-1] + after
    if _open(core) != 0 or core.count("|") % 2 or not _worthwhile(core):
        return None
    return before, core, after


def _open(text: str) -> int:
    return sum(text.count(sign) for sign in "([{") - sum(text.count(sign) for sign in ")]}")


def _worthwhile(core: str) -> bool:
    if not core or _NOT.fullmatch(core) or core in _FUNCTIONS | _NAMES.keys() | {"a", "A", "I", "-", "O"}:
        return False
    if re.match(r"(?:a|A|I)\s+(?![-+*/=<>])", core) and not re.match(r"A\s+\S*[_^(]", core):
        return False  # the article
    symbols = r"[A-Za-z]'?(?:\s[A-Za-z]'?)*|\([A-Za-z](?:,\s[A-Za-z])+\)"  # "u W e", "(i, j)"
    if re.fullmatch(symbols, core) or re.search(r"[_^]|[A-Za-z]'?\(|[<>=~]", core):
        return True
    if re.fullmatch(r"-?[\d.]+e[+-]?\d+", core):
        return True
    letters = set(re.findall(r"[A-Za-z]+", core))
    return bool(letters & _KNOWN) or bool(re.search(r"[A-Za-z)]\s*[-+*/]|[-+*/]\s*[A-Za-z(]", core))


def _tex(source: str) -> str:
    """Return the TeX of a formula that was typed as plain text."""
    source = re.sub(r"(?<=\s)\(x\)(?=\s)", "⊗", source).replace("(.)", "(·)")
    source = re.sub(r"(?<=[A-Za-z])\*(?![A-Za-z0-9])", "^*", source)  # k*, not a product
    parts, index = [], 0
    while index < len(source):
        rest = source[index:]
        if rest[0] in "^_":
            inside, used = _script(rest[1:])
            parts.append(f"{rest[0]}{{{inside}}}")
            index += 1 + used
            continue
        if rest.startswith("sqrt("):
            inside, used = _script(rest[4:])
            parts.append(rf"\sqrt{{{inside}}}")
            index += 4 + used
            continue
        token = _TOKEN.match(rest)
        word = token.group() if token else rest[0]
        parts.append(_symbol(word))
        index += len(word)
    return "".join(parts)


def _symbol(word: str) -> str:
    if word in _NAMES:
        return _NAMES[word]
    if word in _KNOWN:
        return f"\\{word} "
    if re.fullmatch(r"[\d.]+e[+-]?\d+", word):
        mantissa, exponent = word.split("e")
        power = f"10^{{{int(exponent)}}}"
        return power if mantissa == "1" else rf"{mantissa}\times {power}"
    return {"{": r"\{", "}": r"\}", "⊗": r"\otimes ", "·": r"\cdot "}.get(word) or _SIGNS.get(word, word)


def _script(rest: str) -> tuple[str, int]:
    """Return the TeX of an index or exponent and how many characters it takes."""
    for opening, closing in (("{", "}"), ("(", ")")):
        if rest.startswith(opening):
            depth = 0
            for place, sign in enumerate(rest):
                depth += (sign == opening) - (sign == closing)
                if depth == 0:
                    return _tex(rest[1:place]), place + 1
    match = re.match(r"-?(?:[A-Za-z]+|\d+(?:\.\d+)?)(?:_[A-Za-z0-9])?|[-+*]", rest)
    if match is None:
        return "", 0
    word = match.group()
    named = {"max": r"\max", "min": r"\min", "plus": "+", "minus": "-", "inf": r"\infty", "*": "*"}.get(word)
    if named is None and re.fullmatch(r"[A-Za-z]{2,}", word) and word not in _KNOWN:
        named = rf"\mathrm{{{word}}}"
    return named or _tex(word), len(word)
