"""Test datasets of pictures in one file: FER2013, FER+ and packs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from folders import POINTER, fails, remarked, seen, write
from hypothesis import given
from hypothesis import strategies as some

from fervid import datasets
from fervid.datasets import fer2013, naming, splitting, tagging
from fervid.labels import EMOTIONS

# --- FER2013 and FER+


HEAD = "emotion,pixels,Usage\n"
TAGS = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
PARTS = ("Training", "Training", "Training", "PublicTest", "PrivateTest")
VOTES = (
    (4, 0, 0, 0, 6, 0, 0, 0, 0, 0),  # anger
    (0, 5, 0, 0, 0, 0, 0, 0, 5, 0),  # half is not a majority
    (0, 0, 0, 0, 1, 1, 0, 8, 0, 0),  # contempt
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 10),  # no face
    (7, 0, 0, 3, 0, 0, 0, 0, 0, 0),  # neutral
)


def picture(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, (48, 48))
    values[0, :4] = (0, 9, 10, 255)
    return values


def pixels(seed: int) -> str:
    return " ".join(map(str, picture(seed).ravel()))


def fer(root: Path, *more: str, has_votes: bool = True) -> Path:
    rows = [f"{row},{pixels(row)},{part}\n" for row, part in enumerate(PARTS)]
    (root / "fer2013.csv").write_text(HEAD + "".join(rows) + "".join(more))
    if has_votes:
        tags = [f"{part},fer{n:07}.png,{','.join(map(str, VOTES[n]))}\n" for n, part in enumerate(PARTS)]
        (root / "fer2013new.csv").write_text(TAGS + "".join(tags))
    return root / "fer2013.csv"


def test_fer2013(tmp_path: Path) -> None:
    dataset = datasets.read(f"fer2013:{fer(tmp_path)}")
    assert seen(dataset) == {
        "Training/00000": "anger",
        "Training/00001": "disgust",
        "Training/00002": "fear",
        "PublicTest/00003": "happiness",
        "PrivateTest/00004": "sadness",
    }
    for row, sample in enumerate(dataset.samples):
        assert sample.pixels.luma.dtype == np.uint8
        assert (sample.pixels.luma == picture(row)).all()
        assert sample.split == PARTS[row]
        assert not sample.votes
    assert remarked(dataset, "5 rows; the whole set has 35,887")
    public = datasets.read(f"fer2013:{tmp_path}?usage=PublicTest")  # the path may be a folder
    assert list(seen(public)) == ["PublicTest/00003"]
    parts = splitting.official(dataset.samples)
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [3, 1, 1]


def test_fer2013_in_the_other_order_of_columns(tmp_path: Path) -> None:
    rows = [f"{row}, {part},{pixels(row)}\r\n" for row, part in enumerate(PARTS)]
    text = "\ufeffemotion, Usage, pixels\r\n" + "".join(rows)
    (tmp_path / "icml_face_data.csv").write_text(text, encoding="utf-8", newline="")
    other = datasets.read(f"fer2013:{tmp_path}/icml_face_data.csv")
    fer(tmp_path, has_votes=False)
    usual = datasets.read(f"fer2013:{tmp_path}/fer2013.csv")
    assert seen(other) == seen(usual)
    for ours, theirs in zip(other.samples, usual.samples, strict=True):
        assert (ours.pixels.luma == theirs.pixels.luma).all()


def test_fer2013_with_odd_rows(tmp_path: Path) -> None:
    good, black = pixels(1), " ".join(["0"] * 2304)
    odd = [f"7,{good},Training\n", f"x,{good},Training\n", "0,1 2 3,Training\n", f"0,{good},Other\n"]
    odd += [f"0,{good[:-1]}x,Training\n", f"0,{'256' + good[1:]},Training\n", "\n", "0,1,2,3\n"]
    odd += [f"0,{good.replace(' ', '  ', 1)},Training\n", f'0,"{black}","Training"\n', "0,7 7"]
    dataset = datasets.read(f"fer2013:{fer(tmp_path, *odd)}")
    assert len(dataset.samples) == 6
    assert remarked(dataset, "not a code from 0 to 6 ... 2 (row 5, row 6)")
    assert remarked(dataset, "without 48x48 pixels ... : 4 (row 7, row 9, row 10, ...)")
    assert remarked(dataset, "unknown part ... row 8", "too few or too many columns ... 2 (row 11, row 14)")
    assert remarked(dataset, "black pictures ... Training/00013")


@given(values=some.lists(some.integers(0, 255), min_size=4, max_size=4), seed=some.integers(0, 99))
def test_numbers_are_read_as_they_are_written(values: list[int], seed: int) -> None:
    square = picture(seed)
    square[-1, -4:] = values
    read = fer2013._numbers(" ".join(map(str, square.ravel())).encode())
    assert read is not None and (read == square).all()


def test_votes(tmp_path: Path) -> None:
    spec = f"fer2013:{fer(tmp_path)}?votes=fer2013new.csv"
    soft = {sample.name: dict(sample.votes) for sample in datasets.read(spec).samples}
    assert soft == {
        "Training/00000": {"anger": 0.6, "neutral": 0.4},
        "Training/00001": {"happiness": 1.0},
        "Training/00002": {"anger": 0.5, "disgust": 0.5},
        "PublicTest/00003": {},
        "PrivateTest/00004": {"sadness": 0.3, "neutral": 0.7},
    }
    eight = datasets.read(f"{spec}&classes=8")
    assert eight.labels == naming.ORDER
    assert dict(eight.samples[2].votes) == {"anger": 0.1, "disgust": 0.1, "contempt": 0.8}
    agreed = datasets.read(f"{spec}&labels=majority")
    assert seen(agreed) == {"Training/00000": "anger", "PrivateTest/00004": "neutral"}
    assert remarked(agreed, "did not agree ... : 3 (")
    assert seen(datasets.read(f"{spec}&labels=majority&classes=8"))["Training/00002"] == "contempt"
    test = datasets.read(f"{spec}&labels=majority&usage=PrivateTest")  # rows are numbered in the whole table
    assert seen(test) == {"PrivateTest/00004": "neutral"}


def test_labels_agree_with_a_plain_count() -> None:
    rng = np.random.default_rng(5)
    votes = rng.multinomial(10, [0.1] * 10, 300) * (rng.random((300, 10)) < 0.4)
    for chosen in (EMOTIONS, naming.ORDER):
        for row, verdict in zip(votes, tagging.label([0] * 300, votes, chosen, True, True), strict=True):
            of = dict(zip(tagging.COLUMNS, row.tolist(), strict=True))
            agreed = [name for name in chosen if of[name] > row.sum() / 2]
            assert verdict is None if not agreed else verdict is not None and [verdict[0]] == agreed
            if verdict is not None:
                assert sum(verdict[1].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda text: text.replace("Training", "PublicTest", 1), "different parts"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n", "row 4 .* different parts"),
        (lambda text: text + "PrivateTest,,0,0,0,0,0,0,0,0,0,0\n", "5 rows and FER\\+'s table 6"),
        (lambda text: text.replace("contempt", "scorn"), "no column 'contempt'"),
        (lambda text: text.replace(",6,", ",six,", 1), "row 0 .* cannot be read"),
        (lambda text: text + "PrivateTest,1\n", "row 5 .* cannot be read"),
        (lambda text: POINTER, "Git LFS pointer"),
        (lambda text: "", "empty"),
    ],
)
def test_votes_of_another_set(tmp_path: Path, break_it: Callable[[str], str], words: str) -> None:
    table, tags = fer(tmp_path), tmp_path / "fer2013new.csv"
    tags.write_text(break_it(tags.read_text()))
    fails(f"fer2013:{table}?votes={tags}", words)


def test_fer2013_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, "train/angry/1.jpg")
    fails(f"fer2013:{tmp_path}", r"fer2013.csv .* or icml_face_data.csv .* found train/; .*folder:")
    write(tmp_path, "other.csv", text="a,b\n1,2\n")
    fails(f"fer2013:{tmp_path}/other.csv", "its first line is a, b")
    fails(f"fer2013:{fer(tmp_path)}?votes=no.csv", r"no.csv is missing; expected FER\+")


# --- packs


def pack(root: Path, **changes: object) -> str:
    arrays: dict[str, object] = {
        "images": np.stack([picture(row) for row in range(5)]).astype(np.uint8),
        "fer2013": np.arange(5, dtype=np.uint8),
        "votes": np.array(VOTES, np.uint8),
        "usage": np.array([0, 0, 0, 1, 1], np.uint8),
        "duplicates_validation": np.array([False, True, False, False, False]),
    }
    arrays = {name: value for name, value in (arrays | changes).items() if value is not None}
    np.savez(root / "pack.npz", **arrays)  # type: ignore[arg-type]
    return f"ferplus:{root / 'pack.npz'}"


def test_ferplus(tmp_path: Path) -> None:
    spec = pack(tmp_path)
    dataset = datasets.read(spec)
    assert seen(dataset) == {
        "Training/00000": "anger",
        "Training/00002": "fear",
        "PublicTest/00003": "happiness",
        "PublicTest/00004": "sadness",
    }
    assert remarked(dataset, "near-duplicates ... 1 (Training/00001)")
    assert dict(dataset.samples[0].votes) == {"anger": 0.6, "neutral": 0.4}
    assert (dataset.samples[1].pixels.luma == picture(2)).all()
    assert len(datasets.read(f"{spec}?duplicates=keep").samples) == 5
    assert not any(sample.votes for sample in datasets.read(f"{spec}?votes=no").samples)
    assert list(seen(datasets.read(f"{spec}?usage=publictest"))) == ["PublicTest/00003", "PublicTest/00004"]
    agreed = seen(datasets.read(f"{spec}?labels=majority&classes=8&duplicates=keep"))
    assert agreed == {"Training/00000": "anger", "Training/00002": "contempt", "PublicTest/00004": "neutral"}
    fails(f"{spec}?usage=PrivateTest", "no sample")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": None, "webp": np.zeros(9, np.uint8), "offset": np.zeros(6, int)}, "picture 0 .* decoded"),
        ({"votes": None}, "no array 'votes'"),
        ({"votes": np.zeros((5, 8), np.uint8)}, "10 columns"),
        ({"usage": np.zeros(4, np.uint8)}, "'usage' .* 5 rows"),
        ({"usage": np.full(5, 3, np.uint8)}, "'usage' .* 0 to 2"),
        ({"fer2013": np.full(5, 9)}, "'fer2013' .* 0 to 6"),
        ({"fer2013": np.zeros(5)}, "'fer2013' .* kind i or u"),
        ({"images": np.zeros((5, 48, 48, 3), np.uint8)}, "3 axes"),
        ({"images": np.zeros((5, 48, 48), np.uint16)}, "not uint8"),
        ({"fer2013": np.array([None] * 5)}, "not a pack that can be read"),
    ],
)
def test_wrong_packs(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    fails(pack(tmp_path, **changes), words)


def test_a_pack_may_have_encoded_pictures(tmp_path: Path) -> None:
    plain = datasets.read(pack(tmp_path))
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
    coded = [cv2.imencode(".webp", picture(row).astype(np.uint8), lossless)[1] for row in range(5)]
    offset = np.cumsum([0, *map(len, coded)])
    dataset = datasets.read(pack(tmp_path, images=None, webp=np.concatenate(coded), offset=offset))
    for ours, theirs in zip(dataset.samples, plain.samples, strict=True):
        assert ours.name == theirs.name
        assert (ours.pixels.luma == theirs.pixels.luma).all()


def test_damaged_packs(tmp_path: Path) -> None:
    spec = pack(tmp_path)
    file = tmp_path / "pack.npz"
    whole = file.read_bytes()
    np.save(tmp_path / "one.npy", np.zeros(3))
    flipped = whole[:300] + bytes([whole[300] ^ 255]) + whole[301:]
    for damage in (whole[:500], flipped, b"PK\x03\x04", (tmp_path / "one.npy").read_bytes(), b"hello"):
        file.write_bytes(damage)
        fails(spec, r"pack\.npz")


def test_portraits(tmp_path: Path) -> None:
    images, person = np.zeros((4, 144, 144), np.uint8), np.array(["Ann_B", "Ann_B", "", "Émile"])
    np.savez(tmp_path / "p.npz", images=images, person=person, label=np.array([7, 4, 1, 0]))
    dataset = datasets.read(f"portraits:{tmp_path / 'p.npz'}")
    assert seen(dataset) == {"Ann_B/00000": "neutral", "Ann_B/00001": "happiness", "Émile/00003": "anger"}
    assert remarked(dataset, "contempt ... : 1 (/00002)")
    eight = datasets.read(f"portraits:{tmp_path / 'p.npz'}?classes=8")
    assert [sample.subject for sample in eight.samples] == ["Ann_B", "Ann_B", None, "Émile"]
    np.savez(tmp_path / "p.npz", images=images, person=person, label=np.array([7, 4, 1, 8]))
    fails(f"portraits:{tmp_path / 'p.npz'}", "label 8 in row 3")
