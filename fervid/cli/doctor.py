"""`fervid doctor`: check the installation, and print how to repair it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import click

from fervid import __version__
from fervid.cli.shared.options import command
from fervid.cli.shared.output import show
from fervid.errors import FervidError

OK, NOTE, BROKEN = "ok", "note", "broken"

PREDICTOR_NOTICE = (
    "dlib's 68-point predictor, which only --landmarks dlib uses, was trained on iBUG 300-W; the terms of "
    "that dataset exclude commercial use. The default is fervid's own, which was not trained on it directly."
)
OPEN_NOTICE = (
    "fervid's own 68-point predictor (--landmarks open) was trained on P1_Facial_Keypoints (MIT) and "
    "facial_expressions (Apache-2.0), not on 300-W; docs/landmarks.md describes that data."
)

# Distribution -> its module; each is imported, because a broken library is a common fault.
NEEDED = {
    "av": "av",
    "click": "click",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "rich": "rich",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "torch": "torch",
}


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    state: str
    detail: str


@command("doctor", examples="fervid doctor\nfervid doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """Check the installation: versions, predictors, models, FFmpeg, CUDA, cores, the cache, fervid.toml.

    The exit code is 1 if something that fervid needs is broken.
    """
    findings = list(examine())
    is_broken = any(finding.state == BROKEN for finding in findings)
    if as_json:
        import json

        show(
            json.dumps({"ok": not is_broken, "findings": [asdict(finding) for finding in findings]}, indent=2)
        )
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            show(f"{finding.state:<6}  {finding.name:<{width}}  {finding.detail}")
    return 1 if is_broken else 0


def examine() -> Iterator[Finding]:
    """Check everything, in the order in which faults should be repaired."""
    yield Finding("fervid", OK, __version__)
    is_old = sys.version_info < (3, 11)
    yield Finding("python", BROKEN if is_old else OK, f"{platform.python_version()} on {platform.system()}")
    for distribution, module in NEEDED.items():
        yield _library(distribution, module)
    yield _ffmpeg()
    yield from _faces()
    yield from _models()
    yield _cuda()
    yield _arithmetic()
    yield Finding(
        "cores", OK, str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    )
    yield _cache()
    yield from _defaults()


def _defaults() -> Iterator[Finding]:
    """Check the files of defaults, and list what they set."""
    from fervid.cli.shared import defaults

    ctx = click.get_current_context().find_root()
    assert isinstance(ctx.command, click.Group)
    names = ctx.command.list_commands(ctx)
    commands = {name: command for name in names if (command := ctx.command.get_command(ctx, name))}
    is_empty = True
    try:
        for file in defaults.files():
            is_empty = False
            file.check_names(commands)
            for name, command in commands.items():
                file.of(name, command, ctx)
            yield Finding("defaults", OK, f"{file.path}: {', '.join(_settings(file.values)) or 'nothing'}")
    except FervidError as error:
        yield Finding("defaults", BROKEN, str(error))
    else:
        if is_empty:
            yield Finding("defaults", OK, f"none in {defaults.user_file()} or {defaults.NAME} here")


def _settings(values: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Yield the settings of a file, as `[peaks] top = 3`."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _settings(value, f"[{f'{where[1:-2]}.' if where else ''}{key}] ")
        else:
            yield f"{where}{key} = {value!r}"


def _library(distribution: str, module: str) -> Finding:
    try:
        import_module(module)
    except ImportError as error:
        return Finding(distribution, BROKEN, f"{error}; pip install --force-reinstall {distribution}")
    return Finding(distribution, OK, _version(distribution, module))


def _version(distribution: str, module: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # built another way, such as dlib from source
        return str(getattr(sys.modules[module], "__version__", "of unknown version"))


def _ffmpeg() -> Finding:
    try:
        versions: dict[str, Any] = import_module("av").library_versions
    except ImportError:
        return Finding("ffmpeg", BROKEN, "comes with av, which does not import")
    return Finding("ffmpeg", OK, ", ".join(f"{name} {'.'.join(map(str, v))}" for name, v in versions.items()))


def _faces() -> Iterator[Finding]:
    try:
        from fervid.faces.detectors import yunet_weights
        from fervid.faces.finder import face_net, predictors
        from fervid.faces.weights import import_dlib
    except ImportError as error:
        yield Finding("predictors", BROKEN, f"OpenCV does not import: {error}")
        return
    try:
        yield Finding("detector yunet", OK, str(yunet_weights()[0]))
    except FervidError as error:
        yield Finding("detector yunet", BROKEN, str(error))
    paths = {}
    for name, weights in predictors().items():
        try:
            paths[name] = weights()
            if name == "dlib":
                import_dlib()
        except FervidError as error:
            # Only what is asked for by name needs dlib.
            yield Finding(f"landmarks {name}", NOTE if name == "dlib" else BROKEN, str(error))
        else:
            yield Finding(f"landmarks {name}", OK, str(paths[name]))
    try:
        yield Finding("people", OK, str(face_net()))
    except FervidError as error:
        yield Finding("people", BROKEN, str(error))
    if "dlib" in paths:
        yield Finding("licence", NOTE, PREDICTOR_NOTICE)
    if "open" in paths:
        yield Finding("licence open", NOTE, OPEN_NOTICE)


def _models() -> Iterator[Finding]:
    from fervid import model

    for name in model.installed():
        try:
            model.verify(name)
            trained = model.info(name).trained
        except FervidError as error:
            yield Finding(f"model {name}", BROKEN, str(error))
        else:
            yield Finding(f"model {name}", OK, "ok" if trained else "ok; untrained, for trying the program")
    if "default" not in model.installed():
        yield Finding("model default", NOTE, "not in this installation: pass --model with a name or a folder")


def _cuda() -> Finding:
    try:
        torch = import_module("torch")
    except ImportError:
        return Finding("cuda", NOTE, "torch does not import")
    if not torch.cuda.is_available():
        return Finding("cuda", NOTE, "none: the networks run on the CPU")
    return Finding("cuda", OK, str(torch.cuda.get_device_name(0)))


def _arithmetic() -> Finding:
    try:
        quantized = import_module("fervid.quantized")
    except ImportError:
        return Finding("arithmetic", NOTE, "torch does not import")
    if quantized.is_available():
        return Finding("arithmetic", OK, "8-bit integers, in models that have them")
    return Finding("arithmetic", NOTE, "single precision: 8-bit integers need an x86 processor")


def _cache() -> Finding:
    from fervid.cache import Store

    try:
        folder = Path(Store.default(keep=False).folder)
    except FervidError as error:
        return Finding("cache", BROKEN, str(error))
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
        return Finding("cache", OK, str(folder))
    return Finding("cache", BROKEN, f"{folder} is not writable: set FERVID_CACHE_DIR, or use --no-cache")
