"""Pictures inside an HDF5 file: `<file>.hdf5/<key>` is read as if it were the path of a picture.

Each key holds the bytes of one picture file, as in the data of ISIC 2024. h5py, the extra `sets`, reads it;
it takes one lock for all threads, which is held while bytes are copied, not while a picture is decoded. One
handle for each file and process is kept open, as opening takes longer than reading.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from dermapair.errors import ImageError, MissingExtraError

ENDINGS = (".hdf5", ".h5")
MAX_BYTES = 2**28
"""Largest picture file that is read from a container."""

_FILE_ENDS = re.compile(r"\.(?:hdf5|h5)(?=[/\\].)", re.IGNORECASE | re.DOTALL)
_OPEN_FILES = 4


def inside(path: str | Path) -> tuple[Path, str] | None:
    """Return (HDF5 file, key) of a path that leads into one, None for every other path."""
    text = str(path)
    ends = (match.end() for match in _FILE_ENDS.finditer(text))
    end = next((end for end in ends if os.path.isfile(text[:end])), None)  # a folder may be called so, too
    return None if end is None else (Path(text[:end]), text[end + 1 :])


def file_of(path: Path) -> Path:
    """Return the file on the disk that holds a picture: the HDF5 file of a path into one, else the path."""
    place = inside(path)
    return place[0] if place else path


def keys(path: Path) -> list[str]:
    """Return the keys at the top of an HDF5 file.

    Raises:
        ImageError: it is no HDF5 file, or a damaged one.
        MissingExtraError: h5py is not installed.
    """
    return list(_opened(path))


def is_there(path: Path) -> bool:
    """Return whether a path leads to a file, or to a key of an HDF5 file."""
    place = inside(path)
    return os.path.isfile(path) if place is None else place[1] in _opened(place[0])


def read_bytes(path: Path, key: str, label: str) -> bytes:
    """Return the bytes of one picture file.

    Args:
        path: the HDF5 file.
        key: of the picture; slashes lead through groups.
        label: name for messages.

    Raises:
        ImageError: the key is not there, or holds something else.
        MissingExtraError: h5py is not installed.
    """
    try:
        data = _opened(path).get(key)
        got = _unfit(data)
        if got is None:
            return _as_bytes(data[()])
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:  # h5py's for damaged bytes
        raise ImageError(
            label, f"expected a sound HDF5 file, got one that is damaged ({error}); fetch it again"
        ) from error
    raise ImageError(label, f"expected the bytes of a picture file under {key!r}, got {got}; check the key")


def _unfit(data: Any) -> str | None:
    """Return what a value is, in words, where it is not the bytes of one file."""
    if data is None:
        return "no such key"
    if not hasattr(data, "dtype"):
        return "a group"
    text = data.shape == () and data.dtype.kind in "SVO"
    if not text and not (data.ndim == 1 and data.dtype.kind == "u" and data.dtype.itemsize == 1):
        return f"an array of shape {data.shape} and type {data.dtype}"
    return f"{data.nbytes} bytes, more than {MAX_BYTES}" if data.nbytes > MAX_BYTES else None


def _as_bytes(value: Any) -> bytes:
    """Return text, opaque values and arrays of bytes as bytes."""
    return value if isinstance(value, bytes) else bytes(value.tobytes())


def _opened(path: Path) -> Any:
    """Return the open HDF5 file; a changed file and a forked process get a new handle."""
    try:
        state = os.stat(path)
        return _open(str(path), state.st_size, state.st_mtime_ns, os.getpid())
    except OSError as error:
        raise ImageError(
            path, f"expected an HDF5 file, got one that cannot be opened ({error}); fetch it again"
        ) from error


@lru_cache(maxsize=_OPEN_FILES)
def _open(path: str, size: int, mtime_ns: int, process: int) -> Any:
    """Open an HDF5 file to read; the further arguments only tell states and processes apart."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError(
            f"{path}: expected h5py to read HDF5, which is not installed; pip install 'dermapair[sets]', or "
            f"unpack the pictures into files"
        ) from None
    return h5py.File(path, "r", locking="best-effort")
