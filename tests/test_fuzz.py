"""The damage that the campaign of damaged files does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import av
import pytest
from conftest import CLIP, ROOT


@pytest.fixture(scope="module")
def damage() -> Iterator[ModuleType]:
    """Import the script that damages files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import fuzz_damage  # type: ignore[import-not-found]

        yield fuzz_damage


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
