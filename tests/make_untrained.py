"""Make fervid/models/untrained again: a tiny network of a fixed seed, with the inputs of real ones.

    python tests/make_untrained.py [FOLDER]

Its scores mean nothing; tests run whole analyses with it.
"""

import sys
from pathlib import Path

import numpy as np

from fervid import model, streams
from fervid.labels import EMOTIONS

SEED = 68
# Movement of the face decides, so that there are segments and peaks; none of them has a meaning.
GAIN = {
    "tiny_faces.top.weight": 0.5,
    "tiny_faces.top.bias": 0.1,
    "tiny_displacement.hidden.weight": 60.0,
    "tiny_displacement.hidden.bias": 0.1,
    "tiny_displacement.top.weight": 3.0,
    "tiny_displacement.top.bias": 0.1,
}


def make(folder: Path) -> None:
    generator = np.random.Generator(np.random.PCG64(SEED))  # numpy's own: the same on every machine
    tensors = {}
    parts = []
    for name, reads in (("tiny_faces", "faces"), ("tiny_displacement", "displacement")):
        network = streams.build(name, len(EMOTIONS))
        for key, value in sorted(network.state_dict().items()):
            spread = GAIN.get(f"{name}.{key}", 1.0) / max(1.0, float(np.sqrt(value[0].numel())))
            tensors[f"{name}.{key}"] = generator.normal(0, spread, tuple(value.shape)).astype(np.float32)
        parts.append(model.StreamSpec(name, reads, {}))
    spec = model.Spec(
        name="untrained",
        labels=EMOTIONS,
        streams=tuple(parts),
        fusion="weighted",
        temperature=1.0,
        trained=False,
        licences={"weights": "MIT (random numbers)"},
        training_data=(),
        weights_sha256="",
    )
    model.save(folder, spec, tensors)


if __name__ == "__main__":
    here = Path(__file__).resolve().parent.parent / "fervid" / "models" / "untrained"
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
