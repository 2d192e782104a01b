"""Atomic files: old content or new, never a part; locks that end with their process; hashes of content."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flashbench.errors import InputError
from flashbench.files import atomic


def python(code: str, *args: object, **kwargs: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **kwargs)  # type: ignore[call-overload]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "path": np.array([True, False])}
    atomic.write_npz(tmp_path / "new" / "x.npz", **arrays)
    again = atomic.read_npz(tmp_path / "new" / "x.npz")
    assert {k: (v.dtype, v.tolist()) for k, v in again.items()} == {k: (v.dtype, v.tolist()) for k, v in arrays.items()}
    atomic.write_json(tmp_path / "x.json", {"name": "é", "n": [1, 2.5, None]})
    assert atomic.read_json(tmp_path / "x.json") == {"name": "é", "n": [1, 2.5, None]}
    atomic.write_text(tmp_path / "x.txt", "one")
    atomic.write_text(tmp_path / "x.txt", "two")
    assert (tmp_path / "x.txt").read_text() == "two"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "x.json", "x.txt"]


def test_same_arrays_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        atomic.write_npz(tmp_path / name, x=np.arange(100))
    assert atomic.sha256_file(tmp_path / "a.npz") == atomic.sha256_file(tmp_path / "b.npz")


def test_an_error_keeps_the_old_content_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic.replacing(path) as temp:
        temp.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_kill_in_the_middle_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    code = """
import sys, time
from flashbench.files.atomic import replacing
with replacing(sys.argv[1]) as temp, open(temp, "w") as file:
    file.write("half"); file.flush(); print("writing", flush=True); time.sleep(60)
"""
    process = python(code, path)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    process.kill()
    process.wait()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    atomic.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_nan_and_pickles_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "x.json", {"a": float("nan")})
    with pytest.raises(TypeError, match="'a' holds Python objects"):
        atomic.write_npz(tmp_path / "x.npz", a=np.array([{}]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    path = tmp_path / "x.npz"
    atomic.write_npz(path, a=np.zeros(3))

    def full(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"x\.npz: cannot be written: the disk is full; free space"):
        atomic.write_npz(path, a=np.ones(3))
    assert list(tmp_path.iterdir()) == [path]
    assert atomic.read_npz(path)["a"].tolist() == [0, 0, 0]


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    path = small_disk / "x.bin"
    atomic.write_bytes(path, b"old")
    with pytest.raises(InputError, match="the disk is full"):
        atomic.write_bytes(path, os.urandom(2**21))
    with pytest.raises(InputError, match="the disk is full"):
        atomic.write_npz(path, a=np.random.default_rng(0).random(2**18))
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/x: cannot be written: .*; choose a folder"):
        atomic.write_text(tmp_path / "file" / "x", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: cannot be written: Is a directory"):
        atomic.write_text(tmp_path / "folder", "")


def test_another_error_of_the_block_is_not_called_a_write_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.replacing(tmp_path / "x"):
        (tmp_path / "missing").read_text()


class Damage:
    """What can be wrong with a file that is read."""

    @staticmethod
    def missing(path: Path) -> None:
        path.unlink()

    @staticmethod
    def empty(path: Path) -> None:
        path.write_bytes(b"")

    @staticmethod
    def truncated(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-40])

    @staticmethod
    def flipped(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 0xFF
        path.write_bytes(data)

    @staticmethod
    def other(path: Path) -> None:
        path.write_bytes(b"\xff\xfe not what the name says")

    @staticmethod
    def pickled(path: Path) -> None:
        path.write_bytes(pickle.dumps({"a": 1}))


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "flipped", "other", "pickled"])
def test_damaged_npz(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.npz"
    atomic.write_npz(path, a=np.random.default_rng(0).random(200))
    getattr(Damage, damage)(path)
    with pytest.raises(InputError, match=r"x\.npz: is (missing|a damaged npz)") as error:
        atomic.read_npz(path)
    assert "\n" not in str(error.value)


def test_pickles_in_an_npz_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{"run": "this"}], dtype=object))
    with pytest.raises(InputError, match="damaged npz"):
        atomic.read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "other"])
def test_damaged_json(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.json"
    atomic.write_json(path, {"a": list(range(30))})
    getattr(Damage, damage)(path)
    with pytest.raises(InputError, match=r"x\.json: is (missing|not JSON)"):
        atomic.read_json(path)


HOLD = """
import os, sys, time
from flashbench.files.atomic import folder_lock
with folder_lock(sys.argv[1]):
    if len(sys.argv) > 2 and os.fork() == 0:
        time.sleep(20)  # a child that outlives its parent
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_held_by_another_process(tmp_path: Path) -> None:
    process = python(HOLD, tmp_path / "run")
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    line = rf"run: is in use by another process \(pid {process.pid}\); wait until it ends"
    with pytest.raises(InputError, match=line), atomic.folder_lock(tmp_path / "run"):
        pass
    process.kill()
    process.wait()
    with atomic.folder_lock(tmp_path / "run"):
        pass


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    process = python(HOLD, tmp_path, "fork", start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    process.kill()
    process.wait()
    try:
        with atomic.folder_lock(tmp_path):
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_the_lock_is_for_one_block_and_comes_free(tmp_path: Path) -> None:
    with atomic.folder_lock(tmp_path), pytest.raises(InputError, match="in use"), atomic.folder_lock(tmp_path):
        pass
    with atomic.folder_lock(tmp_path):
        pass


def test_a_lock_can_be_waited_for(tmp_path: Path) -> None:
    process = python(HOLD.replace("time.sleep(60)", "time.sleep(0.5)"), tmp_path)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with atomic.folder_lock(tmp_path, wait=True):
        assert process.wait(10) == 0


def test_leftovers_of_one_file(tmp_path: Path) -> None:
    for name in (".a.npz.1-ff.tmp", ".b.npz.1-ff.tmp", "a.npz"):
        (tmp_path / name).touch()
    atomic.remove_leftovers(tmp_path, "a.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".b.npz.1-ff.tmp", "a.npz"]
    atomic.remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_hash_of_arrays_is_over_content() -> None:
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert atomic.sha256_arrays(a) == atomic.sha256_arrays(
        np.asfortranarray(a),
    )
    assert atomic.sha256_arrays(a) == atomic.sha256_arrays(a.astype(">f4"))
    others = [a.reshape(3, 2), a.astype(np.float64), a + 1, a[None]]
    assert len({atomic.sha256_arrays(x) for x in [a, *others]}) == 5
    assert atomic.sha256_arrays(a, a) != atomic.sha256_arrays(np.stack([a, a]))
    assert atomic.sha256_arrays(np.zeros((0, 3))) != atomic.sha256_arrays(np.zeros((3, 0)))


def test_hash_of_arrays_has_the_documented_bytes() -> None:
    import hashlib

    a = np.array([[1, 2], [3, 4]], np.uint8)
    assert atomic.sha256_arrays(a) == hashlib.sha256(b"array |u1 2,2\n\x01\x02\x03\x04").hexdigest()
    assert atomic.sha256_arrays(np.float32(1.0)) == hashlib.sha256(b"array <f4 \n\x00\x00\x80?").hexdigest()


def test_hash_of_json_ignores_the_order_of_keys() -> None:
    assert atomic.sha256_json({"a": 1, "b": [2]}) == atomic.sha256_json(json.loads('{"b": [2], "a": 1}'))
    assert atomic.sha256_json({"a": 1}) != atomic.sha256_json({"a": 1.5})


def test_hash_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing"):
        atomic.sha256_file(tmp_path / "x")
