"""`fervid explain`: show which streams, frames, pixels and landmarks lead to an answer."""

from __future__ import annotations

import json as codec
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.analyzer import open_analyzer
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.values import TimePoint, TimePointType

if TYPE_CHECKING:
    from fervid.explain import Explanation, FaceWindow


@options.command(
    "explain",
    examples="""
    fervid explain movie.mp4 --at 12.4
    fervid explain movie.mp4 --at 12.4 -o why.png
    fervid explain movie.mp4 --at 300f --face 2 --json > why.json
    """,
)
@click.argument("input", metavar="INPUT")
@click.option("--at", type=TimePointType(), required=True, help="The moment: seconds, 90f or HH:MM:SS.mmm.")
@click.option(
    "--face",
    "number",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Which face to explain; 1 is the largest.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every frame and landmark.")
@options.target("-o", "--output", "target", metavar="FILE.png", help="Draw the explanation into a picture.")
@options.apply(*options.MODEL, *options.FACES, options.FRAME_RATE, *options.WORK, options.OVERWRITE)
@click.pass_obj
def explain(
    messages: Messages,
    /,
    input: str,
    at: TimePoint,
    number: int,
    as_json: bool,
    target: str | None,
    overwrite: bool,
    **values: Any,
) -> None:
    """Show what leads to the model's answer at a moment of INPUT: streams, frames, pixels and landmarks.

    For the four labels with the highest scores, fervid splits the logit (the raw score, before it becomes a
    percentage) into contributions that sum to it, by integrated gradients. It analyzes the ten seconds
    before the moment and one second after it.
    """
    targets = [] if target is None else [target]
    output.check_targets(targets, [input], overwrite, messages.log_file)
    with local_path(input) as path:
        seconds = _seconds(at, path, values)
        from fervid.explain.window import AFTER, BEFORE

        start, end = max(Fraction(0), seconds - BEFORE), seconds + AFTER
        values |= {"start": TimePoint(start), "end": TimePoint(end), "people": False}
        with open_analyzer(messages, values) as analyzer, analyzer.start(input, path, crops=True) as run:
            from fervid import explain as explaining
            from fervid.model import load_exactly

            nearest = explaining.window_at(run, seconds, number)
            assert analyzer.options.model is not None
            net = load_exactly(analyzer.options.model, analyzer.options.device)
            explanation = explaining.explain(net, nearest.window, nearest.neutral)
    if target is not None:
        _draw(explanation, nearest, target, overwrite)
    if as_json:
        output.show(codec.dumps(as_value(explanation, nearest), indent=1))
    else:
        output.show(as_text(explanation, nearest))
    if target not in (None, output.STANDARD) and not messages.quiet:
        messages.say(f"wrote {target}")


def _seconds(at: TimePoint, path: str, values: dict[str, Any]) -> Fraction:
    if at.seconds is not None:
        return at.seconds
    from fervid.video.planning import plan

    return at.of(plan(path, values["rotate"], values["frame_rate"]))


def _draw(explanation: Explanation, nearest: FaceWindow, target: str, overwrite: bool) -> None:
    from fervid.explain.picture import png

    with output.open_binary(target, overwrite) as stream:
        stream.write(png(explanation, nearest.window))


def as_value(explanation: Explanation, nearest: FaceWindow) -> dict[str, Any]:
    """Return an explanation as JSON values."""

    def rounded(values: Any) -> Any:
        return [round(float(value), 5) for value in values]

    labels = {}
    for label, shares in explanation.shares.items():
        points = explanation.by_landmark(label)
        labels[label] = {
            "score": round(explanation.scores[label], 6),
            "logit": round(explanation.logits[label], 5),
            "streams": {
                name: {"base": round(share.base, 5), "total": round(share.total, 5)}
                for name, share in shares.items()
            },
            "residual": round(explanation.residual(label), 5),
            "frames": rounded(explanation.by_frame(label)),
            "landmarks": None if points is None else rounded(points),
        }
    scores = {label: round(score, 6) for label, score in explanation.scores.items()}
    return {"seconds": round(nearest.seconds, 6), "scores": scores, "labels": labels}


def as_text(explanation: Explanation, nearest: FaceWindow) -> str:
    """Return an explanation as plain text."""
    from fervid.explain.peaks import REGIONS

    labels = list(explanation.shares)
    lines = [f"the window around {nearest.seconds:.2f} s", "", _line("", labels)]
    lines.append(_line("score", [f"{explanation.scores[label]:.2f}" for label in labels]))
    lines.append(_line("logit", [f"{explanation.logits[label]:+.2f}" for label in labels]))
    for stream in explanation.shares[labels[0]]:
        totals = [explanation.shares[label][stream].total for label in labels]
        lines.append(_line(f"  {stream}", [f"{total:+.2f}" for total in totals]))
    lines.append(_line("  not explained", [f"{explanation.residual(label):+.2f}" for label in labels]))
    count = len(explanation.by_frame(labels[0]))
    lines += ["", "contributions of the frames, without what an empty input gives:"]
    for start in range(0, count, 4):
        sums = [explanation.by_frame(label)[start : start + 4].sum() for label in labels]
        lines.append(_line(f"  {start + 1} to {min(start + 4, count)}", [f"{value:+.2f}" for value in sums]))
    if explanation.by_landmark(labels[0]) is not None:
        lines += ["", "contributions of the landmarks:"]
        for region, points in REGIONS.items():
            sums = [_sum(explanation, label, list(points)) for label in labels]
            lines.append(_line(f"  {region}", [f"{value:+.2f}" for value in sums]))
    return "\n".join(lines)


def _sum(explanation: Explanation, label: str, points: list[int]) -> float:
    shares = explanation.by_landmark(label)
    assert shares is not None
    return float(shares[points].sum())


def _line(name: str, cells: list[str]) -> str:
    return f"{name:<18}" + "".join(f"{cell:>12}" for cell in cells)
