"""The time in a recording at which the film begins, from its sound.

A microphone that hears the film, or any sound that was played as the film began, gives a delay: the peak of
the cross-correlation. Only phases are compared (Knapp and Carter 1976), so that rooms and loudspeakers, which
change the strength of frequencies, matter little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fervid.types import Array, Floats

RATE = 8000  # samples per second: enough for speech and claps
SURE = 1.5  # a peak this many times higher than any other is certain
NEAR = 0.1  # seconds around a peak that belong to it
CLAP_SECONDS = 0.01  # the length over which the strength of a clap is measured
BEFORE_SECONDS = 0.2  # the silence before it
FLOOR = 1e-9


@dataclass(frozen=True)
class Match:
    """A time in a recording, and how clearly it stands out."""

    offset: float  # seconds of the recording at which the reference begins; may be negative
    score: float  # the peak over the next highest one

    @property
    def is_sure(self) -> bool:
        return self.score >= SURE


def find_reference(recording: Floats, reference: Floats, rate: int = RATE) -> Match:
    """Return where a reference (M,) begins in a recording (N,), both mono."""
    if not len(recording) or not len(reference):
        return Match(0.0, 0.0)
    size = 1 << (len(recording) + len(reference) - 1).bit_length()
    spectrum = np.fft.rfft(recording, size) * np.conj(np.fft.rfft(reference, size))
    strength = np.abs(spectrum)
    spectrum /= np.maximum(strength, FLOOR + 1e-3 * strength.mean())
    correlation = np.fft.irfft(spectrum, size)
    # The reference may begin before the recording: negative delays are at the end.
    best = int(correlation.argmax())
    peak = float(correlation[best])
    near = round(NEAR * rate)
    rest = correlation.copy()
    rest[np.arange(best - near, best + near + 1) % size] = 0
    other = float(rest.max())
    delay = best - size if best >= len(recording) else best
    return Match(delay / rate, peak / other if other > 0 else 0.0)


def find_clap(recording: Floats, rate: int = RATE) -> Match:
    """Return the time of the sharpest sound of a recording (N,): the largest rise above the sound before."""
    step = max(1, round(CLAP_SECONDS * rate))
    count = len(recording) // step
    if count < 3:
        return Match(0.0, 0.0)
    energy = np.square(recording[: count * step].astype(np.float64)).reshape(count, step).mean(1)
    reach = round(BEFORE_SECONDS / CLAP_SECONDS)
    sums = np.concatenate([np.zeros(reach), np.cumsum(energy)])
    before = np.concatenate([[0.0], sums[reach:-1] - sums[:-reach][: count - 1]])
    width = np.minimum(np.arange(count), reach).clip(1)
    quiet = np.maximum(before / width, FLOOR + 1e-4 * energy.max())
    rise: Array = np.log(np.maximum(energy, FLOOR) / quiet) * (np.arange(count) > 0)
    best = int(rise.argmax())
    near = round(NEAR / CLAP_SECONDS)
    rest = np.concatenate([rise[: max(0, best - near)], rise[best + near + 1 :]])
    other = max(float(rest.max(initial=0.0)), FLOOR)
    # The first loud sample of the step is the clap itself.
    start = best * step
    piece = np.abs(recording[start : start + step])
    first = int((piece >= 0.3 * piece.max()).argmax())
    return Match((start + first) / rate, float(rise[best]) / other)
