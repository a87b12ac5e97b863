"""Kinds of images and numbers that are refused, and what the message says."""

from __future__ import annotations

import io

import numpy as np
import pandas
import polars
from PIL import Image
from scipy import sparse

from image_files import LARGE, RGB, H, L, W, announcing, encode, lab
from input_kinds import Table
from skltransfer.inputs.errors import ImageReadError

UNREADABLE = Table()
NO_IMAGES = Table()
PNG = encode(RGB, "PNG")


def unreadable(name, item, message):
    """A row after a good one, so that the row that is named can be seen to be the right one."""
    UNREADABLE.refuse(name, [PNG, item], ImageReadError, message)


def other_contents():
    for name, content, message in [
        ("nothing", b"", r"it is empty\. Copy or download it again"),
        ("text", b"hello, world", "it is text of no known image format, beginning b'hello, world'"),
        ("zeros", b"\0" * 100, "it is data of no known image format"),
        ("HTML", b"<!DOCTYPE html>", r"it is text \(HTML or XML\), as left by a failed download"),
        ("XML after space", b"\n  <?xml version='1.0'?>", r"it is text \(HTML or XML\)"),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing. Export it as PNG"),
        ("PDF", b"%PDF-1.7 ...", r"it is a PDF\. Export its pages as PNG"),
        ("ZIP", b"PK\x03\x04rest", r"it is a ZIP archive\. Unpack it"),
        ("NumPy file", b"\x93NUMPY\x01\x00v", r"it is a NumPy file\. Pass the array that np"),
        (
            "Git LFS",
            b"version https://git-lfs.github.com/spec/v1\n",
            "Git LFS pointer. Run git",
        ),
        ("a video", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "it is HEIC, AVIF or a video"),
        ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no known image format"),
        (
            "a path in bytes",
            b"cats/7.jpg",
            "no known image format, beginning b'cats/7.jpg'",
        ),
        ("a PNG signature only", PNG[:8], "damaged or truncated"),
        ("a JPEG signature only", b"\xff\xd8\xff", "damaged or truncated"),
    ]:
        unreadable(name, content, message)


def damages():
    way_out = r"it is damaged or truncated \(.*\)\. Replace the file, or leave the row out\.$"
    unreadable("PNG with a damaged checksum", PNG[:45] + b"!" + PNG[46:], way_out)
    unreadable("JPEG without its end marker", encode(LARGE, "JPEG")[:-2], way_out)
    unreadable("progressive JPEG cut", encode(LARGE, "JPEG", progressive=True)[:1000], way_out)
    unreadable("CMYK JPEG cut", encode(LARGE.convert("CMYK"), "JPEG")[:-2000], way_out)
    unreadable("PNG of 0 pixels", announcing(0, 5, "PNG"), way_out)
    for file_format in ["PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG"]:
        options = {"lossless": True} if file_format == "WEBP" else {}
        encoded = encode(LARGE, file_format, **options)
        for share in [0.05, 0.25, 0.5, 0.8, 0.95]:
            cut = encoded[: int(len(encoded) * share)]
            unreadable(f"{file_format} cut to {share:.0%}", cut, way_out)
    unreadable("a torn PIL image", Image.open(io.BytesIO(encode(LARGE, "PNG")[:-3000])), way_out)


def bombs():
    at_most = "but at most 67,108,864 are decoded, and at most 65,535 in width or height"
    for file_format in ["PNG", "GIF", "BMP", "JPEG", "PPM"]:
        bomb = announcing(65_500, 65_500, file_format)
        message = rf"its header announces 65,500x65,500 pixels, {at_most}"
        unreadable(f"{file_format} of 4 gigapixels", bomb, message)
    long = announcing(70_000, 1, "PNG")
    unreadable("PNG of one very long line", long, r"70,000x1 pixels.* Make it smaller, or cut it")


def modes():
    for name, image, message in [
        ("integers of 0-255 in mode I", Image.new("I", (3, 2), 200), "mode I from 200 to 200, whi"),
        ("integers above 65535", Image.new("I", (3, 2), 70000), r"as in pixel_range=\(0, 4095\)"),
        ("negative integers", Image.new("I", (3, 2), -1), "32-bit integers in mode I from -1 to"),
        ("floats of 0-1", Image.new("F", (3, 2), 0.5), "floats in mode F from 0.5 to 0.5, which"),
        ("floats above 255", Image.new("F", (3, 2), 256.0), "do not say what is black and what is"),
        ("negative floats", Image.new("F", (3, 2), -1.0), "floats in mode F from -1 to -1"),
        ("NaN in mode F", Image.new("F", (3, 2), float("nan")), "in mode F from nan to nan"),
        ("LAB", lab(), "its colours are in CIELAB. Convert it to RGB with PIL.ImageCms"),
        ("a PIL image without pixels", Image.new("RGB", (0, 5)), "it has no pixels"),
    ]:
        unreadable(name, image, message)
    unreadable("TIFF LAB", encode(lab(), "TIFF"), "its colours are in CIELAB")


def refuse(name, X, message, error=ValueError, **settings):
    NO_IMAGES.refuse(name, X, error, message, **settings)


def numbers():
    batch = np.full((3, H, W), 0.5)
    for name, value in [("NaN", np.nan), ("infinity", np.inf)]:
        broken = batch.copy()
        broken[1, 2, :2] = value
        refuse(f"{name} in an array", broken, rf"X contains {name}: 2 values of row 1\. Replace")
        refuse(f"{name} in a list", list(broken), rf"X contains {name}: 2 values of row 1\.")
        rows = broken.reshape(3, -1)
        refuse(f"{name} in rows", rows, rf"Input X contains {name}", image_shape=(H, W))
    raw = r"looks already preprocessed.* Pass the raw pixels, or say.*pixel_range=\(-1, 1\)"
    colours = RGB[np.newaxis].astype(float)
    refuse("floats of -1 to 1", colours / 127.5 - 1, raw)
    refuse("the mean subtracted", colours - np.array([123.7, 116.8, 103.9]), raw)
    refuse("standardised images", (colours - 120) / 58, raw)
    refuse("negative integers in an array", colours.astype(int) - 128, raw)
    unknown = r"above 255, so its scale is not known\. Say which values.*pixel_range=\(0, 4095\)"
    refuse("floats up to 4095", colours * 16, unknown)
    refuse("integers up to 4095", colours.astype(np.int32) * 16, unknown)
    refuse("16 bits in floats", colours * 257, unknown)
    mixed = [L / 255, L]
    refuse("floats of 0-1 among integers", mixed, "mixes arrays on different scales: float arrays")
    refuse("masked values", np.ma.masked_greater(np.stack([L, L]), 200), r"X\.filled\(0\)")
    missing = np.where(np.arange(W) == 3, -1e30, batch)
    refuse("a mark of missing values", missing, r"far outside the pixel range \(0, 1\)\. Clip or",
           pixel_range=(0, 1))  # fmt: skip
    for pixel_range in [(0, 1e-40), (1e9, 1e9 + 1), (0, 1e300)]:
        refuse(f"pixel_range={pixel_range!r}", batch, "too narrow or too far from 0 for float32",
               pixel_range=pixel_range)  # fmt: skip
    for pixel_range in [(255, 0), (0, 0), (0, np.inf), "auto", 255]:
        refuse(f"pixel_range={pixel_range!r}", batch, "give two finite numbers",
               pixel_range=pixel_range)  # fmt: skip


def dtypes():
    for name, X in {
        "complex numbers": np.zeros((2, H, W), complex),
        "dates": np.zeros((2, H, W), "datetime64[s]"),
        "text of numbers": np.full((2, H, W), "1"),
        "bytes of numbers": np.full((2, H, W), b"1"),
        "records": np.zeros((2, H, W), [("red", "u1"), ("green", "u1")]),
    }.items():
        refuse(f"array of {name}", X, "but images hold bool, integers or floats", TypeError)
    refuse("array of objects", np.full((2, H, W), {}), "X is an array of dtype object", TypeError)


def shapes():
    first = r"Its channels come first; put them last: np\.moveaxis\(image, 0, -1\)"
    refuse("channels first", np.zeros((2, 3, H, W)), first)
    refuse("grey channels first", np.zeros((2, 1, H, W)), first)
    refuse("channels first in a list", [np.zeros((3, H, W))], rf"row 0 has shape .* {first}")
    refuse("5 channels", np.zeros((2, H, W, 5)), r"5 channels are not an image; allowed are 1")
    refuse("5 dimensions", np.zeros((2, 1, H, W, 3)), r"images are \(n, h, w, channels\) or")
    refuse("images without pixels", np.zeros((2, H, 0)), "needs at least one pixel")
    refuse("no images", np.zeros((0, H, W, 3)), r"Found array with 0 sample\(s\)")
    nothing = r"Found array with 0 sample\(s\) \(shape=\(0,.* X holds no rows"
    refuse("an empty Series", pandas.Series([], dtype=object), nothing)
    refuse("an empty Series of polars", polars.Series([], dtype=polars.String), nothing)
    refuse("an empty frame of polars", polars.DataFrame({"file": []}), nothing)
    lists = polars.Series([L.tolist()])
    refuse("lists of polars", lists, r"X is a Series of List.* Pass X\.to_list\(\)", TypeError)
    message = r"X is a DataFrame of List.* Pass X\['pixels'\]\.to_list\(\)"
    refuse("a frame of lists of polars", lists.to_frame("pixels"), message, TypeError)
    row = {"path": None, "bytes": b"\x89PNG"}
    message = r"row 0 of X is a dict with the keys \['path', 'bytes'\]\. .* \[row\['bytes'\] for"
    refuse("a list of dicts", [row, row], message, TypeError)
    refuse("a Series of dicts", pandas.Series([row, row]), message, TypeError)
    refuse("an empty list", [], r"Found array with 0 sample\(s\) \(shape=\(0,\)\)")
    refuse("nested lists that differ", [[[1, 2], [3]], [[1, 2], [3, 4]]], "parts differ in length")
    refuse("a row in a list of images", [L, L[0]], r"row 1 has shape \(9,\), but an image is")
    flat = np.zeros((2, 12))
    refuse("rows too narrow", flat, r"X has 12 columns, but image_shape=", image_shape=(2, 5))
    refuse("rows of colours", flat, r"Did you mean image_shape=\(2, 2, 3\)", image_shape=(2, 2))
    refuse("1-D numbers", np.zeros(8), "Expected 2D array, got 1D array instead")


def other_things():
    single = r"one single image\. Pass a list: \[X\]"
    refuse("a single path", "cat.jpg", single, TypeError)
    refuse("single bytes", PNG, single, TypeError)
    rows = memoryview(bytes(600)).cast("B", (2, 300))
    refuse(
        "a single view of rows", rows, r"600 bytes beginning b'(.x00){8}', one single", TypeError
    )
    refuse("a single image", LARGE, single, TypeError)
    allowed = "Allowed are paths, encoded bytes, PIL images and arrays"
    refuse("a number among files", [PNG, 3], rf"row 1 of X is a int: 3\. {allowed}", TypeError)
    refuse("a dict among files", [PNG, {}], rf"row 1 of X is a dict: {{}}\. {allowed}", TypeError)
    for name, X in {"None": None, "a number": 3}.items():
        refuse(name, X, "Expected 2D array, got scalar array instead")
    frame = pandas.DataFrame({"price": [1.0, 2.0], "file": ["a.jpg", "b.jpg"]})
    refuse("a frame of files and numbers", frame, r"column 'file' holds images.*X\[\['file'\]\]")
    refuse("a sparse matrix", sparse.csr_array(np.eye(3)), "Sparse data was passed", TypeError)
    one_of = r"X has 2 columns, and column {} holds images.*\[row\[{}\] for row in X\], or"
    refuse("rows of text", [["a", "b"]], one_of.format(0, 0))
    refuse("rows of a number and a file", [[1.0, "a.jpg"], [2.0, "b.jpg"]], one_of.format(1, 1))
    refuse("an array of text", np.array([["a", "b"]]), one_of.format(0, 0))
    refuse("an array of objects", np.array([[1, PNG]], dtype=object), one_of.format(1, 1))


other_contents()
damages()
bombs()
modes()
numbers()
dtypes()
shapes()
other_things()
