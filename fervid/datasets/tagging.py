"""What FER2013 and its second labelling, FER+, share: codes, ten taggers' votes, and labels from both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fervid.datasets import Option, naming
from fervid.labels import EMOTIONS

CODES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")  # of FER2013
USAGES = ("Training", "PublicTest", "PrivateTest")
SIDE = 48  # pixels
# FER+'s columns, in the order of its table; the last two are no labels.
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
Labelling = tuple[str, dict[str, float]]  # a label, and shares where there are any

LABELS = Option("original", "FER2013's own, or FER+'s where most taggers agree", ("original", "majority"))
CLASSES = Option("7", "7, or 8 with contempt", ("7", "8"))
CHOSEN = {"7": EMOTIONS, "8": naming.ORDER}


def label(
    codes: Sequence[int], votes: Votes | None, chosen: Sequence[str], by_majority: bool, soft: bool
) -> list[Labelling | None]:
    """A label and shares for each picture; None for one that has no label.

    Shares are over the chosen labels alone: votes for others, for `unknown` and for no face are dropped. By
    majority, a label needs more than half of all votes, the dropped ones included, as FER+'s authors have it.
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
            {chosen[at]: int(counts[row, at]) / total for at in np.flatnonzero(counts[row]).tolist()}
            if soft
            else {}
        )
        labelled.append((chosen[int(best[row])] if by_majority else CODES[code], shares))
    return labelled
