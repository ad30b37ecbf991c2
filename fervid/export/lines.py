"""Text that must stay on its line: what EDL, and all that is read line by line, asks of names."""

from __future__ import annotations

import re
import unicodedata

from fervid.files import one_line


def ascii_line(text: str) -> str:
    """The same in plain letters: accents are taken off, what else is beyond ASCII becomes an underscore."""
    bare = (sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return one_line("".join(sign if sign.isascii() else "_" for sign in bare))


def word(text: str) -> str:
    """A name of letters, digits, `_`, `-` and `.` alone."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", ascii_line(text))
