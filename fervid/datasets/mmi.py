"""`mmi`: the MMI facial expression database: sessions from neutral over the apex to neutral, with XML beside.

Neither the codes of emotions and views nor what lies on its side stands in a document that comes with it:
they are as those who have worked with the set tell. So what is written as a word is read, too, and which
way is up is looked for in the pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import VIDEOS, shown
from fervid.samples import OnDisk, Sample

EXPECTED = "MMI's folder, which holds Sessions/<number>/session.xml, S002-106.avi and S002-106.xml"
SESSIONS, SESSION, UNITS = "sessions", "session.xml", "aucs"
DEPTH = 3  # folders between the root and the sessions, at most
NAME = re.compile(r"(S\d{3})-\d+", re.IGNORECASE)
CODES = ("", "anger", "disgust", "fear", "happiness", "sadness", "surprise")  # beyond: scream, boredom, sleep
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
        "the face from the front, also where its profile stands beside it; that alone; or profiles, too",
        ("frontal", "front", ALL),
    ),
    frames=Option("all", "the whole video, or its middle third, where the apex is", ("all", "middle")),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the sessions that show one of the six emotions."""
    root, remarks = disk.folder(path, EXPECTED), Remarks()
    sessions = list(_sessions(root, DEPTH))
    if not sessions:
        raise InputError(f"{shown(path)} is not MMI: expected {EXPECTED}; {disk.found_in(root)}")
    wanted = {"frontal": ("front", "dual"), "front": ("front",), ALL: tuple(VIEWS.values())}[options["view"]]
    samples: dict[str, Sample] = {}
    for session, files in sessions:
        found = _labelled(session, files, remarks)
        if found is None:
            continue
        film, label = found
        name = f"{session.name}/{film.stem}"
        view = _view(files)
        if view is None:
            remarks.count("sessions that do not say their view, taken for frontal", name)
            view = "front"
        if view not in wanted:
            remarks.count(f"sessions of the view {view}, left out (view={options['view']})", name)
        elif name in samples:
            remarks.count("sessions that are there twice, read once", name)
        else:
            person = NAME.fullmatch(film.stem)
            if person is None:
                remarks.count("videos whose name tells nobody, each a person of its own", name)
            samples[name] = Sample(
                name,
                label,
                OnDisk(
                    str(film),
                    share=MIDDLE if options["frames"] == "middle" else None,
                    is_upright=view == "dual",
                ),
                subject=person[1].upper() if person else None,
            )
    if options["view"] == "frontal" and len(samples) != FRONTAL:
        remarks.say(f"{len(samples)} frontal sequences of the six emotions; most papers have {FRONTAL}")
    return Dataset(naming.BASIC, tuple(samples.values()), remarks.told())


def _sessions(folder: Path, depth: int) -> Iterator[tuple[Path, list[Path]]]:
    """Every folder of a session with its files: one that holds a session.xml, or a number within Sessions."""
    below, files = disk.contents(folder)
    is_numbered = folder.name.isdigit() and folder.parent.name.casefold() == SESSIONS
    if is_numbered or any(file.name.casefold() == SESSION for file in files):
        yield folder, files
    elif depth:
        for each in below:
            yield from _sessions(each, depth - 1)


def _labelled(session: Path, files: list[Path], remarks: Remarks) -> tuple[Path, str] | None:
    """The video of a session and the emotion in it, if it has both."""
    films = [file for file in files if file.suffix.lower() in VIDEOS]
    code = _emotion(files, films[0].stem if films else "")
    if code is None:
        remarks.count("sessions without an emotion (those of action units, mostly), left out", session.name)
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
    """What the first file that speaks of an emotion says of it; the video's own, and session.xml last."""
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
    said = VIEW.search(_text(file)) if file is not None else None
    if said is None:
        return None
    word = said[1].casefold()
    return VIEWS.get(word, word if word in VIEWS.values() else None)


def _text(file: Path) -> str:
    """XML as text: a few words of it are wanted, whatever elements stand around them in this or that copy."""
    try:
        data = file.read_bytes()
    except OSError as failure:
        raise InputError(f"{shown(file)} cannot be read: {failure.strerror}") from failure
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(encoding, "replace")
