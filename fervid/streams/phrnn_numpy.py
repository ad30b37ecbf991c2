"""PHRNN in numpy, for a process that runs no other network: importing torch takes a second and 200 MB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fervid.types import Floats

PARTS = {  # iBUG-68 points; the jaw line is too noisy to help
    "brows": slice(17, 27),
    "eyes": slice(36, 48),
    "nose": slice(27, 36),
    "mouth": slice(48, 68),
}
INNER = slice(17, 68)
GAIN = 10.0  # a strong expression moves points by a tenth of the eye distance: scale that to 1
VELOCITY_GAIN = 40.0  # in its fastest frame, by a fortieth


class PHRNN:
    """The same network as in `phrnn.py`, with weights by the same names."""

    def __init__(self, weights: Mapping[str, Floats], motion: int = 0) -> None:
        self.weights = dict(weights)
        self.motion = np.float32(motion / 1000)

    def features(self, clip: Floats) -> Floats:
        """Return the features (B, F) of windows (B, L, 68, 2)."""
        velocity = np.diff(clip, axis=1, prepend=clip[:, :1])
        points = np.concatenate([np.float32(GAIN) * clip, np.float32(VELOCITY_GAIN) * velocity], 3)
        inputs = [points[:, :, rows].reshape(*points.shape[:2], -1) for rows in PARTS.values()]
        brows, eyes, nose, mouth = self._recurrent([f"parts.{name}" for name in PARTS], inputs)
        upper, nose, mouth = self._recurrent(["upper", "nose", "mouth"], [_joined(brows, eyes), nose, mouth])
        halves = [_joined(upper, nose), _joined(nose, mouth)]
        (whole,) = self._recurrent(
            ["whole"], [_joined(*self._recurrent(["upper_middle", "lower_middle"], halves))]
        )
        pooled = np.concatenate([whole.mean(1), whole.max(1)], 1)
        features = np.maximum(self._linear("hidden", pooled), 0)
        if not self.motion:
            return features
        inner = clip[:, :, INNER]
        squared = np.square(inner - inner.mean(1, keepdims=True)).sum(3).mean((1, 2))
        return np.asarray(features * (squared / (squared + self.motion**2))[:, None], np.float32)

    def top(self, features: Floats) -> Floats:
        """Return the logits (B, C)."""
        return self._linear("top", features)

    def _linear(self, name: str, values: Floats) -> Floats:
        return np.asarray(
            values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"], np.float32
        )

    def _recurrent(self, names: Sequence[str], inputs: Sequence[Floats]) -> list[Floats]:
        """Run several nets of the same size side by side, in both directions: (B, L, F) -> (B, L, 2 H)."""
        layer = 0
        while f"{names[0]}.weight_ih_l{layer}" in self.weights:
            ways = [(name, way) for name in names for way in (f"l{layer}", f"l{layer}_reverse")]
            ahead = np.stack(
                [
                    values[:, :: -1 if way.endswith("reverse") else 1]
                    @ self.weights[f"{name}.weight_ih_{way}"].T
                    + (self.weights[f"{name}.bias_ih_{way}"] + self.weights[f"{name}.bias_hh_{way}"])
                    for values, (name, way) in zip([v for v in inputs for _ in range(2)], ways, strict=True)
                ]
            )
            again = np.stack([self.weights[f"{name}.weight_hh_{way}"].T for name, way in ways])
            steps = _steps(ahead, np.ascontiguousarray(again))
            inputs = [_joined(a, b[:, ::-1]) for a, b in zip(steps[::2], steps[1::2], strict=True)]
            layer += 1
        return list(inputs)


def _steps(ahead: Floats, again: Floats) -> Floats:
    """Return the states (N, B, L, H) of N nets from inputs (N, B, L, G) and recurrent weights (N, H, G).

    G is H, or four times H for an LSTM, which has four gates.
    """
    nets, batch, length, _ = ahead.shape
    size = again.shape[1]
    hidden, cell = np.zeros((2, nets, batch, size), np.float32)
    states = np.empty((nets, batch, length, size), np.float32)
    for step in range(length):
        state = ahead[:, :, step] + hidden @ again
        if again.shape[2] == size:
            hidden = np.tanh(state)
        else:
            into, forget, new, out = np.split(state, 4, 2)
            cell = _sigmoid(forget) * cell + _sigmoid(into) * np.tanh(new)
            hidden = _sigmoid(out) * np.tanh(cell)
        states[:, :, step] = hidden
    return states


def _joined(*values: Floats) -> Floats:
    return np.concatenate(values, 2)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray((np.tanh(values / 2) + 1) / 2, np.float32)
