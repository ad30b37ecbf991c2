"""`mmi`: the MMI facial expression database: sessions from neutral to the apex to neutral, with XML.

The set has no document that explains the codes of emotions and views, or lists the videos that are turned on
their side. The codes here come from people who have used the set. Words are read as well as codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import VIDEOS, display_name
from fervid.types.samples import OnDisk, Sample

EXPECTED = "MMI's folder, with Sessions/<number>/session.xml, S002-106.avi and S002-106.xml"
SESSIONS, SESSION, UNITS = "sessions", "session.xml", "aucs"
DEPTH = 3  # folders between the root and the sessions, at most
NAME = re.compile(r"(S\d{3})-\d+", re.IGNORECASE)
CODES = ("", "anger", "disgust", "fear", "happiness", "sadness", "surprise")  # then: scream, boredom, sleep
VIEWS = {"0": "front", "1": "profile", "2": "dual"}
MIDDLE = (Fraction(1, 3), Fraction(2, 3))
FRONTAL = 205  # sequences that most papers report on

TAG = re.compile(r"<[^<>]*>")
VALUE = re.compile(r"""\bvalue\s*=\s*["']\s*([^"'<>]*?)\s*["']""", re.IGNORECASE)
VIEW = re.compile(r"""\bview\s*=\s*["']\s*([^"'<>]*?)\s*["']""", re.IGNORECASE)
IS_EMOTION = re.compile(r"""["']\s*emotion\s*["']|<\s*emotion\b""", re.IGNORECASE)
WITHIN = re.compile(r"<\s*emotion\s*>\s*([^<>]*?)\s*<", re.IGNORECASE)


@layout(
    "mmi",
    "MMI: videos neutral to apex to neutral, 6 classes",
    view=Option(
        "frontal",
        "frontal faces, with or without the profile beside them; without; or also profiles",
        ("frontal", "front", ALL),
    ),
    frames=Option("all", "the whole video, or its middle third, where the apex is", ("all", "middle")),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the sessions that show one of the six emotions."""
    root, remarks = disk.folder(path, EXPECTED), Remarks()
    sessions = list(_sessions(root, DEPTH))
    if not sessions:
        raise InputError(f"{display_name(path)} is not MMI: expected {EXPECTED}; {disk.listing(root)}")
    wanted = {"frontal": ("front", "dual"), "front": ("front",), ALL: tuple(VIEWS.values())}[options["view"]]
    samples: dict[str, Sample] = {}
    for session, files in sessions:
        labelled = _labelled(session, files, remarks)
        if labelled is None:
            continue
        film, label = labelled
        name = f"{session.name}/{film.stem}"
        view = _view(files)
        if view is None:
            remarks.count("sessions without a view, read as frontal", name)
            view = "front"
        if view not in wanted:
            remarks.count(f"sessions of the view {view}, left out (view={options['view']})", name)
        elif name in samples:
            remarks.count("sessions found twice, read once", name)
        else:
            person = NAME.fullmatch(film.stem)
            if person is None:
                remarks.count("videos without a person in the name, each counted as a different person", name)
            samples[name] = Sample(
                name,
                label,
                OnDisk(str(film), share=MIDDLE if options["frames"] == "middle" else None),
                subject=person[1].upper() if person else None,
            )
    if options["view"] == "frontal" and len(samples) != FRONTAL:
        remarks.add(f"{len(samples)} frontal sequences of the six emotions; most papers have {FRONTAL}")
    return Dataset(naming.BASIC, tuple(samples.values()), remarks.texts())


def _sessions(folder: Path, depth: int) -> Iterator[tuple[Path, list[Path]]]:
    """Yield every folder of a session (with a session.xml, or a number inside Sessions) and its files."""
    below, files = disk.contents(folder)
    is_numbered = folder.name.isdigit() and folder.parent.name.casefold() == SESSIONS
    if is_numbered or any(file.name.casefold() == SESSION for file in files):
        yield folder, files
    elif depth:
        for nested in below:
            yield from _sessions(nested, depth - 1)


def _labelled(session: Path, files: list[Path], remarks: Remarks) -> tuple[Path, str] | None:
    """Return the video and the emotion of a session, if it has both."""
    films = [file for file in files if file.suffix.lower() in VIDEOS]
    code = _emotion(files, films[0].stem if films else "")
    if code is None:
        remarks.count("sessions without an emotion (mostly of action units), left out", session.name)
    elif not films:
        remarks.count("labelled sessions without a video, left out", session.name)
    elif code.isdecimal() and int(code) >= len(CODES):
        remarks.count(f"sessions of none of the six emotions (code {int(code)}), left out", session.name)
    else:
        label = CODES[int(code)] if code.isdecimal() else naming.label_of(code)
        if len(films) > 1:
            remarks.count("videos beside the first of a session, left out", films[1].name)
        if label is not None and label in naming.BASIC:
            return films[0], label
        remarks.count("labels that cannot be read, left out", f"{session.name} ({code})")
    return None


def _emotion(files: list[Path], stem: str) -> str | None:
    """Return the emotion from the first XML file that has one; the video's own first, session.xml last."""
    written = [file for file in files if file.suffix.lower() == ".xml" and UNITS not in file.stem.casefold()]
    written.sort(key=lambda file: (file.name.casefold() == SESSION, file.stem != stem))
    for file in written:
        text = _text(file)
        for tag in TAG.findall(text):
            value = VALUE.search(tag) if IS_EMOTION.search(tag) else None
            if value is not None:
                return value[1]
        within = WITHIN.search(text)
        if within is not None:
            return within[1]
    return None


def _view(files: list[Path]) -> str | None:
    file = next((file for file in files if file.name.casefold() == SESSION), None)
    view = VIEW.search(_text(file)) if file is not None else None
    if view is None:
        return None
    word = view[1].casefold()
    return VIEWS.get(word, word if word in VIEWS.values() else None)


def _text(file: Path) -> str:
    """Return XML as text: the elements differ between copies, so patterns read the few words needed."""
    try:
        data = file.read_bytes()
    except OSError as failure:
        raise InputError(f"{display_name(file)} cannot be read: {failure.strerror}") from failure
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(encoding, "replace")
