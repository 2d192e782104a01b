"""Writes that happen whole or not at all, folder locks, and hashes of content.

A file is written under a hidden temporary name beside its target, flushed to the disk and renamed: a reader sees the
old content or the new, never a part, whatever interrupts the writer.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.errors import InputError

StrPath = str | os.PathLike[str]
TEMP_SUFFIX = ".tmp"
LOCK_NAME = ".lock"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_KEPT = "what was there is kept"
_held: set[int] = set()


def _drop_inherited_locks() -> None:
    # flock belongs to the open file, which a forked child shares: a child that outlives its killed parent would go on
    # holding the folder.
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_drop_inherited_locks)


def disk_full(error: BaseException) -> bool:
    """Whether an error says that there is no space left: on the disk, in the quota, or within the limit of a file."""
    return isinstance(error, OSError) and error.errno in _FULL


def write_error(path: StrPath, error: OSError) -> InputError:
    """The one line for an `OSError` that came up while `path` was written."""
    if disk_full(error):
        return InputError(path, "cannot be written: the disk is full", f"free space or choose another folder ({_KEPT})")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return InputError(path, f"cannot be written: {reason}", f"choose a folder that you may write to ({_KEPT})")


@contextlib.contextmanager
def replacing(path: StrPath) -> Iterator[Path]:
    """Yields a temporary path, an empty file beside `path`, that replaces `path` when the block ends without an error.

    The temporary name ends with `.tmp`: tell writers that guess from the suffix what format to write. Parent folders
    are made. After an error the temporary file is gone and `path` is as it was.

    Raises:
        InputError: the folder cannot be written to, or the disk is full (also when the block itself ran into that).
    """
    path = Path(path)
    temp = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMP_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise write_error(path, error) from error
    try:
        try:
            yield temp
        except OSError as error:
            if disk_full(error):
                raise write_error(path, error) from error
            raise
        try:
            _flush(temp)
            os.replace(temp, path)
            _flush(path.parent)
        except OSError as error:
            raise write_error(path, error) from error
    except BaseException:
        temp.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def building(path: StrPath) -> Iterator[Path]:
    """Yields a hidden path beside `path`, for a file or a folder that is renamed to `path` when the block ends without
    an error; after one it is gone. Raises InputError as `replacing` does."""
    path = Path(path).resolve()
    hidden = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMP_SUFFIX}")
    try:
        yield hidden
        try:
            if path.is_dir():
                path.rmdir()  # an empty one
            os.replace(hidden, path)
        except OSError as error:
            raise write_error(path, error) from error
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.unlink(missing_ok=True)
        raise


def _flush(path: Path) -> None:
    """Waits until the file, or the folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():  # some file systems cannot flush a folder
            raise
    finally:
        os.close(handle)


def remove_leftovers(folder: StrPath, of: str = "") -> None:
    """Removes temporary files that killed writers left in `folder` or below it, or only those of the file named `of`.

    Call it while holding the lock.
    """
    for temp in Path(folder).rglob(f".{of}*{TEMP_SUFFIX}"):
        temp.unlink(missing_ok=True)


def write_bytes(path: StrPath, data: bytes | bytearray | memoryview) -> None:
    """Writes `data` to `path`, whole or not at all. Raises InputError as `replacing` does."""
    with replacing(path) as temp, open(temp, "wb") as file:
        file.write(data)


def write_text(path: StrPath, text: str) -> None:
    """Writes `text` as UTF-8 to `path`, whole or not at all. Raises InputError as `replacing` does."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: StrPath, value: Any) -> None:
    """Writes `value` as indented JSON. NaN and infinity are a ValueError: JSON has no word for them."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_npz(path: StrPath, /, **arrays: npt.ArrayLike) -> None:
    """Writes arrays as a compressed npz without pickles; the same arrays give the same bytes."""
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(f"array {name!r} holds Python objects, which an npz keeps only as pickles")
    # NumPy's own savez_compressed compresses at level 6: three times the time of level 1, for files 7 % smaller.
    with replacing(path) as temp, zipfile.ZipFile(temp, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in plain.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read_bytes(path: StrPath) -> bytes:
    """The content of a file. Raises InputError where it is missing or unreadable."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(path, "is missing", "give the path of an existing file") from error
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror or error}", "give a readable file") from error


def read_text(path: StrPath) -> str:
    """The content of a UTF-8 file, without the mark that spreadsheets put first. Raises InputError as `read_bytes`
    does, and where it is in another encoding."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from error


def read_json(path: StrPath) -> Any:
    """The value of a JSON file. Raises InputError where it is missing or damaged."""
    try:
        return json.loads(read_bytes(path).decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(path, f"is not JSON: {error}", "restore the file, or make it again") from error


def read_npz(path: StrPath, only: str | None = None) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an npz, or the one called `only`; pickles are refused.

    Raises:
        InputError: it is missing or damaged, or lacks the one.
    """
    with _npz(path) as archive:
        return {name: archive[name] for name in (archive.files if only is None else [only])}


def npz_names(path: StrPath) -> list[str]:
    """The names of an npz's arrays. Raises InputError as `read_npz` does."""
    with _npz(path) as archive:
        return list(archive.files)


@contextlib.contextmanager
def _npz(path: StrPath) -> Iterator[np.lib.npyio.NpzFile]:
    """An open npz; whatever is wrong with it while it is read is an InputError."""
    if not Path(path).is_file():
        raise InputError(path, "is missing", "give the path of an existing npz file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is not a zip of arrays")
            yield archive
    except (ValueError, EOFError, KeyError, OSError, MemoryError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, f"is a damaged npz: {reason}", "restore the file, or make it again") from error


@contextlib.contextmanager
def folder_lock(folder: StrPath, part: str | None = None, wait: bool = False) -> Iterator[None]:
    """Holds `folder` (made if missing) for this process alone; the lock ends with the process, however it ends.

    Args:
        folder: the folder.
        part: hold only this part of it: processes with other parts may work beside this one, a process that holds the
            whole folder may not.
        wait: until the others are done, instead of raising.

    Raises:
        InputError: another process, or another block of this one, holds the folder; or it cannot be written to.
    """
    folder = Path(folder)
    handles = [_acquire(folder, LOCK_NAME, alone=part is None, wait=wait)]
    _held.update(handles)
    try:
        if part is not None:
            handles.append(_acquire(folder, f"{LOCK_NAME}-{part}", alone=True, wait=wait))
            _held.update(handles)
        yield
    finally:
        for handle in handles:
            if handle in _held:
                _held.discard(handle)
                os.close(handle)


def _acquire(folder: Path, name: str, alone: bool, wait: bool) -> int:
    """An open file that holds a lock, shared with others unless `alone`."""
    path, kind = folder / name, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise write_error(folder, error) from error
        try:
            fcntl.flock(handle, kind)
            now = path.stat()  # the folder may have been renamed or removed between opening and locking
            if (now.st_dev, now.st_ino) == (os.fstat(handle).st_dev, os.fstat(handle).st_ino):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
                return handle
        except BlockingIOError as error:
            owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(handle)
            what = f"is in use by another process (pid {owner})"
            raise InputError(folder, what, "wait until it ends, or choose another folder") from error
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(handle)
            raise write_error(folder, error) from error
        os.close(handle)


def sha256_file(path: StrPath) -> str:
    """Hex SHA-256 of a file's bytes. Raises InputError where it is missing or unreadable."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputError(path, "is missing", "give the path of an existing file") from error
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror or error}", "give a readable file") from error


def array_chunks(label: str, array: npt.ArrayLike) -> Iterator[bytes | memoryview]:
    """What a hash takes in for one array: the line `LABEL DTYPE SHAPE`, then its bytes.

    DTYPE is NumPy's little-endian name (`<f4`, `|u1`, `|b1`), SHAPE the lengths joined with commas; the bytes are in
    C order, little-endian.
    """
    plain = np.asarray(array)
    plain = np.ascontiguousarray(plain, dtype=plain.dtype.newbyteorder("<")).reshape(plain.shape)
    yield f"{label} {plain.dtype.str} {','.join(map(str, plain.shape))}\n".encode()
    yield plain.tobytes() if plain.size == 0 else plain.data.cast("B")


def sha256_arrays(*arrays: npt.ArrayLike) -> str:
    """Hex SHA-256 over dtype, shape and bytes of arrays, in order (see `array_chunks`; the label is `array`)."""
    digest = hashlib.sha256()
    for array in arrays:
        for chunk in array_chunks("array", array):
            digest.update(chunk)
    return digest.hexdigest()


def leads_out(root: Path, path: Path) -> bool:
    """Whether a path below a folder really lies outside of it: by a link, or by `..`."""
    return not path.resolve().is_relative_to(root.resolve())


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of a JSON value in its one canonical form: sorted keys, no spaces, ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
