"""Kinds of PIL images, and of what encoded bytes come in, that are read."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from image_files import (
    BITS,
    INDICES,
    LA,
    PALETTE,
    RGB,
    RGBA,
    U16,
    H,
    L,
    W,
    encode,
    frames,
    in_mode,
    tagged,
    turned,
    with_palette,
)
from input_kinds import Table, over_white, where_white

IMAGES = Table()


def image(name, image, levels):
    IMAGES.accept(f"PIL image {name}", [image], levels)


def modes():
    one_clear = where_white(PALETTE[INDICES], INDICES == 3)
    image("1", Image.fromarray(BITS), BITS * 255.0)
    image("L", Image.fromarray(L), L)
    image("RGB", Image.fromarray(RGB), RGB)
    image("LA", Image.fromarray(LA), over_white(LA))
    image("RGBA", Image.fromarray(RGBA), over_white(RGBA))
    image("RGBX", in_mode(RGBA, "RGBX"), RGB)
    image("P", with_palette(), PALETTE[INDICES])
    image("P, one index clear", with_palette(transparency=3), one_clear)
    image("I;16", in_mode(U16.astype("<u2"), "I;16"), U16 / 257)
    image("I;16L", in_mode(U16.astype("<u2"), "I;16L"), U16 / 257)
    image("I;16B", in_mode(U16.astype(">u2"), "I;16B"), U16 / 257)
    image("I", in_mode(U16.astype("<i4"), "I"), U16 / 257)
    image("I, black", Image.new("I", (W, H)), np.zeros((H, W)))
    image("F", Image.fromarray((L / 2).astype(np.float32)), L / 2)
    image("F, black", Image.new("F", (W, H)), np.zeros((H, W)))
    image("1x1", Image.new("RGB", (1, 1), (1, 2, 3)), np.array([[[1, 2, 3]]]))


def other_colours():
    image("CMYK", Image.fromarray(RGB).convert("CMYK"), RGB)
    for mode in ["YCbCr", "HSV"]:
        shown = Image.fromarray(RGB).convert(mode)
        image(mode, shown, np.asarray(shown.convert("RGB")))
    for mode in ["RGBa", "La"]:
        shown = Image.fromarray(RGBA).convert(mode.upper()).convert(mode)
        image(mode, shown, over_white(np.asarray(shown.convert(mode.upper()))))
    pa = Image.fromarray(LA).convert("PA")
    image("PA", pa, over_white(np.asarray(pa.convert("RGBA"))))


def states():
    first, others = frames(RGB, 255 - RGB)
    pages = Image.open(io.BytesIO(encode(first, "TIFF", **others)))
    pages.seek(1)
    image("at its second page", pages, 255 - RGB)
    image("opened lazily", Image.open(io.BytesIO(encode(RGB, "PNG"))), RGB)
    for orientation in range(1, 9):
        image(f"of orientation {orientation}", tagged(turned(orientation), orientation), RGB)


def containers_of_bytes():
    encoded = encode(RGB, "PNG")
    doubled = np.repeat(np.frombuffer(encoded, np.uint8), 2).tobytes()
    for name, item in {
        "bytes": encoded,
        "bytearray": bytearray(encoded),
        "memoryview": memoryview(encoded),
        "memoryview of part of a buffer": memoryview(b"xx" + encoded + b"y")[2:-1],
        "memoryview of every other byte": memoryview(doubled)[::2],
        "memoryview of one row": memoryview(encoded).cast("B", (1, len(encoded))),
        "np.bytes_": np.bytes_(encoded + b"\x01"),
    }.items():
        IMAGES.accept(name, [item], RGB)


modes()
other_colours()
states()
containers_of_bytes()
