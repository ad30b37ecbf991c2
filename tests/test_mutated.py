"""Mutated timelines: each gives every command a result, or a FervidError."""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from timelines import text_of, timeline_of, video_of

from fervid.annotations import Annotation, Sheet, Tier
from fervid.annotations.pairing import Choice, compare
from fervid.cli.compare import report as report_figures
from fervid.cli.compare import text_of as text_of_figures
from fervid.cli.people import write_json
from fervid.cli.shared.summary import people_table, table, write_peaks
from fervid.cli.show import show_on
from fervid.errors import FervidError, InputError
from fervid.export import EDITS, PEAKS, TIMELINES
from fervid.export.drawing.annotator import Annotator
from fervid.export.editors.edit import plan
from fervid.export.page import plot, report
from fervid.export.timelines import people, reading
from fervid.timeline.peaks import rank
from fervid.timeline.people import merge, rename
from fervid.types import Timeline

WHOLE = json.loads(text_of(timeline_of(video_of(), "Anna", "Ben")))
LINES = [json.loads(line) for line in text_of(timeline_of(video_of(), "Anna"), "jsonl").splitlines()]
Path = tuple[str | int, ...]

# Values of every JSON type, at the edges of what Python, NumPy and the formats can express.
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.5, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 10**400,
    1e-320, -0.0, 1e18, 1e30, 1e300, -1e300, "", " ", "x", "P1", "P99", "1/0", "0/1", "-1/25", "1/25", "25/1",
    "1e999", "99:99:99:99", "01:00:00;00", "\x00\x1b", "\ud800", "é" * 1000, [], {}, [[]], [None], [1], ["x"],
    {"x": 1}, {"seconds": 0, "pts": 0}, {"seconds": 1e300, "pts": 10**30}, {"pts": "1"}, "fear", "neutral",
)  # fmt: skip


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value; of long lists, only the ends."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from paths(child, (*path, key))
    elif isinstance(value, list):
        for index in sorted({0, 1, len(value) - 1} & set(range(len(value)))):
            yield from paths(value[index], (*path, index))


def changed(value: Any, path: Path, change: Callable[[Any, str | int], None]) -> Any:
    """Return a copy in which `change` was called on the parent of the value at a path."""
    value = copy.deepcopy(value)
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return value


def put(new: Any) -> Callable[[Any, str | int], None]:
    return lambda parent, key: parent.__setitem__(key, new)


def drop(parent: Any, key: str | int) -> None:
    del parent[key]


def double(parent: Any, key: str | int) -> None:
    """Repeat an element of a list; give an object's value another type."""
    if isinstance(parent, list):
        parent.insert(int(key), copy.deepcopy(parent[int(key)]))
    else:
        parent[key] = [parent[key]]


def backwards(parent: Any, key: str | int) -> None:
    if isinstance(parent[key], list):
        parent[key].reverse()
    elif isinstance(parent[key], int | float):
        parent[key] = -parent[key] - 1


CHANGES = (*map(put, HOSTILE), drop, double, backwards)


def uses(text: str) -> Iterator[tuple[str, Callable[[Timeline], object]]]:
    """Yield what commands do with a timeline: the name of the command, and the function."""
    for name, form in TIMELINES.items():
        yield f"export {name}", lambda timeline, form=form: form.write(timeline, io.StringIO())
    for name, form in PEAKS.items():
        yield f"peaks {name}", lambda timeline, form=form: form.write(timeline, io.StringIO())
    for name, form in EDITS.items():
        for as_clips in (False, True):
            yield (
                f"peaks {name} {as_clips}",
                lambda timeline, form=form, as_clips=as_clips: form.write(
                    plan(timeline, as_clips=as_clips, pad=(Fraction(1), Fraction(2))), io.StringIO()
                ),
            )
    yield "rank", lambda timeline: rank(timeline.peaks, timeline.source.time_base, min_gap=0.5)
    yield "peaks", lambda timeline: write_peaks(timeline, io.StringIO())
    yield "report", lambda timeline: report.write(timeline, io.StringIO(), report.Extras(timeline.peaks))
    yield "show", lambda timeline: show_on(Console(file=io.StringIO(), width=100), timeline, 10)
    yield "people", lambda timeline: Console(file=io.StringIO()).print(people_table(timeline))
    yield "analyze", lambda timeline: Console(file=io.StringIO()).print(table([timeline]))
    yield "people --json", lambda timeline: write_json(timeline, io.StringIO())
    yield "people --merge", lambda timeline: people.write(merged(timeline), text, io.StringIO())
    yield "compare", compared
    yield "annotate", annotated
    yield "plot", lambda timeline: plot.draw(timeline, timeline.peaks, plot.Look("svg"))


def merged(timeline: Timeline) -> Timeline:
    names = list(timeline.names)
    if len(names) > 1:
        timeline, _ = merge(timeline, names[0], names[1])
    return rename(timeline, names[0], "Cleo") if names else timeline


def annotated(timeline: Timeline) -> None:
    source = timeline.source
    if (source.width, source.height) == (1920, 1080):  # with any other size, the video is not accepted
        annotator = Annotator(timeline, ())
        width, height = annotator.painter.size
        annotator.paint(0, [np.zeros((height // step, width // step), np.uint8) for step in (1, 2, 2)])


def compared(timeline: Timeline) -> None:
    notes = (Annotation(Fraction(1), Fraction(2), "happy"), Annotation(Fraction(3), Fraction(5), "sad"))
    sheet = Sheet("x.csv", (Tier("P1", notes), Tier("Anna", notes)), False)
    text_of_figures(report_figures(timeline, compare(timeline, [sheet], Choice())))


def check(text: str, skip: tuple[str, ...] = ()) -> list[str]:
    """Return what goes wrong with a timeline."""
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            timeline = reading.read(io.StringIO(text))
        except FervidError:
            return []
        except Exception as error:
            return [f"reading: {error!r}"]
        for name, use in uses(text):
            try:
                if name not in skip:
                    use(timeline)
            except FervidError:
                pass
            except Exception as error:
                wrong.append(f"{name}: {error!r}")
    return wrong


def as_text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return "".join(json.dumps(line) + "\n" for line in value)


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """Return a timeline with one to three changes."""
    value = draw(st.sampled_from([WHOLE, LINES]))
    for _ in range(draw(st.integers(1, 3))):
        path, change = draw(st.sampled_from(list(paths(value)))), draw(st.sampled_from(CHANGES))
        value = changed(value, path, change)
    return as_text(value)


def test_what_is_not_mutated_has_every_result() -> None:
    for value in (WHOLE, LINES):
        assert check(as_text(value)) == []


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(mutants())
def test_a_mutated_timeline_gives_results_or_a_fervid_error(text: str) -> None:
    assert check(text, skip=("plot",)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("settings", "start"), 10**40),
        (("settings", "min_segment"), 1e300),
        (("source", "duration", "pts"), 10**400),
        (("source", "audio_channels"), 10**9),
        (("source", "size", "width"), 10**30),
        (("tracks", 0), []),
        (("tracks", 0, "curve", "pts", 0), 2**63),
        (("people", 0, "tracks"), []),
        (("people",), {"x": 1}),
        (("segments", 0, "end", "pts"), 10**30),
        (("peaks", 0, "score"), 1e300),
        (("model", "labels"), ["happiness", "happiness"]),
    ],
    ids=str,
)
def test_damage_is_reported(path: Path, value: Any) -> None:
    text = as_text(changed(WHOLE, path, put(value)))
    assert check(text) == []
    if path != ("settings", "min_segment"):
        with pytest.raises(InputError, match="the timeline is damaged"):
            reading.read(io.StringIO(text))
