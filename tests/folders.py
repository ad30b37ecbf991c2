"""Tiny copies of datasets on disk, and checks of what a reader returns."""

from __future__ import annotations

from pathlib import Path

from fervid.datasets import Dataset

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


def remarked(dataset: Dataset, *words: str) -> bool:
    """Return whether a remark contains all the words."""
    return any(all(word in remark for word in words) for remark in dataset.remarks)
