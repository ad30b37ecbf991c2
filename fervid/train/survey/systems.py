"""The systems of a survey: every stream alone, and the fusions of the papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fervid import streams
from fervid.errors import UsageError

TOYS = "tiny_"  # prefix of networks for tests, which a survey has only on request

# Sizes that make networks fast, for --size smoke; their figures mean nothing.
SMALL: Mapping[str, Mapping[str, int]] = {
    "aggregate_average": {"width": 8, "blocks": 1, "looks": 4, "anchors": 64},
    "aggregate_covariance": {"width": 8, "blocks": 1, "looks": 4, "components": 12},
    "aggregate_forest": {"width": 8, "blocks": 1, "looks": 4, "trees": 3, "depth": 3},
    "aggregate_gaussian": {"width": 8, "blocks": 1, "looks": 4, "components": 12},
    "aggregate_moments": {"width": 8, "blocks": 1, "looks": 4},
    "aggregate_spd": {"width": 8, "blocks": 1, "looks": 4, "components": 12, "anchors": 64},
    "aggregate_statistics": {"width": 8, "blocks": 1, "looks": 4, "anchors": 64},
    "aggregate_subspace": {"width": 8, "blocks": 1, "looks": 4, "components": 12},
    "c3d": {"width": 8, "blocks": 1},
    "c3d_full": {"width": 4, "hidden": 32, "side": 48},
    "cascaded_peak": {"width": 8},
    "cnn_lstm": {"width": 8, "blocks": 1, "hidden": 16},
    "compact": {"first": 4, "second": 8, "hidden": 16, "side": 48},
    "compact_gru": {"first": 4, "second": 8, "hidden": 16, "side": 48, "memory": 16},
    "dap3d": {"width": 4},
    "dtan": {"width": 8, "hidden": 32},
    "dtgn": {"first": 32, "second": 64},
    "flow": {"width": 8},
    "inception3d": {"width": 8, "hidden": 16},
    "irnn": {"width": 8, "blocks": 1, "hidden": 16},
    "mscnn": {"width": 6, "hidden": 32},
    "peak_piloted": {"width": 8},
    "phrnn": {"width": 8, "hidden": 16},
    "still": {"width": 8, "blocks": 1},
    "still_facenet": {"width": 4, "side": 103},
    "still_mobilenet": {"width": 8},
    "trajectory_map": {"width": 4},
}

# Support vector machines on a trained `still`; the forest is trained together with its own frame network.
OVER_STILL = tuple(
    f"aggregate_{rule}"
    for rule in ("average", "covariance", "gaussian", "moments", "spd", "statistics", "subspace")
)


@dataclass(frozen=True)
class System:
    """A row of the table: one stream, or several and their fusion."""

    streams: tuple[str, ...]
    fusion: str = ""  # "joint" or "weighted"; a single stream has none

    @property
    def name(self) -> str:
        """The name in the table, in `--only`, and of its folder."""
        return "+".join(self.streams) + (f"-{self.fusion}" if self.fusion else "")

    @property
    def bases(self) -> tuple[System, ...]:
        """The systems that are trained first: this one keeps their networks unchanged."""
        if self.fusion:
            return tuple(System((name,)) for name in self.streams)
        return (System(("still",)),) if self.streams[0] in OVER_STILL else ()


PAIR = System(("c3d", "phrnn"), "joint")  # the default of `fervid train`

FUSIONS = (
    PAIR,
    System(("c3d", "phrnn"), "weighted"),
    System(("dtan", "dtgn"), "joint"),  # DTAGN
    System(("phrnn", "mscnn"), "weighted"),  # PHRNN-MSCNN
    System(("still", "flow"), "weighted"),  # two-stream
    System(("c3d", "dtgn"), "joint"),
)


def everything() -> tuple[System, ...]:
    """Return every system, toys included, each after the systems that it is based on."""
    singles = [System((name,)) for name in streams.names()]
    return (*sorted(singles, key=lambda system: len(system.bases)), *FUSIONS)


def chosen(only: Sequence[str] = ()) -> tuple[System, ...]:
    """Return the systems of these names, in the usual order; by default all except toys."""
    known = {system.name: system for system in everything()}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise UsageError(f"--only must be some of {', '.join(known)}; not {unknown[0]!r}")
    if only:
        return tuple(system for name, system in known.items() if name in only)
    return tuple(system for name, system in known.items() if not name.startswith(TOYS))
