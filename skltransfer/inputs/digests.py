"""Content digests of rows.

SHA-256 is the fastest strong hash of the standard library on processors with SHA instructions
(97 µs for 150 KB, as fast as SHA-1; BLAKE2b takes 186 µs).
"""

from __future__ import annotations

import hashlib

import numpy as np


def digest_array(array: np.ndarray) -> bytes:
    """Return the digest of an array's dtype, shape and values."""
    state = hashlib.sha256(f"array {array.dtype.str} {array.shape}\0".encode())
    state.update(np.ascontiguousarray(array).data)
    return state.digest()


def digest_pil_pixels(array: np.ndarray, meaning: str) -> bytes:
    """Return the digest of a PIL image's pixels and of `meaning`, the values of black and white."""
    return hashlib.sha256(f"PIL image {meaning}\0".encode() + digest_array(array)).digest()


def digest_encoded(encoded: bytes | bytearray | memoryview) -> bytes:
    """Return the digest of encoded bytes, equal to that of a file that contains them."""
    state = encoded_hash()
    state.update(encoded)
    return state.digest()


def encoded_hash() -> hashlib._Hash:
    """Return the initial hash for encoded bytes, in memory or in a file."""
    return hashlib.sha256(b"encoded\0")
