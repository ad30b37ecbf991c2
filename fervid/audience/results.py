"""An audience as JSON values: the part of its file that other timelines do not have."""

from __future__ import annotations

from typing import Any

import numpy as np

from fervid.audience.analyze import Audience, Moment, length
from fervid.audience.viewers import STEP
from fervid.export.timelines import fields, json
from fervid.files import encodable
from fervid.types import Array, Timeline

NOTE = (
    "Means, spread and agreement of the visible expressions of viewers whose face can be read. "
    "A viewer who looks away is missing, not neutral."
)


def as_json(audience: Audience, timeline: Timeline) -> dict[str, Any]:
    """Return the timeline of an audience with all of its results, as `fervid audience` writes it."""
    return {**json.as_json(timeline), "audience": results(audience)}


def results(audience: Audience) -> dict[str, Any]:
    """Return the results of an audience; arrays have a value for each `step` of the film, null if missing."""
    return {
        "note": NOTE,
        "step": STEP,
        "seconds": fields.number(length(audience.film)),
        "permutations": audience.options.permutations,
        "seed": audience.options.seed,
        "viewers": [viewer(audience, index) for index in range(len(audience.viewers))],
        "present": audience.count.astype(np.int64),
        "agreement": {
            name: {
                "correlation": known(test.correlation),
                "p": known(test.p),
                "p_corrected": known(audience.corrected[name]),
            }
            for name, test in audience.tests.items()
        },
        "curves": {
            name: {
                "mean": masked(audience.mean[:, column]),
                "spread": masked(audience.spread[:, column]),
                "synchrony": masked(audience.synchrony[:, column]),
            }
            for column, name in enumerate(audience.names)
        },
        "moments": [moment(own) for own in audience.moments],
        "segments": [
            {"id": number, "viewers": [viewer.name for viewer in audience.group(number)]}
            for number in range(1, audience.group_count + 1)
        ],
    }


def viewer(audience: Audience, index: int) -> dict[str, Any]:
    """Return one viewer, without their curves, which are in their own timelines."""
    own = audience.viewers[index]
    return {
        "name": encodable(own.name),
        "sha256": own.sha256,
        "person": own.person,
        "offset": fields.number(own.offset),
        "presence": fields.number(own.presence),
        "agreement": known(float(audience.agreement[index])),
        "segment": audience.segments[index],
    }


def moment(own: Moment) -> dict[str, Any]:
    values = {name: getattr(own, name) for name in Moment.__dataclass_fields__}
    return {key: value if isinstance(value, str) else fields.number(value) for key, value in values.items()}


def known(value: float) -> float | None:
    return None if np.isnan(value) else fields.number(value)


def masked(values: Array) -> Array:
    """Return values with missing ones masked: they are null in JSON."""
    array: Array = np.ma.masked_invalid(values)
    return array
