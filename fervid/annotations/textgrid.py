"""Praat TextGrids, long and short."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from fractions import Fraction

from fervid.annotations import Annotation, Sheet, Tier, ordered, seconds
from fervid.errors import InputError

# Praat reads only quoted texts, <flags> and free-standing numbers in its text files. It ignores the rest, so
# the long and the short form read the same; an exclamation mark begins a comment.
TOKENS = re.compile(
    r'"(?P<text>[^"]*+(?:""[^"]*+)*+)"|<(?P<flag>\w+)>|(?<!\S)(?P<number>[-+]?\d[\d.eE+-]*)(?!\S)|!.*'
)


def read(data: bytes, path: str) -> Sheet:
    """Read all interval tiers; points have no duration to compare."""
    try:
        return Sheet(path, tuple(_tiers(_decoded(data, path))), is_on_player_clock=True)
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}): save it again") from error


def _decoded(data: bytes, path: str) -> str:
    if data.startswith(b"ooBinaryFile"):
        raise InputError(f"{path} is a binary TextGrid: save it as text (Save as text file...)")
    if data.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)):
        text = data.decode("utf-16")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")  # old files; English labels are the same in it
    if "chronological" in text[:100]:
        raise InputError(f"{path} is a chronological TextGrid: save it as text (Save as text file...)")
    if "TextGrid" not in text[:200]:
        raise InputError(f"{path} is not a TextGrid")
    return text


def _tiers(text: str) -> Iterator[Tier]:
    tokens = TOKENS.finditer(text)

    def string() -> str:
        return _next(tokens, "text").replace('""', '"')

    def number() -> Fraction:
        return seconds(_next(tokens, "number"))

    for skip in (string, string, number, number):  # what it is, twice; from, to
        skip()
    if _next(tokens, "flag") != "exists":
        return
    for _ in range(int(number())):
        kind, name = string(), string()
        number()  # from
        number()  # to
        count = int(number())
        if kind == "TextTier":
            for _ in range(count):
                number()
                string()
        elif kind == "IntervalTier":
            rows = [(number(), number(), string().strip()) for _ in range(count)]
            annotations = [Annotation(start, end, text) for start, end, text in rows if text and end > start]
            yield Tier(name.strip(), ordered(annotations))
        else:
            raise ValueError(f"it has a tier of the unknown kind {kind!r}")


def _next(tokens: Iterator[re.Match[str]], kind: str) -> str:
    token = next((token for token in tokens if token.lastgroup is not None), None)  # else a comment
    if token is None:
        raise ValueError("it ends early")
    if token.lastgroup != kind:
        raise ValueError(f"expected a {kind}, got {token[0][:40]}")
    return token[kind]
