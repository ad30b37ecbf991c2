"""Names as plain ASCII text, for EDL."""

from __future__ import annotations

import re
import unicodedata

from fervid.files import one_line


def ascii_line(text: str) -> str:
    """Return text as one line of ASCII: accents are dropped, other characters become underscores."""
    bare = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return one_line("".join(letter if letter.isascii() else "_" for letter in bare))


def word(text: str) -> str:
    """Return text with only ASCII letters, digits, `_`, `-` and `.`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", ascii_line(text))
