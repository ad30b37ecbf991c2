"""Where live pictures come from: cameras, network streams, pipes and files, opened to be read once."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.video.stream import VideoStream

from fervid.errors import InputError, UsageError
from fervid.files import display_name, one_line, urls
from fervid.video import source
from fervid.video.opening import UNWANTED
from fervid.video.remote import redacted

STANDARD = "-"  # the name of standard input
CAMERA = "/dev/video"  # the start of a camera's path on Linux
CAMERAS = "v4l2"  # FFmpeg's name of these cameras
# FFmpeg looks at half a second before the first picture. (With `fflags=nobuffer` it would drop that part.)
OPTIONS = {"analyzeduration": "500000"}
PROTOCOLS = "http,https,tls,tcp,udp,rtp,srtp,rtsp,rtsps,rtmp,rtmps,srt,httpproxy,crypto,data"
SLICE = 0.2  # seconds after which to check again whether to stop


@dataclass(frozen=True)
class Origin:
    """The name of a source of live pictures, and how to open it."""

    name: str  # a device, a URL, a pipe, a file, or - for standard input
    form: str | None = None  # FFmpeg's name of the format or device; None: from the name or the content
    options: Mapping[str, str] = field(default_factory=dict)  # FFmpeg's
    patience: float = 10.0  # seconds without data after which a network stream has failed
    is_paced: bool = True  # whether a file plays at its own speed

    @property
    def is_url(self) -> bool:
        """Whether the name is a URL, which FFmpeg opens."""
        return urls.is_url(self.name)

    @property
    def is_device(self) -> bool:
        """Whether the name is a device, which FFmpeg opens."""
        if self.name == STANDARD or self.is_url:
            return False
        return self.name.startswith(CAMERA) or (self.form is not None and not os.path.exists(self.name))

    @property
    def is_file(self) -> bool:
        """Whether it is a file, which has an end and can be read twice."""
        return not (self.is_device or self.is_url or self.name == STANDARD) and os.path.isfile(self.name)

    @property
    def can_reopen(self) -> bool:
        """Whether it can be opened again after it broke: a pipe cannot."""
        return self.is_url or self.is_device

    def check(self) -> None:
        """Raise an error for a name that cannot be opened; a camera or URL may still fail."""
        if self.is_url or self.is_device:
            return
        if self.name == STANDARD:
            if sys.stdin is None or sys.stdin.isatty():
                raise UsageError(
                    "standard input (-) is a terminal: name a camera or URL, or pipe a stream in"
                )
        elif os.path.isdir(self.name):
            raise InputError(f"{self.label} is a folder: name a camera, a URL, a pipe or a video")
        elif not Path(self.name).is_fifo():
            source.check_readable(Path(self.name))

    @property
    def label(self) -> str:
        """The name for messages, without secrets."""
        if self.name == STANDARD:
            return "standard input"
        return redacted(self.name) if self.is_url else display_name(self.name)


@contextmanager
def opened(origin: Origin, read: Callable[[bytes], None], stopped: Event) -> Iterator[InputContainer]:
    """Open an origin; `read` is called with the bytes of a pipe, and `stopped` ends the reading of one."""
    if origin.is_url or origin.is_device:
        with _opened_by_name(origin) as container:
            yield container
        return
    with _opened_bytes(origin) as descriptor:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        pipe = _Pipe(descriptor, (lambda data: None) if is_file else read, stopped)
        handle = SimpleNamespace(read=pipe.read)
        if is_file:
            handle.seek, handle.tell = pipe.seek, pipe.tell
        # FFmpeg gets no name, as it interprets patterns and protocols in names; and a playlist must not make
        # it open anything else.
        options = {**OPTIONS, "protocol_whitelist": "none", **origin.options}
        with _container(handle, origin, options) as container:
            yield container
        if not is_file:
            pipe.drain()


@contextmanager
def _opened_by_name(origin: Origin) -> Iterator[InputContainer]:
    options = {**OPTIONS, **origin.options}
    if origin.is_url:
        options = {"protocol_whitelist": PROTOCOLS, **options}
        if origin.name.startswith(("rtsp:", "rtsps:")):
            options = {"rtsp_transport": "tcp", **options}  # UDP loses packets, and firewalls stop it
    with _container(origin.name, origin, options) as container:
        yield container


@contextmanager
def _container(file: object, origin: Origin, options: Mapping[str, str]) -> Iterator[InputContainer]:
    form = origin.form or (CAMERAS if origin.is_device else None)
    wait = origin.patience if origin.is_url else None
    began = time.monotonic()
    try:
        container = av.open(
            file, "r", format=form, options=dict(options), metadata_errors="replace", timeout=wait
        )
    except (av.FFmpegError, ValueError) as failure:
        is_late = wait is not None and time.monotonic() - began >= wait
        why = f"no answer within {wait:g} s" if is_late else reason(failure)
        raise InputError(f"cannot open {origin.label}: {why}; check it and the network") from failure
    with container:
        yield container


def reason(failure: Exception) -> str:
    """Return why FFmpeg failed, without the name of the origin, which may contain secrets."""
    return one_line(getattr(failure, "strerror", None) or type(failure).__name__, "\ufffd")


@contextmanager
def _opened_bytes(origin: Origin) -> Iterator[int]:
    """Open standard input, a named pipe or a file; yield its descriptor."""
    origin.check()
    if origin.name == STANDARD:
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(origin.name, os.O_RDONLY)
    except OSError as failure:
        raise InputError(f"cannot open {origin.label}: {failure.strerror}") from failure
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Pipe:
    """The bytes of a descriptor, which are returned as soon as they arrive."""

    def __init__(self, descriptor: int, read: Callable[[bytes], None], stopped: Event) -> None:
        self._descriptor, self._read, self._stopped = descriptor, read, stopped

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are any; none at the end, or when stopped."""
        while not self._stopped.is_set():
            if sys.platform == "win32" or select.select([self._descriptor], [], [], SLICE)[0]:
                data = os.read(self._descriptor, size)
                self._read(data)
                return data
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def drain(self) -> None:
        """Read the bytes after the last packet, so that the program that writes the pipe is not cut off."""
        with suppress(OSError):
            while self.read(source.CHUNK):
                pass


def video_stream(container: InputContainer, origin: Origin) -> VideoStream:
    """Return the largest video stream, with a decoder that waits for no further pictures."""
    videos = [
        stream
        for stream in container.streams.video
        if not stream.disposition & UNWANTED and stream.codec_context is not None
    ]
    if not videos:
        raise InputError(f"{origin.label} has no video: name a camera or a stream with pictures")
    stream = max(videos, key=lambda stream: (stream.width * stream.height, -stream.index))
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = ThreadType.NONE
    return stream
