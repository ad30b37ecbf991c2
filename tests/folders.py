"""Tiny copies of datasets on disk, and checks of what a reader returns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from fervid import datasets
from fervid.datasets import Dataset
from fervid.errors import FervidError, InputError

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def write(root: Path, *names: str, text: str = "x") -> Path:
    """Write files of a few bytes; a name that ends with a slash is a folder."""
    for name in names:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return root


def seen(dataset: Dataset) -> dict[str, str]:
    return {sample.name: sample.label for sample in dataset.samples}


def remarked(dataset: Dataset, *texts: str) -> bool:
    """Return whether each text is in a remark; ` ... ` in it stands for any characters."""
    patterns = [".*".join(map(re.escape, text.split(" ... "))) for text in texts]
    return all(any(re.search(pattern, remark) for remark in dataset.remarks) for pattern in patterns)


def fails(
    spec: str, match: str | None = None, words: Sequence[str] = (), error: type[FervidError] = InputError
) -> None:
    """Check that reading a dataset raises an error with a message that matches and contains the words."""
    with pytest.raises(error, match=match) as caught:
        datasets.read(spec)
    assert all(word in str(caught.value) for word in words), str(caught.value)
