"""TIFF files by the book: any bits, photometric interpretation, byte order, plane and packing.

TIFF 6.0, its supplements for the predictor of floats and for BigTIFF; other meanings are not made.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK, CIELAB = 0, 1, 2, 5, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
RAW, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
OF_INTEGERS, OF_FLOATS = 2, 3
"""Predictors: differences of neighbours, and those of bytes that were sorted by place."""


@dataclass(frozen=True)
class Layout:
    """How numbers are laid out in a TIFF."""

    bits: int = 8
    photometric: int = BLACK_IS_ZERO
    sample_format: int = UNSIGNED
    order: str = "<"
    compression: int = RAW
    separate_planes: bool = False
    fill_order: int = 1
    predictor: int = 1
    extra: tuple[int, ...] = ()
    tile: int = 0
    is_big: bool = False


def tiff(levels, layout=Layout(), **tags):
    """Write numbers of shape (h, w, bands), in strips of two lines or in tiles."""
    height, width, bands = levels.shape
    parts = [_stored(part, layout) for part in _parts(levels, layout)]
    entries = {
        256: width,
        257: height,
        258: (layout.bits,) * bands,
        259: layout.compression,
        262: layout.photometric,
        266: layout.fill_order,
        277: bands,
        284: 2 if layout.separate_planes else 1,
        317: layout.predictor,
        339: (layout.sample_format,) * bands,
    }
    entries |= {338: layout.extra} if layout.extra else {}
    offsets, counts = (324, 325) if layout.tile else (273, 279)
    entries |= {322: layout.tile, 323: layout.tile} if layout.tile else {278: 2}
    entries |= {int(name[4:]): value for name, value in tags.items()}
    places = np.cumsum([16 if layout.is_big else 8, *map(len, parts)]).tolist()
    entries |= {offsets: tuple(places[:-1]), counts: tuple(map(len, parts))}
    return _file(b"".join(parts), entries, layout)


def _parts(levels, layout):
    planes = np.moveaxis(levels, -1, 0)[..., np.newaxis] if layout.separate_planes else [levels]
    for plane in planes:
        if not layout.tile:
            yield from (plane[top : top + 2] for top in range(0, len(plane), 2))
            continue
        side = layout.tile
        for top in range(0, plane.shape[0], side):
            for left in range(0, plane.shape[1], side):
                tile = np.zeros((side, side, plane.shape[2]), plane.dtype)
                part = plane[top : top + side, left : left + side]
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile


def _stored(part, layout):
    if layout.predictor == OF_INTEGERS:
        part = part.copy()
        part[:, 1:] -= part[:, :-1].copy()
    packed = _packed(part.reshape(len(part), -1), layout)
    if layout.predictor == OF_FLOATS:
        packed = _by_place(part, layout.bits // 8)
    stored = _compressed(packed, layout.compression)
    if layout.fill_order == 1:
        return stored
    bits = np.unpackbits(np.frombuffer(stored, np.uint8))
    return np.packbits(bits, bitorder="little").tobytes()


def _by_place(part, n_bytes):
    """Put the first bytes of a line's floats before their second ones, as differences.

    The highest byte is the first, whatever the byte order of the file.
    """
    lines = part.reshape(len(part), -1).astype(f">f{n_bytes}").view(np.uint8)
    places = lines.reshape(len(part), -1, n_bytes).swapaxes(1, 2).reshape(len(part), -1)
    step = part.shape[2]
    places[:, step:] -= places[:, :-step].copy()
    return places.tobytes()


def _compressed(packed, compression):
    if compression == DEFLATE:
        return zlib.compress(packed)
    if compression == PACKBITS:
        return b"".join(bytes([0, byte]) for byte in packed)  # literal runs of one
    return _lzw(packed) if compression == LZW else packed


def _packed(lines, layout):
    if layout.bits in (8, 16, 32, 64):
        kind = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[layout.sample_format]
        return lines.astype(f"{layout.order}{kind}{layout.bits // 8}").tobytes()
    bits = lines[..., np.newaxis].astype(np.int64) >> np.arange(layout.bits)[::-1] & 1
    return np.packbits(bits.reshape(len(lines), -1).astype(np.uint8), axis=1).tobytes()


def _lzw(data):
    """Encode as LZW with a table that is cleared before it grows: codes of 9 bits."""
    codes = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    text = "".join(f"{code:09b}" for code in [*codes, 257])
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def _file(data, entries, layout):
    order, size = layout.order, 8 if layout.is_big else 4
    offset, count = ("Q", "Q") if layout.is_big else ("I", "H")
    extra, table = b"", b""
    end = 2 * size + len(data)
    for tag in sorted(entries):
        value = entries[tag]
        values = value if isinstance(value, tuple) else (value,)
        kind, letter = (4, "I") if tag in (273, 279, 324, 325, 330) else (3, "H")
        packed = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(packed) > size:
            place, extra = end + len(extra), extra + packed
            packed = struct.pack(f"{order}{offset}", place)
        table += struct.pack(f"{order}HH{offset}", tag, kind, len(values))
        table += packed.ljust(size, b"\0")
    version = (43, 8, 0) if layout.is_big else (42,)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}{len(version)}H", *version)
    head += struct.pack(f"{order}{offset}", end + len(extra))
    directory = struct.pack(f"{order}{count}", len(entries)) + table + b"\0" * size
    return head + data + extra + directory
