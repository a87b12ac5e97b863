"""The format of files: a manifest in JSON, arrays, and a checksum of both. Reading runs no code.

``docs/persistence.md`` describes the layout and the protocol number.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import skltransfer
from skltransfer.persistence.arrays import described, little_endian, views_of
from skltransfer.persistence.errors import Explained

MAGIC = b"\x93SKLTR\r\n"
"""The first bytes of every file. The very first one is not text, and the line ending reveals a
transfer in text mode."""
PROTOCOL = 2

_LENGTH = struct.Struct("<Q")
_START = len(MAGIC) + _LENGTH.size
_DIGEST_SIZE = hashlib.sha256().digest_size
_MOST_MANIFEST_BYTES = 1 << 26
_VERSION = re.compile(r"[0-9]+(\.[0-9a-z+]+){1,9}")
_KEYS = ("protocol", "skltransfer", "estimator", "backbones", "state", "arrays")

_PICKLE = (
    "which can run code when it is opened; if you trust who wrote it, open it with "
    "joblib.load. Call save() on what you get, or keep to joblib for a pipeline, which has no "
    "save()"
)
_FOREIGN = {
    b"\x80": f"a pickle, as joblib.dump writes, {_PICKLE}",
    b"\x78": f"zlib-compressed, which may be a file of joblib.dump, {_PICKLE}",
    b"\x1f\x8b": f"gzip-compressed, which may be a file of joblib.dump, {_PICKLE}",
    b"BZh": f"bzip2-compressed, which may be a file of joblib.dump, {_PICKLE}",
    b"\xfd7zXZ": f"xz-compressed, which may be a file of joblib.dump, {_PICKLE}",
    b"PK": "a zip file, as .keras and .skops files are. Pass a .keras file as backbone=, and a "
    ".skops file to skops.io.load",
    b"\x89HDF": "an HDF5 file. If it holds only weights, pass it as weights=",
    b"version ": "a Git LFS pointer. Run git lfs pull to get the file",
    b"<": "text (HTML or XML), as left by a failed download. Download it again",
    b"\x93SKLTR\n": "an estimator's file whose line endings were changed, as by git or in a "
    "transfer of text. Mark it as binary, and copy it again",
    b"\xef\xbf\xbdSKL": "an estimator's file that was read or sent as text. Copy it as binary",
}


def write_file(path: Path, content: dict[str, Any], arrays: list[np.ndarray]) -> None:
    """Write a manifest of `content`, and the arrays; if this fails, an old file stays as it was.

    Raises
    ------
    ValueError
        If the manifest would be too long to be read.
    """
    manifest = {
        "protocol": PROTOCOL,
        "skltransfer": skltransfer.__version__,
        **content,
        "arrays": [described(array) for array in arrays],
    }
    text = _canonical(manifest)
    if len(text) > _MOST_MANIFEST_BYTES:
        raise ValueError(
            f"The estimator's settings take {len(text):,} bytes in JSON, but at most "
            f"{_MOST_MANIFEST_BYTES:,} can be loaded. joblib.dump(estimator, path) has no limit."
        )
    digest = hashlib.sha256()
    with _replacing(path) as file:
        for part in _parts(text, arrays):
            digest.update(part)
            file.write(part)
        file.write(digest.digest())


def read_file(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return the manifest and read-only arrays of a file, after checking every byte.

    Raises
    ------
    ValueError
        With the reason, if the file is damaged, has a newer protocol, or is not an estimator's.
    """
    data = _bytes_of(path)
    if not _is_whole(data):
        raise Explained(
            "its bytes do not match its checksum: it was cut off or changed after it was written. "
            "Take another copy of it, or save the estimator again."
        )
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    if length > min(len(data) - _START - _DIGEST_SIZE, _MOST_MANIFEST_BYTES):
        raise ValueError(f"its manifest cannot be {length:,} bytes long.")
    manifest = _parsed(data[_START : _START + length])
    payload = memoryview(data)[_START + length : -_DIGEST_SIZE]
    return manifest, views_of(manifest["arrays"], payload)


def _bytes_of(path: Path) -> bytes:
    """Return all bytes of a file; a foreign file is refused after its first bytes."""
    path.stat()  # raises FileNotFoundError
    if not path.is_file():
        raise Explained("it is not a regular file. Give the path of a file that save() wrote.")
    with open(path, "rb") as file:
        start = file.read(len(MAGIC))
        if start != MAGIC:
            raise Explained(f"it is {_kind_of(start)}.")
        file.seek(0)
        return file.read()


def _parts(text: bytes, arrays: list[np.ndarray]) -> Iterator[bytes]:
    yield MAGIC + _LENGTH.pack(len(text)) + text
    for array in arrays:
        yield little_endian(array).tobytes()


def _canonical(manifest: dict[str, Any]) -> bytes:
    """Return the only bytes allowed for a manifest, without repeated keys or hidden bytes."""
    return json.dumps(manifest, allow_nan=False, separators=(",", ":")).encode()


def _is_whole(data: bytes) -> bool:
    if len(data) < _START + _DIGEST_SIZE:
        return False
    return hashlib.sha256(memoryview(data)[:-_DIGEST_SIZE]).digest() == data[-_DIGEST_SIZE:]


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its manifest is not JSON that save() writes ({error}).") from error
    if not isinstance(manifest, dict):
        raise ValueError("its manifest is not a JSON object.")
    _check_protocol(manifest.get("protocol"), manifest.get("skltransfer"))
    if tuple(manifest) != _KEYS:
        raise ValueError(f"its manifest does not consist of {', '.join(_KEYS)}.")
    if not _is_canonical(manifest, text):
        raise ValueError("its manifest is not written as save() does: a key may occur twice.")
    return manifest


def _is_canonical(manifest: dict[str, Any], text: bytes) -> bool:
    try:
        return _canonical(manifest) == text
    except (ValueError, RecursionError):  # a number larger than any float
        return False


def _check_protocol(protocol: object, version: object) -> None:
    is_version = isinstance(version, str) and _VERSION.fullmatch(version)
    if type(protocol) is not int or protocol < 1 or not is_version:
        raise ValueError("it does not say with which protocol and version it was written.")
    if protocol > PROTOCOL:
        raise Explained(
            f"it was written by skltransfer {version} with protocol {protocol}, but this is "
            f"skltransfer {skltransfer.__version__}, which reads protocols up to {PROTOCOL}. "
            f"Install skltransfer {version} or a newer version."
        )


def _kind_of(start: bytes) -> str:
    if not start:
        return "empty. Take another copy of it, or save the estimator again"
    known = (what for magic, what in _FOREIGN.items() if start.startswith(magic))
    return next(known, "not a file that an estimator's save(path) wrote")


def _check_place(path: Path) -> None:
    """Refuse an invalid path, before a temporary file is created beside it."""
    if path.is_dir():
        raise IsADirectoryError(f"path={str(path)!r} is a folder. Add the name of a file to it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"path={str(path)!r} lies in {str(path.parent)!r}, which is not a folder. Make it "
            "first, or choose another."
        )
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(
            f"path={str(path)!r} lies in {str(path.parent)!r}, where this process may write no "
            "files. Ask for permission, or choose another folder."
        )


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file beside `path` that replaces it once it is complete and on disk."""
    path = Path(os.path.realpath(path))
    _check_place(path)
    beside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
