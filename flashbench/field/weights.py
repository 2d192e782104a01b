"""Weights that the user brings: a local path, or the id of a repository on a model hub. What they are is hashed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flashbench.errors import InputError
from flashbench.files.atomic import sha256_file, sha256_json

MODEL_FILES = ("*.json", "*.txt", "*.safetensors")  # never pickles


def from_hub(name: str, given: str | None, default: str, files: tuple[str, ...] = MODEL_FILES) -> Path:
    """The folder or file that `--weights NAME=...` names, or a snapshot of a hub repository.

    Args:
        name: of the extractor, for messages.
        given: a path, a hub id (`owner/repository`, `@revision` after it), or None.
        default: hub id where nothing is given; empty where there is none.
        files: patterns of the files that are wanted of a repository.

    Raises:
        InputError: nothing there, or the hub cannot be reached.
    """
    mend = f"bring the weights here and say --weights {name}=PATH"
    if given is not None and Path(given).exists():
        return Path(given)
    wanted = given or default
    if not wanted:
        raise InputError(f"weights of {name}", "are not given", mend)
    if wanted.count("/") != 1 or wanted.startswith((".", "/", "~")):
        raise InputError(f"--weights {name}={wanted}", "is neither a path that exists nor a hub id", mend)
    from huggingface_hub import snapshot_download

    repository, _, revision = wanted.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(files)))
    except Exception as error:
        raise InputError(
            f"weights of {name}", f"{wanted} cannot be had from the model hub ({type(error).__name__})", mend
        ) from error


def one_file(name: str, path: Path, pattern: str) -> Path:
    """The file itself, or the only one in a folder that fits a pattern."""
    found = [path] if path.is_file() else sorted(path.glob(pattern))
    if len(found) != 1:
        what = f"holds {len(found)} files that fit {pattern}"
        raise InputError(path, what, f"name the file itself: --weights {name}=PATH")
    return found[0]


@functools.cache
def identity(path: Path) -> str:
    """sha256 over the configuration and the weights of a model folder, or of a file: what a number depends on."""
    files = [path] if path.is_file() else sorted([*path.glob("*.safetensors"), *path.glob("*config.json")])
    if not any(f.suffix != ".json" for f in files):
        raise InputError(path, "holds no *.safetensors", "give a folder with config.json and model.safetensors")
    if len(files) == 1:
        return sha256_file(files[0])
    return sha256_json([[f.name, sha256_file(f)] for f in files])


def check_sha256(name: str, path: Path, published: str) -> Path:
    """The path, where its hash is the published one: checked before the file is opened."""
    found = identity(path)
    if found != published:
        raise InputError(
            path, f"sha256 is {found[:12]}..., published for {name} is {published[:12]}...", "get it again"
        )
    return path


def pretrained(cls: Any, name: str, path: Path, **options: Any) -> Any:
    """A transformers model of a local folder, float32, frozen, on the device; safetensors only."""
    from transformers.utils import logging

    from flashbench.field.frames import device

    logging.disable_progress_bar()  # ours is on the same stderr
    try:
        net = cls.from_pretrained(path, local_files_only=True, use_safetensors=True, **options)
    except (OSError, ValueError, RuntimeError) as error:
        what = f"cannot be read as {cls.__name__} ({str(error).splitlines()[0][:120]})"
        raise InputError(path, what, f"give --weights {name}=FOLDER of such a model") from error
    return net.float().eval().requires_grad_(False).to(device())


def scripted(name: str, path: Path) -> Any:
    """A TorchScript file. It holds code: give only files whose hash is published."""
    import torch

    from flashbench.field.frames import device

    load: Any = torch.jit.load
    try:
        return load(str(path), map_location=device()).eval()
    except (RuntimeError, OSError) as error:
        what = f"cannot be read as TorchScript ({str(error).splitlines()[0][:120]})"
        raise InputError(path, what, f"give --weights {name}=FILE") from error


def state_dict(name: str, path: Path) -> dict[str, Any]:
    """A PyTorch checkpoint: tensors and plain containers, nothing that could run."""
    import torch

    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        what = f"is not a checkpoint of tensors ({type(error).__name__})"
        raise InputError(path, what, f"give --weights {name}=FILE") from error


class Located:
    """Weights found when they are first needed, and their hash: the start of an extractor's fingerprint."""

    def __init__(self, find: Callable[[], Path], protocol: str) -> None:
        self._find, self._protocol = functools.cache(find), protocol

    @property
    def path(self) -> Path:
        return self._find()

    @property
    def fingerprint(self) -> str:
        return f"{identity(self.path)}+{self._protocol}"
