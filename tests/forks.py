"""Run `fervid` in forks of one process, which have imported everything: for shell scripts that call it often.

python tests/forks.py serve SOCKET     serves calls, after one analysis that loads what analyses need
python tests/forks.py call SOCKET ...  runs `fervid ...` with the caller's streams, folder and environment
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress


def call(address: str, arguments: list[str]) -> int:
    """Let the server run a command, and return its exit code when it has ended."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [b"-"], [0, 1, 2])
        server.sendall(json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode())
        server.shutdown(socket.SHUT_WR)
        (code,) = server.recv(1)
        server.recv(1)  # until the end of the fork
        return code


def serve(address: str) -> None:
    """Answer every call in a fork."""
    from conftest import CLIP, run_here

    from fervid.process import skip_last_collections

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        assert run_here(["analyze", CLIP, "--end", "0.2", "--no-cache", "--quiet", "-t", os.devnull]) == 0
        skip_last_collections()  # nor does a fork collect what it shares with this process
        signal.signal(signal.SIGCHLD, reap)
        print("ready", flush=True)
        while True:
            caller, _ = server.accept()
            if os.fork() == 0:
                server.close()
                answer(caller)
            caller.close()


def reap(*_: object) -> None:
    """Forget the forks that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def answer(caller: socket.socket) -> None:
    """Run the caller's command on one core, send the exit code, and end."""
    from conftest import run_here

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(caller, 1, 3)
    with caller.makefile("rb") as request:
        arguments, folder, environment = json.load(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = run_here(arguments)
    caller.sendall(bytes([code]))
    os._exit(code)  # the output is flushed; to free all that was imported would take half a second


if __name__ == "__main__":
    if sys.argv[1] == "call":
        sys.exit(call(sys.argv[2], sys.argv[3:]))
    serve(sys.argv[2])
