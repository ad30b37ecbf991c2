"""Test networks that compute in 8-bit integers: layers, scores, and the command that makes them."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, Call, environment
from safetensors.numpy import load_file
from test_benchmarks import imported
from torch import Tensor, nn

from fervid import model, quantized, streams, synth
from fervid.errors import ModelError
from fervid.faces import points
from fervid.faces.finder import OPEN, OPEN_SHA256
from fervid.faces.weights import included
from fervid.labels import EMOTIONS
from fervid.model.spec import StreamSpec
from fervid.packing import STEPS
from fervid.streams.network import Network

pytestmark = pytest.mark.skipif(not quantized.is_available(), reason="needs an x86 processor")

SIZES = {"still": {"width": 8, "blocks": 2}, "c3d": {"width": 4, "blocks": 1}}
RUNS = torch.no_grad()


def network(name: str) -> Network:
    """Return a net with random weights, and with statistics of normalization as if it were trained."""
    torch.manual_seed(3)
    net = streams.build(name, 7, **SIZES[name])
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.2)
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return net.eval().placed(torch.device("cpu"))


def windows(count: int, seed: int = 0) -> Tensor:
    """Return smooth pictures that move."""
    coarse = torch.randn(count, 16, 8, 8, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size=64, mode="bilinear")


def quantized_twin(net: Network) -> Network:
    with quantized.measured(net) as ranges, RUNS:
        for seed in range(3):
            net.features(windows(8, seed))
    twin = copy.deepcopy(net)
    twin.quantize(ranges)
    return twin


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.Conv3d])
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_layer_is_the_sum_of_its_products(kind: type[nn.Conv2d | nn.Conv3d], low: float) -> None:
    torch.manual_seed(0)
    layer = kind(24, 12, 3, padding=1)
    whole = quantized.Layer(layer, None, quantized.Steps(low, 2.0))
    dimensions = 2 if kind is nn.Conv2d else 3
    steps = torch.randint(0, 256, (2, 24, *[6] * dimensions)).to(torch.uint8)
    sizes = whole._sizes.view(-1, *[1] * (dimensions + 1))
    assert (whole._sizes >= layer.weight.detach().flatten(1).abs().amax(1) / 63).all()
    weight = (layer.weight.detach() / sizes).round().double() * sizes
    convolve = nn.functional.conv2d if dimensions == 2 else nn.functional.conv3d
    values = (steps.double() - whole.steps.zero) * whole.steps.size
    bias = layer.bias.detach().double()  # type: ignore[union-attr]
    step = whole._sizes.double() * whole.steps.size
    assert (whole._bias.double() - bias).abs().max() <= step.max() / 2
    expected = convolve(values, weight, whole._bias.double(), padding=1)  # type: ignore[arg-type]
    assert torch.equal(whole(quantized.channels_last(steps)).double(), expected)  # exactly


def test_the_largest_products_do_not_overflow() -> None:
    layer = nn.Conv2d(512, 4, 3, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    whole = quantized.Layer(layer, None, quantized.Steps(0.0, 1.0))
    full = torch.full((1, 512, 5, 5), 255, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    step = 2.0**-8 * float(whole._sizes[0])
    assert torch.equal(
        whole(full), torch.full((1, 4, 3, 3), 512 * 9 * 255 * round(1 / float(whole._sizes[0])) * step)
    )


def test_steps_round_to_the_nearest_and_stop_at_the_ends() -> None:
    steps = quantized.Steps(-1.0, 0.9)  # 1 / 128 for 243 steps
    assert steps.size == 2.0**-7 and steps.zero == 128
    values = torch.tensor([[-5.0, -1.0, -0.6, -0.4, 0.0, 0.4, 1.6, 127.0, 900.0]]) * steps.size
    assert steps(values).tolist() == [[123, 127, 127, 128, 128, 128, 130, 255, 255]]


@pytest.mark.parametrize(("high", "size"), [(254.0, 1.0), (290.0, 1.0), (294.0, 2.0), (0.0, 2.0**-28)])
def test_steps_are_powers_of_two_that_hold_nearly_the_whole_range(high: float, size: float) -> None:
    assert quantized.Steps(0.0, high).size == size


@pytest.mark.parametrize("name", SIZES)
def test_features_are_nearly_those_of_single_precision(name: str) -> None:
    net = network(name)
    twin, clip = quantized_twin(net), windows(8, seed=9)
    with RUNS:
        exact, whole = net.features(clip), twin.features(clip)
    assert not torch.equal(exact, whole)
    assert (exact - whole).norm() < 0.03 * exact.norm(), (exact - whole).norm() / exact.norm()


@pytest.mark.parametrize("name", SIZES)
def test_a_window_does_not_depend_on_its_company(name: str) -> None:
    twin, clip = quantized_twin(network(name)), windows(8, seed=5)
    with RUNS:
        assert torch.equal(twin.features(clip)[3:4], twin.features(clip[3:4].clone()))


def test_the_same_picture_gives_the_same_features_again() -> None:
    twin, clip = quantized_twin(network("still")), windows(4)
    with RUNS:
        first = twin.features(clip)
        assert torch.equal(first, twin.features(clip))  # nothing that a call writes to is kept


def test_gradients_are_those_of_single_precision() -> None:
    net = network("c3d")
    twin, slopes = quantized_twin(net), []
    for each in (net, twin):
        clip = windows(1).requires_grad_()
        each(clip)[0, 2].backward()
        assert clip.grad is not None
        slopes.append(clip.grad)
    assert torch.equal(*slopes) and slopes[0].abs().max() > 0


BITS = """
import hashlib, numpy as np, torch
from fervid import model
from fervid.faces.detectors import by_torch
from fervid.faces.finder import FaceFinder
coarse = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 16)).astype(np.uint8)
crops = list(coarse.repeat(4, 2).repeat(4, 3))
picture = np.tile(crops[0][0], (4, 4))
points = FaceFinder().follow(picture, np.random.default_rng(0).uniform(60, 160, (68, 2)).astype(np.float32))
nets = model.load("default")
cells = [level.numpy() for level in by_torch().net(torch.from_numpy(picture)[None, None])]
for values in (points, *cells, nets.logits("still", crops), nets.logits("c3d", crops)):
    print(hashlib.sha256(np.round(values, 4).tobytes()).hexdigest())
"""


def test_an_older_processor_gives_the_same_results() -> None:
    results = []
    for processor in ({}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, {"ATEN_CPU_CAPABILITY": "default"}):
        line = [sys.executable, "-c", BITS]
        done = subprocess.run(line, env=environment(**processor), capture_output=True, text=True, check=True)
        results.append(done.stdout.split())
    assert len(results[0]) == 6 and results[0] == results[1] == results[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model of the untrained networks above, with a stream of landmarks beside them."""
    target = tmp_path_factory.mktemp("models") / "plain"
    untrained = model.read_spec("untrained")
    points_stream = next(stream for stream in untrained.streams if stream.reads == "displacement")
    kinds = [StreamSpec(name, "faces", SIZES[name], 0.5) for name in SIZES]
    spec = replace(untrained, name="plain", streams=(*kinds, points_stream))
    parts = load_file(model.find("untrained") / model.WEIGHTS)
    tensors = {key: value for key, value in parts.items() if key.startswith(points_stream.name)}
    for name in SIZES:
        tensors |= {f"{name}.{key}": value.numpy() for key, value in network(name).state_dict().items()}
    model.save(target, spec, tensors)
    return target


@pytest.fixture(scope="module")
def fast(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the same model with ranges."""
    target = tmp_path_factory.mktemp("models") / "fast"
    tensors = load_file(folder / model.WEIGHTS)
    for name in SIZES:
        net = network(name)
        with quantized.measured(net) as ranges, RUNS:
            net.features(windows(8))
        tensors[f"{name}.{quantized.RANGES}"] = quantized.encode(net, ranges).numpy()
    model.save(target, model.read_spec(folder), tensors)
    return target


def crops(count: int) -> list[np.ndarray]:
    return [(40 * window + 128).clip(0, 255).to(torch.uint8).numpy() for window in windows(count, seed=2)]


def test_a_loaded_model_computes_in_integers_only_where_they_are_available(
    folder: Path, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = model.load(folder).logits("still", crops(3))
    whole = model.load(fast).logits("still", crops(3))
    assert not np.array_equal(exact, whole) and np.abs(exact - whole).max() < 0.1
    assert np.array_equal(model.load_exactly(fast).logits("still", crops(3)), exact)
    monkeypatch.setattr(quantized, "is_available", lambda: False)
    elsewhere = model.load_exactly(fast, "cpu")
    assert elsewhere.networks["still"].trunk is None
    assert np.array_equal(elsewhere.logits("still", crops(3)), exact)


@pytest.mark.parametrize("damage", ["short", "nan"])
def test_damaged_ranges_are_refused(damage: str, fast: Path, tmp_path: Path) -> None:
    tensors = load_file(fast / model.WEIGHTS)
    name = f"c3d.{quantized.RANGES}"
    tensors[name] = tensors[name][:-1] if damage == "short" else np.full_like(tensors[name], np.nan)
    model.save(tmp_path / "model", model.read_spec(fast), tensors)
    with pytest.raises(ModelError, match=r"stream c3d .* do not fit"):
        model.load(tmp_path / "model")


def test_the_command_writes_the_ranges(folder: Path, call: Call, tmp_path: Path) -> None:
    target = tmp_path / "fast"
    data = ["--data", "synth:posed?people=2&per_class=1"]
    done = call("models", "quantize", folder, *data, "-o", target)
    assert (done.returncode, done.stdout) == (0, f"{target}\n"), done.stderr
    before, after = (load_file(path / model.WEIGHTS) for path in (folder, target))
    packed = {key for key in after if key + STEPS in after}
    assert packed == {
        f"{name}.{key}.weight" for name in SIZES for key in quantized.whole_weights(network(name))
    }
    assert after.keys() - before.keys() == (
        {f"{name}.{quantized.RANGES}" for name in SIZES} | {key + STEPS for key in packed}
    )
    assert all(np.array_equal(after[key], value) for key, value in before.items() if key not in packed)
    scores = [model.load_exactly(path).logits("still", crops(3)) for path in (folder, target)]
    assert np.abs(scores[0] - scores[1]).max() < 0.05
    assert model.load(target).networks["c3d"].trunk is not None
    again = call("models", "quantize", folder, *data, "-o", target)
    assert again.returncode == 1 and "contains a training run" in again.stderr
    assert call("models", "quantize", target, *data, "-o", target, "-y").returncode == 2
    assert model.load(target).networks["c3d"].trunk is not None  # not deleted


def test_the_command_needs_a_stream_that_can(fast: Path, call: Call, tmp_path: Path) -> None:
    data = ["--data", "synth:posed?people=2&per_class=1"]
    shutil.copytree(fast, tmp_path / "earlier")
    for target, is_there in (("new", False), ("earlier", True)):
        done = call("models", "quantize", "untrained", *data, "-o", tmp_path / target, "-y")
        assert done.returncode == 2 and "no stream that computes in 8-bit integers" in done.stderr
        assert (tmp_path / target / model.SPEC).exists() == is_there


def test_the_shipped_networks_compute_in_integers() -> None:
    nets = model.load("default").networks
    assert [name for name, net in nets.items() if net.trunk is not None] == ["c3d", "still", "still_facenet"]
    predict = points.load(included(OPEN, OPEN_SHA256))
    assert isinstance(predict._net, points.QuantizedPoints)


def test_the_benchmark_compares_scores(fast: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = tuple(synth.samples("posed", 2, 2, 0, EMOTIONS))
    with imported(ROOT / "benchmarks" / "quantized.py") as script:
        exact, whole = (script.scores(net, samples) for net in (model.load_exactly(fast), model.load(fast)))
        truth = script.truths(model.load(fast), samples)
        assert exact.shape == (len(truth), 7) and np.allclose(exact.sum(1), 1, atol=1e-5)
        assert 0 < np.abs(exact - whole).max() < 0.1
        script.compare("drawn", exact, exact[:, ::-1], truth)
    line = capsys.readouterr().out
    apart = np.abs(exact - exact[:, ::-1]).max(axis=1)
    assert f"scores apart {apart.mean():.4f} on average, {apart.max():.3f} at most" in line
    assert f"accuracy {100 * (exact.argmax(1) == truth).mean():.1f} and" in line
