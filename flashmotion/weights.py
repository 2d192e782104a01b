"""Where shipped weights lie, and their manifests: what made a file, and its hash."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from flashbench.errors import InputError
from flashbench.files.atomic import read_json, sha256_file, write_bytes, write_json

if TYPE_CHECKING:  # where weights lie is told without it
    import torch
    from torch import nn

ROOT = Path(__file__).parent / "weights"
FILE = "diffusion_pytorch_model.safetensors"
ELSEWHERE = "FLASHMOTION_WEIGHTS"  # environment variable: a folder to export to, and to look into before the package's


def folder(preset: str, part: str) -> Path:
    """Folder of one network, such as `nano`, `slow-adapter`: where $FLASHMOTION_WEIGHTS has it, else the package's."""
    other = os.environ.get(ELSEWHERE)
    if other and (Path(other) / preset / part / FILE).exists():
        return Path(other) / preset / part
    return ROOT / preset / part


def export(net: nn.Module, preset: str, part: str, made: dict[str, Any], dtype: torch.dtype | None = None) -> Path:
    """Saves a network in diffusers' layout with a manifest of what made it. The network itself is left as it is.

    Args:
        dtype: of the file; None: bfloat16.

    Raises:
        InputError: the disk is full or the folder cannot be written to; what was there is kept.
    """
    import torch

    dtype = dtype or torch.bfloat16
    target = Path(os.environ.get(ELSEWHERE) or ROOT) / preset / part
    try:
        with tempfile.TemporaryDirectory() as made_in:
            copy.deepcopy(net).to(dtype).save_pretrained(made_in)
            config = json.loads((Path(made_in) / "config.json").read_text())
            config.pop("_name_or_path", None)  # where its ancestor lay on the machine that trained it
            text = json.dumps(config, indent=2, sort_keys=True) + "\n"
            files = {FILE: (Path(made_in) / FILE).read_bytes(), "config.json": text.encode()}
    except (OSError, SafetensorError) as error:
        raise InputError(
            tempfile.gettempdir(), f"the weights cannot be written ({error})", "free space, or set TMPDIR"
        ) from error
    for name, data in files.items():
        write_bytes(target / name, data)
    write_json(
        target / "manifest.json",
        {
            **made,
            "dtype": str(dtype).removeprefix("torch."),
            "sha256": sha256_file(target / FILE),
            "config_sha256": sha256_file(target / "config.json"),
        },
    )
    return target


def manifest(preset: str, part: str) -> dict[str, Any]:
    """What is written down of an exported network.

    Raises:
        InputError: there is none, or it does not name the hashes.
    """
    path = folder(preset, part) / "manifest.json"
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(found.get(k), str) for k in ("sha256", "config_sha256")):
        raise InputError(path, "sha256 or config_sha256 is missing", "restore the file from the repository")
    return found


def load(cls: Any, preset: str, part: str) -> Any:
    """Loads a shipped network as float32, in eval mode, its hashes checked.

    Raises:
        InputError: the weights are missing or are not the ones that the manifest names.
    """
    source = folder(preset, part)
    if not (source / FILE).exists():
        raise InputError(
            source,
            "weights are missing",
            f"train them: flashmotion train (part {part}), or restore the file from the repository",
        )
    known = manifest(preset, part)
    for name, key in ((FILE, "sha256"), ("config.json", "config_sha256")):
        if sha256_file(source / name) != known[key]:
            raise InputError(
                source / name,
                "its sha256 is not the manifest's",
                "restore the file from the repository, or export it again",
            )
    import torch

    return cls.from_pretrained(source, torch_dtype=torch.float32, use_safetensors=True, local_files_only=True).eval()
