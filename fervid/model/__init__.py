"""Models: a folder with a spec (JSON) and weights (safetensors). Only running a model needs torch."""

from fervid.model.pooling import pooled
from fervid.model.predict import BATCH, Model, parts, read
from fervid.model.softmax import softmax
from fervid.model.spec import (
    ACCURACY,
    CARD,
    FUSIONS,
    JOINT,
    SPEC,
    WEIGHTS,
    Spec,
    StreamSpec,
    accuracy,
    check_short_windows,
    find,
    info,
    installed,
    portable_name,
    read_spec,
    verify,
)
from fervid.model.voting import MARK, VOTES, member_answers, vote
from fervid.model.weights import check_device, load, load_exactly, load_light, read_tensors, save
from fervid.model.yielding import counted, shares
