"""Inputs named by a URL: on a local server, and in fsspec's memory store."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import fsspec
import pytest
from conftest import CLIP, Call, Done
from test_cli import says
from test_cli_analyze import SHORT

from fervid.batch.work import FETCHED, Job, Request, work
from fervid.errors import InputError
from fervid.files import urls
from fervid.types import Settings
from fervid.video import remote


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `broken.mp4` ends before its declared length, `locked/` wants a password."""

    def do_GET(self) -> None:
        if self.path.startswith("/moved"):  # to the same server under another name
            self.send_response(302)
            port = self.server.server_address[1]  # type: ignore[misc]
            self.send_header("Location", f"http://localhost:{port}/locked/a%20film.mp4")
            self.end_headers()
            return None
        if self.path.startswith("/slow"):  # a third of the film, in pieces
            self.send_response(200)
            self.send_header("Content-Length", str(CLIP.stat().st_size))
            self.end_headers()
            with suppress(ConnectionError):
                for start in range(0, CLIP.stat().st_size // 3, 10_000):
                    self.wfile.write(CLIP.read_bytes()[start : start + 10_000])
                    time.sleep(0.05)
            return None
        if self.path.startswith("/locked"):
            if self.headers["Authorization"] != f"Basic {b64encode(b'me@here:PASS/WORD').decode()}":
                self.send_error(401, "Unauthorized for \x1b[31m" + self.path)
                return None
            self.path = self.path.removeprefix("/locked")
            return super().do_GET()
        if not self.path.startswith("/broken"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(CLIP.read_bytes()[:3000])
        return None

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(CLIP, folder / "a film.mp4")
    (folder / "empty.mp4").touch()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as http_server:
        thread = threading.Thread(target=http_server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http_server.server_address[1]}"
        http_server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set an own temporary folder for each test, and check that it is empty in the end."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.glob("fervid*")) == []  # fsspec keeps its own until the end


def test_a_film_on_a_server_is_a_file_like_any_other(call: Call, server: str, tmp_path: Path) -> None:
    shutil.copy(CLIP, tmp_path / "a film.mp4")
    done = call("analyze", f"{server}/a%20film.mp4?signature=secret", *SHORT, "-o", "there")
    assert done.returncode == 0
    assert "secret" not in done.stderr
    assert call("analyze", "a film.mp4", *SHORT, "-o", "here").returncode == 0
    assert Path("there/a film.json").read_bytes() == Path("here/a film.json").read_bytes()


def test_a_store_of_fsspec(call: Call, tmp_path: Path) -> None:
    with fsspec.open("memory://bucket#1/a.mp4", "wb") as stream:
        stream.write(CLIP.read_bytes())
    shutil.copy(CLIP, tmp_path / "a.mp4")
    assert call("analyze", "memory://bucket#1/a.mp4", *SHORT, "-t", "there.json").returncode == 0
    assert call("analyze", "a.mp4", *SHORT, "-t", "here.json").returncode == 0
    assert (tmp_path / "there.json").read_bytes() == (tmp_path / "here.json").read_bytes()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("{server}/none.mp4?signature=secret", "the server answers 404 File not found"),
        ("{server}/broken.mp4", "ended after 3000 of 5000 bytes"),
        ("{server}/empty.mp4", "empty.mp4 is empty"),
        ("http://127.0.0.1:1/a.mp4", "Connection refused; check the address"),
        ("memory://nothing.mp4", "there is no memory://nothing.mp4"),
        ("strange://a/b.mp4", "strange://a/b.mp4: ValueError: Protocol not known: strange"),
        ("rtsp://user:secret@camera/1", "a stream, not a file: use `fervid live`, or pipe it, `ffmpeg"),
        ("{server}/live.m3u8", "is a stream"),
        ("http://[::1/a.mp4", "is not a valid URL"),
    ],
)
def test_an_error_of_fetching_is_one_line(call: Call, server: str, url: str, message: str) -> None:
    done = call("analyze", url.format(server=server), "-t", "out.json")
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "secret" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_download_is_progress(server: str) -> None:
    """Without it, the deadline of a batch would end the worker, and blame the film."""
    request = Request(("json",), Settings(), "untrained", "")
    done: list[float] = []
    with pytest.raises(InputError, match="slow ended after"):
        for share in work(Job(f"{server}/slow", "slow", request, 1, None, None)):
            done.append(share)
    assert len(done) > 5
    assert done == sorted(set(done)) and done[-1] < FETCHED


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("100kB", "slow is larger than 100,000 bytes: if it may take more, set --max-download"),
        ("0.1s,1TB", "slow takes longer than 0.1 s: if it may take more, set --max-download"),
    ],
)
def test_a_download_has_a_limit(call: Call, server: str, limit: str, message: str) -> None:
    done = call("analyze", f"{server}/slow", "-t", "out.json", "--max-download", limit)
    assert (done.returncode, message in done.stderr) == (1, True)


def test_a_store_without_a_length_has_a_limit(call: Call) -> None:
    with fsspec.open("memory://big.mp4", "wb") as stream:
        stream.write(bytes(5_000_000))
    done = call("analyze", "memory://big.mp4", "-t", "out.json", "--max-download", "4MB")
    assert "memory://big.mp4 is larger than 4,000,000 bytes" in done.stderr


def test_a_server_that_sends_little_has_failed(
    call: Call, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.2)
    monkeypatch.setattr(remote, "SLOWEST", 10**9)
    message = "slow sends less than 1,000,000,000 bytes a second: try again later"
    says(call("info", f"{server}/slow"), 1, message)


USER = "me%40here:PASS%2FWORD"


def test_a_password_is_sent_to_its_own_host_alone(call: Call, server: str) -> None:
    def info(path: str, user: str = USER) -> Done:
        return call("info", f"{server.replace('://', f'://{user}@')}/{path}")

    done = info("locked/a%20film.mp4")
    assert done.returncode == 0 and "h264" in done.stdout
    assert info("locked/a film.mp4?a b=c d").returncode == 0  # with spaces
    for failed in (info("locked/a%20film.mp4", "me:WRONGWORD"), info("moved"), info("none/me:PASS/WORD@x")):
        assert failed.returncode == 1
        assert failed.stderr.count("\n") == 1 and "\x1b" not in failed.stderr
        done = Done(0, done.stdout + failed.stdout, done.stderr + failed.stderr)
    assert "the server answers 401 Unauthorized for" in done.stderr
    assert not {"PASS", "WORD", "here"} & set(re.findall(r"\w+", done.stdout + done.stderr))


# Each has the password PASSWORD and the token TOKENTOKEN; the server and the stores have no such file.
SECRET = [
    "{server}/none.mp4?sig=TOKENTOKEN&user=PASSWORD",
    "http://me:PASSWORD@127.0.0.1:1/a.mp4?sig=TOKENTOKEN",
    "http://me:PASSWORD@127.0.0.1:1/a b.mp4?sig=TOKENTOKEN#PASSWORD",
    "http://me:PASS/PASSWORD@127.0.0.1/a.mp4?sig=TOKENTOKEN",
    "http://me:PASSWORD@[::1/a.mp4?sig=TOKENTOKEN",
    "ftp://me:PASSWORD@127.0.0.1:1/a.mp4",
    "memory://me:PASSWORD@bucket/a.mp4?sig=TOKENTOKEN",
    "strange://me:PASSWORD@host/a.mp4?sig=TOKENTOKEN",
    "simplecache::memory://me:PASSWORD@host/a.mp4?sig=TOKENTOKEN",
    "zip://a.mp4::memory://me:PASSWORD@host/a.zip?sig=TOKENTOKEN",
    "rtsp://me:PASSWORD@camera/1?sig=TOKENTOKEN",
]


@pytest.mark.parametrize("url", SECRET)
def test_no_message_has_a_secret(call: Call, server: str, tmp_path: Path, url: str) -> None:
    url = url.format(server=server)
    seen = ""
    for command in (
        ["info", url, "gone.mp4"],
        ["info", "--json", url, "--log-file", "log.txt"],
        ["-vv", "info", url, "--log-file", "log.txt"],
        ["show", url],
        ["peaks", f"--video={url}", url, "-vv"],
        ["report", url, "--nonsense"],
    ):
        done = call(*command)
        assert done.returncode != 0
        seen += done.stdout + done.stderr
    seen += (tmp_path / "log.txt").read_text()
    assert urls.redacted(url) in seen
    assert "PASSWORD" not in seen and "TOKEN" not in seen


def test_no_result_of_a_batch_has_a_secret(call: Call, server: str, tmp_path: Path) -> None:
    addresses = [url.format(server=server) for url in SECRET]
    (tmp_path / "list.txt").write_text("\n".join(addresses))
    log = ("--log-file", "log.txt")
    done = call("-vv", "batch", "--from-file", "list.txt", "-o", "results", "-j", "1", *log)
    assert done.returncode == 1
    (tmp_path / "list.txt").unlink()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"manifest.jsonl", "emotions.csv", "log.txt"} == {path.name for path in written}
    seen = "".join([done.stdout, done.stderr, *(path.read_text() for path in written)])
    assert all(urls.redacted(url) in seen for url in addresses)
    assert "PASSWORD" not in seen and "TOKEN" not in seen


def test_a_chain_of_stores(call: Call, tmp_path: Path) -> None:
    """Neither the timeline nor the manifest, which both name the film, has its secrets."""
    url = "memory://me:PASSWORD@bucket/a.mp4?sig=TOKENTOKEN"
    with fsspec.open(url, "wb") as stream:
        stream.write(CLIP.read_bytes())
    for chain in (f"simplecache::{url}", url):
        assert call("analyze", chain, *SHORT, "-o", "out", "-y").returncode == 0
        timeline = (tmp_path / "out" / "a.json").read_text()
        assert json.loads(timeline)["source"]["name"] == "a.mp4"
        done = call("batch", chain, "-o", "results", "--end", "1", "--executor", "local", "-y", "-j", "1")
        assert done.returncode == 1  # a worker has a memory of its own
        manifest = (tmp_path / "results" / "manifest.jsonl").read_text()
        assert json.loads(manifest)["input"] == chain.replace("me:PASSWORD@", "").partition("?")[0]
        seen = timeline + manifest + done.stderr
        assert "PASSWORD" not in seen and "TOKEN" not in seen


def test_a_failure_does_not_stop_the_other_inputs(call: Call, server: str, tmp_path: Path) -> None:
    urls = [f"{server}/none.mp4?secret", f"{server}/a%20film.mp4"]
    done = call("analyze", *urls, *SHORT, "-o", "out")
    assert done.returncode == 3
    assert f"1 of 2 inputs failed: {server}/none.mp4\n" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a film.json"]


def test_without_fsspec_the_extra_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    says(call("info", "s3://bucket/film.mp4"), 2, "pip install 'fervid[remote]'")


def test_a_file_whose_name_looks_like_a_url_is_a_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "http:" / "host").mkdir(parents=True)
    shutil.copy(CLIP, tmp_path / "http:" / "host" / "a.mp4")
    assert call("info", "http://host/a.mp4").returncode == 0


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("https://user:pass@host:81/a/b%20c.mp4?x=1#y", ("host_81", "a", "b c.mp4")),
        ("https://host/../../etc/a%2Fb.mp4", ("host", "etc", "a_b.mp4")),
        ("s3://bucket/key?x#1.mp4", ("bucket", "key?x#1.mp4")),
        ("https://host/", ("host",)),
        (f"https://host/{'a%20' * 100}.mp4", ("host", f"{'a ' * 93}a~b68fb148db2a")),
        ("https://me:PASS/WORD@host/a.mp4", ("remote",)),
        ("abfs://box@account/a/film.mp4?sv=1&sig=a/b", ("account", "a", "film.mp4")),
        ("simplecache::https://me:PW@host/film.mp4?sig=S", ("host", "film.mp4")),
        ("simplecache::zip://in/film.mp4::https://host/all.zip", ("in", "film.mp4")),
    ],
)
def test_the_parts_of_a_url_are_valid_file_names(url: str, names: tuple[str, ...]) -> None:
    assert remote.path_parts(url) == names
