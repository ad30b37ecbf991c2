"""The benchmark of annotate compares what it says it compares; how fast anything is, no test asks."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import ROOT, environment

SCRIPT = ROOT / "benchmarks" / "annotate.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("annotate_benchmark", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["annotate_benchmark"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_equal_pictures_are_similar_and_noise_costs_what_it_should(script: ModuleType) -> None:
    chance = np.random.default_rng(0)
    picture = chance.integers(40, 200, (64, 96)).astype(np.uint8)
    quality = script.Quality()
    quality.add(picture, picture)
    assert quality.figures() == {"psnr": script.PEAK, "psnr_least": script.PEAK, "ssim": 1, "ssim_least": 1}
    quality.add(picture, picture + np.uint8(10))
    figures = quality.figures()
    assert figures["psnr_least"] == pytest.approx(10 * np.log10(255**2 / 100))
    assert figures["psnr"] == pytest.approx(10 * np.log10(255**2 / 50))
    shuffled = chance.permutation(picture.ravel()).reshape(picture.shape)
    quality.add(picture, shuffled)
    assert quality.figures()["ssim_least"] < 0.2 < figures["ssim_least"] < 1


def test_every_figure_is_measured(short: Path, script: ModuleType, tmp_path: Path) -> None:
    """The same settings as the command's, encoded again, have the same size and quality."""
    from fervid.video.redrawing import QUALITY

    settings = ",".join(f"{name}={value}" for name, value in QUALITY.items())
    line = [sys.executable, str(SCRIPT), str(short), "--model", "untrained", "--jobs", "1", "--json"]
    done = subprocess.run(
        [*line, "--settings", settings, "qp=40,preset=ultrafast"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    figures = json.loads(done.stdout)
    assert figures["frames"] == 50
    for name in ("decoding", "analysis"):
        for kind in ("processor", "elapsed"):
            ratio = figures["annotation"][kind] / figures[name][kind]
            assert figures[f"{kind}_ratio_to_{name}"] == pytest.approx(ratio)
    same, worse = figures["settings"]
    assert same["size_ratio_to_source"] == pytest.approx(figures["size_ratio_to_source"], rel=0.1)
    assert same["ssim"] == pytest.approx(figures["ssim"], abs=0.001)
    assert worse["size_ratio_to_source"] < same["size_ratio_to_source"]
    assert worse["ssim"] < same["ssim"] < 1
    text = "\n".join(script.table(figures))
    for words in ("annotation / analysis", "fervid annotate", settings, f"{same['ssim']:.4f}"):
        assert words in text
