"""The same person across shots: which faces tell, which tracks are one person's, and what they are called."""

from fervid.people.gallery import Gallery, check_name, near, read_gallery, recognised
from fervid.people.grouping import number, tell_apart
from fervid.people.likeness import APART, best, empty, joined

__all__ = [
    "APART",
    "Gallery",
    "best",
    "check_name",
    "empty",
    "joined",
    "near",
    "number",
    "read_gallery",
    "recognised",
    "tell_apart",
]
