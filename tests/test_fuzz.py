"""A small run of the campaign of damaged files, and of its parts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import av
import pytest
from conftest import CLIP, ROOT, environment

FILES = 40
CLIPS = (  # quickly written; every container, and most kinds of codecs
    "mp4-h264",
    "mp4-h264-edit",
    "mp4-h264-parts",
    "mp4-mpeg4",
    "mkv-h264",
    "mkv-raw",
    "webm-vp8",
    "avi-mpeg4",
    "avi-raw",
    "mov-png",
    "ts-h264",
    "mpg-mpeg2",
    "flv-flv1",
    "gif",
    "mjpeg",
    "raw-h264",
    "wmv",
    "3gp-h263",
    "nut-mpeg4",
    "stills-png",
)


@pytest.fixture(scope="module")
def damage() -> Iterator[ModuleType]:
    """Import the script that damages files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import fuzz_damage  # type: ignore[import-not-found]

        yield fuzz_damage


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_damaged_files_give_a_result_or_one_line(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "fuzz.py"
    line = [
        sys.executable,
        script,
        "--files",
        str(FILES),
        "--seed",
        "8",  # no default model and no batch, whose processes take seconds to start
        "--clips",
        ",".join(CLIPS),
        "--json",
    ]
    done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, encoding="utf-8")
    figures = json.loads(done.stdout)
    assert figures["findings"] == {}
    assert done.returncode == 0
    assert figures["files"] == FILES
    assert figures["done"] > FILES / 4
    assert figures["refused"] > FILES / 10


def test_the_same_seed_makes_the_same_damage(damage: ModuleType) -> None:
    data = CLIP.read_bytes()[:20_000]
    files = [damage.damaged(data, Random(f"1:{index}")) for index in (0, 1, 0)]
    assert files[0] == files[2] != files[1]
    assert files[0][0] != data


def test_every_kind_of_damage_applies_to_some_file(damage: ModuleType, tmp_path: Path) -> None:
    names = ("film.mp4", "film.mkv", "film.avi", "film.flv", "film.ts", "film.gif")
    applied = set()
    for name in names:
        codec, pixels = ("gif", "rgb8") if name.endswith("gif") else ("mpeg4", "yuv420p")
        if name.endswith("flv"):
            codec = "flv"
        with av.open(str(tmp_path / name), "w") as out:
            stream = out.add_stream(codec, rate=25)  # type: ignore[call-overload]
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            for _ in range(3):
                out.mux(stream.encode(av.VideoFrame(64, 48, pixels)))
            out.mux(stream.encode())
        data = (tmp_path / name).read_bytes()
        for kind in (*damage.PLAIN, *damage.DECLARED):
            for number in range(5):
                changed = kind(data, Random(number))
                if changed is not None and changed != data:
                    applied.add(kind.__name__)
    assert applied == {kind.__name__ for kind in (*damage.PLAIN, *damage.DECLARED)}


def test_a_parameter_set_declares_its_size(damage: ModuleType, tmp_path: Path) -> None:
    """FFmpeg reads the size that was written."""
    from fuzz_formats import parameter_set  # type: ignore[import-not-found]

    path = tmp_path / "film.h264"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        out.mux(stream.encode())
    data = path.read_bytes()
    at = data.index(b"\x00\x00\x01\x67") + 3
    path.write_bytes(data[:at] + parameter_set(64, 32) + data[data.index(b"\x00\x00\x01\x68") :])
    with av.open(str(path)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (1024, 512)
