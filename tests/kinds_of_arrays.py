"""Kinds of arrays and of what holds them that are read: dtypes, scales, layouts of memory."""

from __future__ import annotations

import numpy as np
import pandas
import polars
from PIL import Image
from sklearn.datasets import load_digits

from image_files import RGB, RGBA, U16, H, L, W, encode
from input_kinds import Table, as_rgb, over_white

ARRAYS = Table()
BATCH = np.stack([RGB, 255 - RGB])
ROWS = [RGB, 255 - RGB]
DIGITS = load_digits().images[:3]  # 0 to 16, the largest in each

# The range by the rule of the scale, and grey levels in one unit of the dtype.
SCALES = {
    "bool": (None, 255.0),
    "uint16": (None, 1 / 257),
    ">u2": (None, 1 / 257),
    **{name: (None, 255.0) for name in ["float16", "float32", "float64", "longdouble", ">f4"]},
    **{name: (None, 1.0) for name in ["uint8", "int16", "uint32", "int32", "int64", "uint64"]},
    "int8": ((0, 127), 255 / 127),
}


def dtypes():
    for dtype, (pixel_range, factor) in SCALES.items():
        for channels in [None, 1, 2, 3, 4]:
            levels = RGBA[..., : channels or 1].astype(np.float64)
            values = (levels / factor).astype(dtype)
            levels = values.astype(np.float64) * factor
            shown = over_white(levels) if channels in (2, 4) else as_rgb(levels)
            values = values if channels else values[..., 0]
            name = f"{dtype} array, {channels or 'no'} channels"
            # float16 has 11 bits, so that a level is off by up to 255 / 2**12
            ARRAYS.accept(name, values[np.newaxis], shown, 0.1, pixel_range=pixel_range)


def scales():
    digits = [image / 16 * 255 for image in DIGITS]
    as_they_are = list(DIGITS)
    black = r"with pixel_range=None, X is read as 0 to .* nearly black.*pixel_range=\(0, 1"
    ARRAYS.accept("load_digits with its range", DIGITS, digits, pixel_range=(0, 16))
    ARRAYS.accept("load_digits without it", DIGITS, as_they_are, warning=black)
    rows = DIGITS.reshape(3, 64)
    given = {"image_shape": (8, 8), "pixel_range": (0, 16)}
    ARRAYS.accept("load_digits in rows", rows, digits, **given)
    ARRAYS.accept("0-16 in uint8", DIGITS.astype(np.uint8), as_they_are, warning=black)
    ARRAYS.accept("floats of 0-255", BATCH.astype(float), ROWS)
    ARRAYS.accept("floats of 0-1", BATCH / 255, ROWS)
    ARRAYS.accept("floats of -1 to 1", BATCH / 127.5 - 1, ROWS, 1e-3, pixel_range=(-1, 1))
    ARRAYS.accept("floats of any range", BATCH * 3.0 - 50, ROWS, 1e-3, pixel_range=(-50, 715))
    ARRAYS.accept("inverted by the range", 0.0 - BATCH, [row * 1.0 for row in reversed(ROWS)], 1e-3,
                  pixel_range=(-255, 0))  # fmt: skip
    ARRAYS.accept("black", np.zeros((2, H, W)), [np.zeros((H, W))] * 2)
    ARRAYS.accept("white", np.ones((2, H, W)), [np.full((H, W), 255)] * 2)
    twelve = (U16 // 16)[np.newaxis]
    levels = twelve[0] / 4095 * 255
    ARRAYS.accept("12 bits in uint16", twelve, levels, 1e-3, pixel_range=(0, 4095))
    scale = r"12 bits|pixel_range=\(0, 40"
    ARRAYS.accept("12 bits in uint16, as 16", twelve, twelve[0] / 257, warning=scale)
    ARRAYS.accept("0 and 1 in integers", BATCH // 128, [row // 128 for row in ROWS],
                  warning="black|another scale")  # fmt: skip


def layouts():
    read_only = BATCH.copy()
    read_only.flags.writeable = False
    wide = np.zeros((2, H, 2 * W, 5), np.uint8)
    wide[:, :, ::2, 1:4] = BATCH
    for name, array in {
        "read-only": read_only,
        "in Fortran order": np.asfortranarray(BATCH),
        "every other column": wide[:, :, ::2, 1:4],
        "turned upside down": BATCH[:, ::-1].copy()[:, ::-1],
        "channels first, moved": np.moveaxis(np.moveaxis(BATCH, -1, 1).copy(), 1, -1),
        "a view of BGR": BATCH[..., ::-1].copy()[..., ::-1],
        "big endian": BATCH.astype(">i4"),
        "a mask that masks nothing": np.ma.array(BATCH),
        "of objects that are numbers": BATCH.astype(object),
        "in nested lists": BATCH.tolist(),
        "in nested tuples": tuple(map(tuple, BATCH.tolist())),
        "in a recarray": BATCH.view(np.recarray),
    }.items():
        ARRAYS.accept(f"array {name}", array, ROWS)
    repeated = np.broadcast_to(RGB, (2, H, W, 3))
    ARRAYS.accept("array of one image, repeated", repeated, [RGB, RGB])
    ARRAYS.accept("array mapped into memory", mapped, ROWS)


def mapped(folder):
    np.save(folder / "x.npy", BATCH)
    return np.load(folder / "x.npy", mmap_mode="r")


def shapes():
    long = np.arange(5000, dtype=np.uint16).astype(np.uint8)
    for name, image in {
        "1x1": L[:1, :1],
        "1xN": L[:1],
        "Nx1": L[:, :1],
        "1x5000": long[np.newaxis],
        "5000x1": long[:, np.newaxis],
    }.items():
        ARRAYS.accept(f"array {name}", image[np.newaxis], image)
    narrow = RGB[:, 0]  # three columns are a width, not colours
    ARRAYS.accept("array three pixels wide", narrow[np.newaxis], narrow)
    flat = BATCH.reshape(2, -1)
    ARRAYS.accept("rows with image_shape", flat, ROWS, image_shape=(H, W, 3))
    grey = BATCH[..., 0].reshape(2, -1)
    ARRAYS.accept("grey rows with image_shape", grey, list(BATCH[..., 0]), image_shape=(H, W))
    frame = pandas.DataFrame(flat)
    ARRAYS.accept("pandas frame of rows", frame, ROWS, image_shape=(H, W, 3))
    frame = polars.DataFrame(flat)
    ARRAYS.accept("polars frame of rows", frame, ROWS, image_shape=(H, W, 3))


def containers():
    mixed = [RGB, L[:3], RGB[:1, :1], RGBA[:2] | np.array([0, 0, 0, 255], np.uint8)]
    shown = [RGB, L[:3], RGB[:1, :1], RGB[:2]]
    objects = np.empty(4, object)
    objects[:] = mixed
    column = np.empty((4, 1), object)
    column[:, 0] = mixed
    for name, X in {
        "list": mixed,
        "tuple": tuple(mixed),
        "1-D object array": objects,
        "object array of one column": column,
        "pandas Series": pandas.Series(mixed, index=[7, 7, 3, 1]),
        "pandas frame of one column": pandas.DataFrame({"image": objects}),
    }.items():
        ARRAYS.accept(f"images of several sizes in a {name}", X, shown)
    of_all_kinds = [RGB, Image.fromarray(RGB), encode(RGB, "PNG"), RGB.tolist()]
    ARRAYS.accept("arrays, images and bytes together", of_all_kinds, [RGB] * 4)
    ARRAYS.accept("floats and bools of 0-1 together", [RGB / 255, L > 127], [RGB, (L > 127) * 255])
    encoded = [encode(row, "PNG") for row in ROWS]
    ARRAYS.accept("bytes in a pandas Series", pandas.Series(encoded), ROWS)
    ARRAYS.accept("bytes in a polars Series", polars.Series("image", encoded), ROWS)
    ARRAYS.accept("bytes in a polars frame", polars.DataFrame({"image": encoded}), ROWS)
    ARRAYS.accept("arrays in a polars Series", polars.Series(BATCH), ROWS)
    ARRAYS.accept("arrays in a polars frame", polars.DataFrame({"image": BATCH}), ROWS)
    ARRAYS.accept("only what __array__ gives", [OnlyAnArray()], RGB)


class OnlyAnArray:
    shape = RGB.shape

    def __array__(self, dtype=None, copy=None):
        return RGB.copy()


dtypes()
scales()
layouts()
shapes()
containers()
