"""An audience as an HTML page: the film above the curves of its viewers. It needs no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TextIO

import numpy as np

from fervid.audience.analyze import Audience, length
from fervid.audience.results import NOTE
from fervid.audience.viewers import DIMENSIONS, STEP
from fervid.export.page.report import shared_style
from fervid.export.page.rows import UNKNOWN_COLOUR, colours
from fervid.export.timelines import fields
from fervid.labels import NEUTRAL
from fervid.times import format_seconds
from fervid.types import Array

FOLDER = Path(__file__).parent
HEIGHT = 100.0  # units of a chart; its width is the film's length
DIMENSION_COLOUR = "#0a57a8"
SYNCHRONY_COLOUR = "#8a4b00"
LONGEST = 4000  # points of a curve on the page


def write(audience: Audience, title: str, film: str, stream: TextIO) -> None:
    """Write the page; `film` is the URL of the film, relative to it."""
    own, script = ((FOLDER / name).read_text("utf-8") for name in ("page.css", "page.js"))
    style = f"{shared_style()}\n{own}"
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "media-src 'self' file: blob:; base-uri 'none'; form-action 'none'"
    )
    name, source = escape(title), audience.film
    stream.write(
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>Audience of {name}</title>\n<style>{style}</style>\n"
        f"<h1>Audience of {name}</h1>\n"
        f"<p>{len(audience.viewers)} viewers. {escape(NOTE)} {escape(fields.NOTE)}</p>\n"
        f'<video controls preload="metadata" src="{escape(film)}"></video>\n'
        f'<div class="rows" data-seconds="{length(source):.3f}" '
        f'data-offset="{float(source.clock_offset):.3f}">\n<div id="head"></div>\n'
    )
    for piece in _rows(audience):
        stream.write(piece + "\n")
    stream.write(
        '</div>\n<p class="note">Each curve is the mean of the viewers who can be read; the band around '
    )
    stream.write(
        "it is one standard deviation between them. Marked stretches are moments: chance reaches so high "
    )
    stream.write(
        "a mean anywhere in the film with less than 5 %. Synchrony is the mean correlation of pairs "
    )
    stream.write(
        "within eight seconds. On the right: the correlation over the film, * if p is at most 0.05.</p>\n"
    )
    for piece in _tables(audience):
        stream.write(piece + "\n")
    stream.write(f"<script>{script}</script>\n</html>\n")


def _rows(audience: Audience) -> Iterator[str]:
    """Yield the charts: dimensions, emotions, synchrony, and how many viewers can be read."""
    names = audience.names
    chosen = [*DIMENSIONS, *(label for label in audience.labels if label != NEUTRAL)]
    inks = dict(zip(audience.labels, colours(audience.labels), strict=True))
    for name in chosen:
        column, is_dimension = names.index(name), name in DIMENSIONS
        low = -1.0 if is_dimension else 0.0
        ink = DIMENSION_COLOUR if is_dimension else inks.get(name, UNKNOWN_COLOUR)
        mean, spread = audience.mean[:, column], audience.spread[:, column]
        high = 1.0 if is_dimension else max(0.2, float(np.nanmax(mean + spread)))
        body = "".join(
            f'<rect class="moment" fill="{ink}" x="{moment.onset:.2f}" y="0" '
            f'width="{max(moment.offset - moment.onset, STEP):.2f}" height="{HEIGHT:g}"/>'
            for moment in audience.moments
            if moment.emotion == name
        )
        if is_dimension:
            body += f'<path class="zero" d="M0 {HEIGHT / 2:g}H{length(audience.film):.2f}"/>'
        body += _band(audience.times, mean - spread, mean + spread, low, high, ink)
        body += _line(audience.times, mean, low, high, ink)
        scale = "" if is_dimension else f", to {high:.0%}"
        yield _row(audience, name + scale, body, _correlation(audience, name))
    emotions = [names.index(name) for name in chosen]
    with_data = audience.synchrony[:, emotions]
    known = ~np.isnan(with_data)
    together = np.where(known, with_data, 0).sum(1) / np.maximum(known.sum(1), 1)
    together[~known.any(1)] = np.nan
    yield _row(
        audience, "synchrony", _line(audience.times, together, 0.0, 1.0, SYNCHRONY_COLOUR), "", is_low=True
    )
    share = audience.count / len(audience.viewers)
    yield _row(audience, "readable", _line(audience.times, share, 0.0, 1.0, UNKNOWN_COLOUR), "", is_low=True)


def _row(audience: Audience, name: str, body: str, fact: str, is_low: bool = False) -> str:
    kind = ' class="low"' if is_low else ""
    return (
        f'<div class="row"><span>{escape(name)}</span><svg{kind} viewBox="0 0 {length(audience.film):.3f} '
        f'{HEIGHT:g}" preserveAspectRatio="none" role="img" aria-label="{escape(name)} over time">'
        f"{body}</svg><span>{escape(fact)}</span></div>"
    )


def _correlation(audience: Audience, name: str) -> str:
    """Return the agreement in a curve, with a star if it is significant."""
    value = audience.tests[name].correlation
    if np.isnan(value):
        return ""
    return f"r {value:+.2f}{'*' if audience.corrected[name] <= 0.05 else ''}"


def _pieces(values: Array) -> list[Array]:
    """Return the rows of each stretch without missing values; of a long film, every few rows."""
    rows = np.arange(0, len(values), 1 + len(values) // LONGEST)
    rows = rows[~np.isnan(values[rows])]
    step = 1 + len(values) // LONGEST
    return [piece for piece in np.split(rows, np.flatnonzero(np.diff(rows) > step) + 1) if len(piece)]


def _points(times: Array, values: Array, low: float, high: float) -> str:
    heights = HEIGHT * (1 - (np.clip(values, low, high) - low) / (high - low))
    return " ".join(f"{x:.2f},{y:.1f}" for x, y in zip(times.tolist(), heights.tolist(), strict=True))


def _line(times: Array, values: Array, low: float, high: float, ink: str) -> str:
    return "".join(
        f'<polyline class="mean" stroke="{ink}" points="{_points(times[rows], values[rows], low, high)}"/>'
        for rows in _pieces(values)
    )


def _band(times: Array, lower: Array, upper: Array, low: float, high: float, ink: str) -> str:
    return "".join(
        f'<polygon class="spread" fill="{ink}" points="{_points(times[rows], upper[rows], low, high)} '
        f'{_points(times[rows][::-1], lower[rows][::-1], low, high)}"/>'
        for rows in _pieces(upper)
    )


def _tables(audience: Audience) -> Iterator[str]:
    """Yield the moments, the segments and the viewers."""
    yield "<h2>Moments</h2>"
    if audience.moments:
        head = ("time", "expression", "mean", "of the viewers", "p")
        yield _table(
            head,
            [
                (
                    f'<button data-time="{moment.apex:.3f}">{format_seconds(moment.apex)}</button>',
                    escape(moment.emotion),
                    f"{moment.score:.0%}",
                    f"{moment.share:.0%}",
                    f"{moment.p:.3g}",
                )
                for moment in audience.moments
            ],
        )
    else:
        yield "<p>No expression rises higher than chance.</p>"
    if audience.group_count > 1:
        yield "<h2>Segments of viewers who react alike</h2>"
        for number in range(1, audience.group_count + 1):
            viewers = audience.group(number)
            listed = ", ".join(escape(viewer.name) for viewer in viewers)
            yield f"<p>Segment {number}, {len(viewers)} viewers: {listed}</p>"
    yield "<h2>Viewers</h2>"
    numbers = zip(audience.viewers, audience.agreement.tolist(), audience.segments, strict=True)
    yield _table(
        ("viewer", "film begins at", "readable", "agreement", "segment"),
        [
            (
                escape(viewer.name),
                f"{viewer.offset:.2f} s",
                f"{viewer.presence:.0%}",
                "" if np.isnan(agreement) else f"{agreement:+.2f}",
                "" if segment is None else str(segment),
            )
            for viewer, agreement, segment in numbers
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as HTML: its first column is text, the others are numbers."""
    kinds = ["", *[' class="number"'] * (len(head) - 1)]
    top = "".join(f"<th{kind}>{escape(text)}</th>" for kind, text in zip(kinds, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{text}</td>" for kind, text in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
