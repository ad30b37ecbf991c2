"""Labels of FER2013 and of its second labelling, FER+, by the votes of ten taggers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fervid.datasets import Option, naming
from fervid.labels import EMOTIONS

CODES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")  # of FER2013
USAGES = ("Training", "PublicTest", "PrivateTest")
SIDE = 48  # pixels
# The columns of FER+; the last two are not labels.
COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",  # no face
)

Votes = npt.NDArray[np.int64]  # (N, 10) in the order of COLUMNS
Labelling = tuple[str, dict[str, float]]  # a label, and shares of votes or nothing

LABELS = Option("original", "those of FER2013, or of FER+ if most taggers agree", ("original", "majority"))
CLASSES = Option("7", "7, or 8 with contempt", ("7", "8"))
CHOSEN = {"7": EMOTIONS, "8": naming.ORDER}


def label(
    codes: Sequence[int], votes: Votes | None, chosen: Sequence[str], by_majority: bool, soft: bool
) -> list[Labelling | None]:
    """Return the label and shares of each picture, or None for a picture without a label.

    Shares are of the votes for the chosen labels; other votes are dropped. By majority, a label needs more
    than half of all votes, including the dropped ones, as the authors of FER+ define it.
    """
    if votes is None:
        return [(CODES[code], {}) for code in codes]
    columns = [COLUMNS.index(name) for name in chosen]
    counts = votes[:, columns]  # (N, C)
    best = counts.argmax(1)
    has_majority = 2 * counts.max(1) > votes.sum(1)
    labelled: list[Labelling | None] = []
    for row, code in enumerate(codes):
        if by_majority and not has_majority[row]:
            labelled.append(None)
            continue
        total = int(counts[row].sum())
        shares = (
            {chosen[i]: int(counts[row, i]) / total for i in np.flatnonzero(counts[row]).tolist()}
            if soft
            else {}
        )
        labelled.append((chosen[int(best[row])] if by_majority else CODES[code], shares))
    return labelled
