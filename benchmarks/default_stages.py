"""The recipe of the default model: its datasets, and the stages that `train_default.py` runs in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STILLS = (
    "ferplus:{data}/ferplus.npz?usage=Training",
    "portraits:{data}/portraits.npz?part=training&most=2500",
)
MOVING = (
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=1500",
    "portraits:{data}/portraits.npz?part=training&motion=yes&most=400",
    "acted:{data}/portraits.npz?part=training&difficulty=medium&per_class=200&seed=0",
    "acted:{data}/portraits.npz?part=training&difficulty=posed&per_class=80&seed=0",
    "acted:{data}/portraits.npz?part=training&difficulty=spontaneous&per_class=120&seed=0",
)
TALKING = ("acted:{data}/portraits.npz?part=training&difficulty=talking&per_class=100&seed=0",)


def acted(part: str, options: str) -> tuple[str, ...]:
    """Return the acted portraits of a part at every difficulty."""
    return tuple(
        f"acted:{{data}}/portraits.npz?part={part}&difficulty={difficulty}&{options}"
        for difficulty in ("posed", "medium", "spontaneous", "talking")
    )


# C3D is trained mostly on acted portraits of many people, because it has to see how each emotion appears, and
# because motion learnt from few people does not generalise.
ONSETS = (
    "ferplus:{data}/ferplus.npz?usage=Training",
    "portraits:{data}/portraits.npz?part=training&most=1500",
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=250",
)
CROWD = tuple(
    f"acted:{{data}}/portraits.npz?part=training&difficulty={difficulty}&per_class={count}&seed=6"
    for difficulty, count in (("posed", 100), ("medium", 250), ("spontaneous", 300), ("talking", 200))
)
# What acts is only a puppet: without real expressions that appear, a net reads all of them as the puppet's.
REAL_ONSETS = (
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=1500",
    "portraits:{data}/portraits.npz?part=training&motion=yes&most=400",
)
REAL_ONSETS_FEW = (
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=400",
    "portraits:{data}/portraits.npz?part=training&motion=yes&most=300",
)
VALIDATION_ONSETS = ("ferplus:{data}/ferplus.npz?usage=PublicTest&motion=yes&most=150",)
VALIDATION_ONSETS_FEW = ("ferplus:{data}/ferplus.npz?usage=PublicTest&motion=yes&most=100",)
# For the fusion, people on whom no stream was trained: a stream is overconfident on its own training set. One
# half of them is for training, the other for validation.
UNSEEN = acted("validation&half=first", "per_class=60&seed=4")
# Most faces in films only rest or talk.
RESTING_UNSEEN = acted("validation&half=first", "only=neutral&per_class=300&seed=5")
VALIDATION_UNSEEN = acted("validation&half=second", "per_class=15&seed=1")
DRAWN = tuple(
    f"synth:{difficulty}?people=1000&per_class=1500&seed=0&faces=no"
    for difficulty in ("posed", "medium", "spontaneous")
)
DRAWN_TALKING = ("synth:talking?people=1000&per_class=1500&seed=0&faces=no",)
DRAWN_FEW = tuple(
    f"synth:{difficulty}?people=500&per_class=500&seed=0&faces=no"
    for difficulty in ("medium", "spontaneous", "talking")
)
# The validation sets, which decide the best epoch, the weights of the sum and the temperature.
VALIDATION = ("ferplus:{data}/ferplus.npz?usage=PublicTest",)
VALIDATION_FEW = ("ferplus:{data}/ferplus.npz?usage=PublicTest&most=250",)
VALIDATION_ACTED = (
    "acted:{data}/portraits.npz?part=validation&difficulty=medium&per_class=40&seed=1",
    "acted:{data}/portraits.npz?part=validation&difficulty=talking&per_class=20&seed=1",
)
VALIDATION_DRAWN = ("synth:medium?people=200&per_class=200&seed=1&faces=no",)

# FER2013's labels are noisy and its classes unbalanced: half the weight for FER+'s votes, and some balance.
TARGETS = "--soft-labels 0.5 --smoothing 0.02 --balance 0.4"
# Later more weight for the original labels: FER+'s annotators almost never chose fear or disgust.
TARGETS_LATER = "--soft-labels 0.3 --smoothing 0.02 --balance 0.2"


@dataclass(frozen=True)
class Mean:
    """A model with the mean weights of related runs, which is better than each of them."""

    name: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One run of `fervid train`."""

    name: str
    data: tuple[str, ...]
    validation: tuple[str, ...]
    settings: str
    after: tuple[str, ...] = ()  # stages with the weights that it starts from
    clips: int = 0  # per epoch


@dataclass(frozen=True)
class Script:
    """A script with stages of its own: the model of each is `NAME_STAGE`, and the one that is read `last`."""

    name: str
    after: str
    script: str
    last: str
    commands: tuple[str, ...]  # with {data}, {net}, {detector}, {after}, {still}, {jobs} and {small}
    nets: tuple[str, ...]  # those that it trains for this stage

    @property
    def folder(self) -> str:
        return Path(self.script).stem.removeprefix("train_")


FRAMES = (
    "faces --data {data} {jobs} {small}",
    "answers --net {net} --detector {detector}",
    "train first second third narrow --still {after} {small}",
)
FACE_NET = ("train face_net face_net_on --still {after} {small}",)
TAUGHT = ("train taught face_net_taught --still {after} {small}",)
MOTION = ("points --data {data} --still {still} {jobs} {small}", "train --phrnn {after} {small}")

STAGES: tuple[Stage | Mean | Script, ...] = (
    Stage(
        "still",
        STILLS,
        VALIDATION,
        f"--streams still --epochs 40 --coarse 0.8 --batch 128 --mixup 0.2 --variants {TARGETS}",
        clips=28160,
    ),
    # More epochs, because it was under-fitted. At 48 pixels they gained almost nothing; the stage is kept
    # because the shipped weights came from it.
    Stage(
        "still_on",
        STILLS,
        VALIDATION,
        f"--streams still --epochs 72 --coarse 0.9 --batch 128 --mixup 0.2 --variants {TARGETS}",
        after=("still",),
        clips=28160,
    ),
    # Continue at full size and with milder augmentation.
    Stage(
        "still_fine",
        STILLS,
        VALIDATION,
        f"--streams still --epochs 12 --batch 128 --rate 0.7 --mixup 0.2 --augmentation mild --variants "
        f"{TARGETS}",
        after=("still_on",),
        clips=28160,
    ),
    Stage(
        "still_long",
        STILLS,
        VALIDATION,
        f"--streams still --epochs 72 --batch 128 --mixup 0.2 --augmentation mild --variants {TARGETS}",
        after=("still_fine",),
        clips=28160,
    ),
    # Single frames of moving faces cost a sixteenth of clips.
    Stage(
        "still_moving",
        STILLS + MOVING + TALKING,
        VALIDATION + VALIDATION_ACTED,
        "--streams still --epochs 14 --moving 0.4 --batch 128 --rate 0.5 --mixup 0.2 --augmentation mild "
        f"--variants {TARGETS_LATER}",
        after=("still_long",),
        clips=28160,
    ),
    # One of the last two is better on stills, the other on moving faces; their mean loses little of either.
    Mean("still_mean", of=("still_long", "still_moving")),
    # Labels of FER2013 alone teach the faces of FER2013: another net's answers help with other people's.
    Script(
        "still",
        "still_mean",
        "train_frames.py",
        "narrow",
        FRAMES,
        ("first", "second", "third", "narrow"),
    ),
    # Each is better than the others on some faces, and their mean on nearly all.
    Mean("still_best", of=("still_mean", "still_first", "still_second", *("still_third",) * 3)),
    # A net that knows people by three million pictures reads other faces differently, and as well.
    Script(
        *("still_facenet", "still_best", "train_frames.py", "face_net_on", FACE_NET),
        ("face_net", "face_net_on"),
    ),
    # A detector that knows other pictures tells disgust and fear from the rest better than both, and teaches
    # them. C3D, the landmark network and the fusion know them as they were before.
    Script(
        *("frames", "still_best", "train_frames.py", "face_net_taught", TAUGHT),
        ("taught", "face_net_taught"),
    ),
    # On the way there, FER2013's own faces are read as before, and others nearly as well as at the end.
    Mean("still_last", of=(*("still_best",) * 7, *("frames_taught",) * 3)),
    # Of half the usual width, at a quarter of the cost.
    Stage(
        "c3d",
        ONSETS + CROWD,
        VALIDATION_FEW + VALIDATION_ACTED,
        "--streams c3d --size c3d.width=16 --epochs 8 --coarse 0.7 --moving 0.75 --batch 32 --rate 0.4 "
        "--augmentation mild --soft-labels 0.4 --smoothing 0.02 --balance 0.2",
        after=("still_narrow",),
        clips=12000,
    ),
    # Far from done. These are the first 9 epochs of a run of 26: its rate had hardly fallen when it was
    # stopped, and then a run that ends.
    Stage(
        "c3d_on",
        ONSETS + CROWD,
        VALIDATION_FEW + VALIDATION_ACTED,
        "--streams c3d --size c3d.width=16 --epochs 9 --moving 0.8 --batch 32 --rate 0.8 "
        "--augmentation mild --soft-labels 0.4 --smoothing 0.02 --balance 0.2 --seed 1",
        after=("c3d",),
        clips=12000,
    ),
    Stage(
        "c3d_fine",
        ONSETS + CROWD,
        VALIDATION_FEW + VALIDATION_ACTED,
        "--streams c3d --size c3d.width=16 --epochs 10 --moving 0.8 --batch 32 --rate 0.7 "
        "--augmentation mild --soft-labels 0.4 --smoothing 0.02 --balance 0.2 --seed 2",
        after=("c3d_on",),
        clips=12000,
    ),
    # Smiles that appear on real faces were read as anything but happiness.
    Stage(
        "c3d_onsets",
        REAL_ONSETS + CROWD,
        VALIDATION_ONSETS_FEW + VALIDATION_ACTED,
        "--streams c3d --size c3d.width=16 --epochs 12 --batch 32 --rate 0.7 "
        "--augmentation mild --soft-labels 0.4 --smoothing 0.02 --balance 0.4 --seed 3",
        after=("c3d_fine",),
        clips=12000,
    ),
    Stage(
        "phrnn",
        STILLS + MOVING + DRAWN,
        VALIDATION_FEW + VALIDATION_ACTED[:1] + VALIDATION_DRAWN,
        f"--streams phrnn --epochs 30 --batch 128 --augmentation mild {TARGETS}",
        clips=25600,
    ),
    # It mistook the round mouths of talking for surprise.
    Stage(
        "phrnn_on",
        STILLS + MOVING + TALKING + DRAWN + DRAWN_TALKING,
        VALIDATION_FEW + VALIDATION_ACTED + VALIDATION_DRAWN,
        f"--streams phrnn --epochs 10 --batch 128 --rate 0.5 --augmentation mild {TARGETS}",
        after=("phrnn",),
        clips=25600,
    ),
    # On fervid's own landmarks; the stages before were trained on dlib's.
    Stage(
        "phrnn_open",
        ONSETS + CROWD + DRAWN_FEW,
        VALIDATION_FEW + VALIDATION_ACTED,
        "--streams phrnn --epochs 5 --moving 0.6 --batch 128 --rate 0.4 --augmentation mild "
        "--soft-labels 0.4 --smoothing 0.02 --balance 0.4",
        after=("phrnn_on",),
        clips=25600,
    ),
    # It took every real mouth that talks for a smile, and people who talk and turn for surprised.
    Script("phrnn", "phrnn_open", "train_motion.py", "people", MOTION, ("people",)),
    *(
        Stage(
            name,
            ONSETS[:2] + REAL_ONSETS_FEW + UNSEEN + RESTING_UNSEEN,
            VALIDATION + VALIDATION_UNSEEN + VALIDATION_ONSETS,
            "--streams c3d+phrnn+still --size c3d.width=16 --size c3d.motion=20 --size phrnn.motion=8 "
            f"--epochs 0 --fixed-tops {fixed} --own-loss 0 --sum-loss 1 --joint-epochs 12 --rate 2.5 "
            "--moving 0.75 --batch 64 --soft-labels 0.2 --smoothing 0.02 --balance 0.4",
            after=("c3d_onsets", "phrnn_people", "still_best"),
            clips=9600,
        )
        for name, fixed in (("fusion", "c3d+still"), ("fusion_free", "still"))
    ),
    # With its last layer trained, C3D reads animated faces better and real ones worse.
    Mean("default", of=("fusion",) * 3 + ("fusion_free",) * 2),
)


def sized(spec: str, small: bool) -> str:
    """Return a dataset's spec, with few samples for --small."""
    if not small:
        return spec
    kept = []
    path, _, options = spec.partition("?")
    for option in options.split("&"):
        name = option.partition("=")[0]
        limit = {"most": 2, "per_class": 1, "people": 2}.get(name)
        kept.append(f"{name}={limit}" if limit is not None else option)
    if path.startswith("ferplus") and "most=" not in options:
        kept.append("most=2")
    return f"{path}?{'&'.join(kept)}"
