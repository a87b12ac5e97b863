"""Every kind of picture: read with the right pixels, or refused with the documented message.

One table holds them all. Each accepted row gives its source and the grey levels that the rules
of `skltransfer.inputs.images` ask for, worked out here without the code under test; each refused
row gives its source, the error and what the message says.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, features

from skltransfer.inputs import ImageReadError, PixelRule, decode, images, read_images

H, W = 6, 9
ORIENTATION = 0x0112
RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 256, (H, W, 4), dtype=np.uint8)
RGB = np.ascontiguousarray(RGBA[..., :3])
LA = np.ascontiguousarray(RGBA[..., 2:])
L = np.ascontiguousarray(RGB[..., 0])
U16 = RNG.integers(0, 65536, (H, W), dtype=np.uint16)
BITS = L > 127
PALETTE = RNG.integers(0, 256, (8, 3), dtype=np.uint8)
INDICES = RNG.integers(0, 8, (H, W), dtype=np.uint8)

# What the rules ask for --------------------------------------------------------------------


def rgb(levels):
    """Grey levels as float32 RGB; grey is repeated."""
    levels = np.asarray(levels, dtype=np.float64)
    levels = levels if levels.ndim == 3 else levels[..., np.newaxis]
    return np.broadcast_to(levels, (*levels.shape[:2], 3))


def over_white(levels):
    """Grey levels with alpha as the last channel, laid over white."""
    levels = np.asarray(levels, dtype=np.float64)
    alpha = levels[..., -1:] / 255
    return rgb(levels[..., :-1] * alpha + 255 * (1 - alpha))


def where_white(levels, transparent):
    """Grey levels, white where transparent."""
    return np.where(transparent[..., np.newaxis], 255.0, rgb(levels))


# How sources are made ----------------------------------------------------------------------


def encode(image, file_format, **options):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, file_format, **options)
    return file.getvalue()


def with_palette(transparency=None):
    image = Image.fromarray(INDICES).convert("P")
    image.frombytes(INDICES.tobytes())
    image.putpalette(PALETTE.tobytes())
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def in_mode(array, mode):
    """Make a PIL image of a mode from the bytes of an array."""
    return Image.frombytes(mode, (W, H), array.tobytes())


def lab():
    return Image.frombytes("LAB", (W, H), RGB.tobytes())


def png(levels, bit_depth, colour, interlaced=False, chunks=b""):
    """Write a PNG by the book, for the kinds that Pillow does not write."""
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
        passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    levels = levels.astype(">u2" if bit_depth == 16 else "u1")
    parts = (levels[top::down, left::right] for top, left, down, right in passes)
    lines = b"".join(b"\0" + line.tobytes() for part in parts if part.size for line in part)
    height, width = levels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunks
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def turned(orientation):
    """Store the base picture so that this EXIF orientation turns it upright."""
    image = Image.fromarray(RGB)
    # The inverse of 6 is 8; all others undo themselves.
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    return ImageOps.exif_transpose(tagged(image, inverse)).convert("RGB")


def tagged(image, orientation):
    image.getexif()[ORIENTATION] = orientation
    return image


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def as_pillow_decodes(encoded):
    """Lossy files are compared with what Pillow decodes, converted to RGB."""
    return rgb(np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")))


def frames(*arrays):
    first, *others = (Image.fromarray(array) for array in arrays)
    return first, {"save_all": True, "append_images": others}


# The accepted ------------------------------------------------------------------------------

ACCEPTED = {}


def accept(name, source, levels, pixel_range=None, atol=1e-4):
    assert name not in ACCEPTED
    ACCEPTED[name] = (source, rgb(levels), pixel_range, atol)


def accept_lossless_files():
    sources = {"RGB": (RGB, rgb(RGB)), "L": (L, rgb(L))}
    for file_format in ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP"]:
        options = {"lossless": True} if file_format == "WEBP" else {}
        for mode, (array, levels) in sources.items():
            encoded = encode(array, file_format, **options)
            # few enough colours for the palette of a GIF
            accept(f"{file_format} {mode}", encoded, levels)
        if file_format != "WEBP":
            bits = encode(Image.fromarray(BITS), file_format)
            accept(f"{file_format} 1-bit", bits, rgb(BITS * 255.0))
        if file_format != "PPM":
            accept(
                f"{file_format} palette",
                encode(with_palette(), file_format, **options),
                rgb(PALETTE[INDICES]),
            )


def accept_alpha():
    clear = INDICES == 3
    table = bytes([255, 0, 128, 200, 255, 1, 77, 254])
    per_index = np.dstack([PALETTE[INDICES], np.frombuffer(table, np.uint8)[INDICES]])
    for file_format in ["PNG", "TIFF", "WEBP", "BMP"]:
        options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
        if file_format != "BMP":  # its alpha is not read from files that Pillow writes
            encoded = encode(RGBA, file_format, **options)
            accept(f"{file_format} RGBA", encoded, over_white(RGBA))
    for file_format in ["PNG", "TIFF"]:
        accept(f"{file_format} LA", encode(LA, file_format), over_white(LA))
    accept(
        "PNG palette, one index clear",
        encode(with_palette(), "PNG", transparency=3),
        where_white(PALETTE[INDICES], clear),
    )
    accept(
        "GIF palette, one index clear",
        encode(with_palette(), "GIF", transparency=3),
        where_white(PALETTE[INDICES], clear),
    )
    accept(
        "PNG palette, alpha by index",
        encode(with_palette(), "PNG", transparency=table),
        over_white(per_index),
    )
    colour = tuple(int(level) for level in RGB[2, 3])
    accept(
        "PNG RGB, one colour clear",
        encode(RGB, "PNG", transparency=colour),
        where_white(RGB, (RGB[2, 3] == RGB).all(axis=2)),
    )
    accept(
        "PNG L, one level clear",
        encode(L, "PNG", transparency=int(L[2, 3])),
        where_white(L, L[2, 3] == L),
    )
    tRNS = chunk(b"tRNS", struct.pack(">H", int(U16[2, 3])))
    accept(
        "PNG 16-bit grey, one level clear",
        png(U16, 16, 0, chunks=tRNS),
        where_white(U16 / 257, U16[2, 3] == U16),
    )


def accept_deep_files():
    accept("PNG 16-bit grey", encode(U16, "PNG"), U16 / 257)
    accept("PNG 16-bit grey by the book", png(U16, 16, 0), U16 / 257)
    accept("PNG 16-bit grey interlaced", png(U16, 16, 0, interlaced=True), U16 / 257)
    deep = RNG.integers(0, 65536, (H, W, 3), dtype=np.uint16)
    accept("PNG 16-bit RGB", png(deep, 16, 2), deep / 257, atol=1.0)
    accept("PNG 16-bit RGB interlaced", png(deep, 16, 2, interlaced=True), deep / 257, atol=1.0)
    accept("TIFF 16-bit", encode(in_mode(U16.astype("<u2"), "I;16"), "TIFF"), U16 / 257)
    accept("TIFF 16-bit big endian", encode(in_mode(U16.astype(">u2"), "I;16B"), "TIFF"), U16 / 257)
    accept("TIFF 32-bit of 16 bits", encode(in_mode(U16.astype("<i4"), "I"), "TIFF"), U16 / 257)
    accept("TIFF float", encode((L * 0.9).astype(np.float32), "TIFF"), L * 0.9)
    accept("PGM 16-bit", b"P5 9 6 65535\n" + U16.astype(">u2").tobytes(), U16 / 257)
    accept("PGM plain", b"P2 9 6 255\n" + " ".join(map(str, L.ravel())).encode(), L)
    accept("PPM plain", b"P3 9 6 255\n" + " ".join(map(str, RGB.ravel())).encode(), RGB)
    accept("PNG 8-bit interlaced grey", png(L, 8, 0, interlaced=True), L)
    accept("PNG 8-bit interlaced RGB", png(RGB, 8, 2, interlaced=True), RGB)
    accept("PNG 8-bit interlaced RGBA", png(RGBA, 8, 6, interlaced=True), over_white(RGBA))
    accept("PNG 8-bit interlaced LA", png(LA, 8, 4, interlaced=True), over_white(LA))
    palette = chunk(b"PLTE", PALETTE.tobytes())
    accept(
        "PNG interlaced palette",
        png(INDICES, 8, 3, interlaced=True, chunks=palette),
        PALETTE[INDICES],
    )


def accept_colour_spaces():
    cmyk, ycbcr = Image.fromarray(RGB).convert("CMYK"), Image.fromarray(RGB).convert("YCbCr")
    accept("TIFF CMYK", encode(cmyk, "TIFF"), RGB)
    accept("CMYK in memory", cmyk, RGB)
    accept("YCbCr in memory", ycbcr, np.asarray(ycbcr.convert("RGB")))
    hsv = Image.fromarray(RGB).convert("HSV")
    accept("HSV in memory", hsv, np.asarray(hsv.convert("RGB")))
    profile = {"icc_profile": b"no profile that any library would read"}
    accept("PNG with a colour profile", encode(RGB, "PNG", **profile), RGB)


def accept_compressions():
    for compression in ["tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"]:
        accept(f"TIFF {compression}", encode(RGB, "TIFF", compression=compression), RGB)
    for compression in ["group3", "group4", "tiff_ccitt"]:
        encoded = encode(Image.fromarray(BITS), "TIFF", compression=compression)
        accept(f"TIFF {compression}", encoded, BITS * 255.0)
    for level in [0, 1, 9]:
        accept(f"PNG level {level}", encode(RGB, "PNG", compress_level=level), RGB)
    accept("GIF not interlaced", encode(L, "GIF", interlace=0), L)
    accept("GIF interlaced", encode(L, "GIF", interlace=1), L)


def accept_jpegs():
    photo = Image.fromarray(RGB).resize((40, 30), Image.Resampling.BICUBIC)
    variants = {
        "JPEG grey": (photo.convert("L"), {}),
        "JPEG RGB": (photo, {}),
        "JPEG CMYK": (photo.convert("CMYK"), {}),
        "JPEG progressive": (photo, {"progressive": True}),
        "JPEG progressive grey": (photo.convert("L"), {"progressive": True}),
        "JPEG optimised": (photo, {"optimize": True}),
        "JPEG 4:4:4": (photo, {"subsampling": 0}),
        "JPEG 4:2:2": (photo, {"subsampling": 1}),
        "JPEG 4:2:0": (photo, {"subsampling": 2}),
        "JPEG stored as RGB": (photo, {"keep_rgb": True}),
        "JPEG quality 1": (photo, {"quality": 1}),
        "JPEG quality 100": (photo, {"quality": 100}),
        "JPEG restart markers": (photo, {"restart_marker_blocks": 1}),
        "JPEG with a comment": (photo, {"comment": b"hello"}),
        "JPEG 1x1": (Image.new("RGB", (1, 1), (9, 8, 7)), {}),
        "JPEG one row": (photo.resize((40, 1)), {}),
        "JPEG one column": (photo.resize((1, 30)), {}),
        "WebP lossy": (photo, {"quality": 50}),
    }
    if "avif" in features.get_supported():
        variants["AVIF"] = (photo, {})
    for name, (image, options) in variants.items():
        file_format = name.split()[0].upper()
        encoded = encode(image, file_format, **options)
        accept(name, encoded, as_pillow_decodes(encoded))
    two = encode(photo, "MPO", save_all=True, append_images=[photo.rotate(90)])
    accept("MPO, two pictures", two, as_pillow_decodes(two))
    whole = encode(photo, "JPEG")
    accept("JPEG with bytes after its end", whole + b"garbage", as_pillow_decodes(whole))


def accept_orientations():
    for orientation in range(1, 9):
        stored, tags = turned(orientation), exif(orientation)
        for file_format in ["PNG", "WEBP", "TIFF"]:
            options = {"lossless": True} if file_format == "WEBP" else {}
            encoded = encode(stored, file_format, exif=tags, **options)
            accept(f"{file_format} orientation {orientation}", encoded, RGB)
        encoded = encode(stored, "JPEG", exif=tags)
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
        accept(f"JPEG orientation {orientation}", encoded, np.asarray(upright))
        accept(f"in memory, orientation {orientation}", tagged(stored, orientation), RGB)
    for orientation in [0, 9, 65535]:
        encoded = encode(RGB, "PNG", exif=exif(orientation))
        accept(f"PNG orientation {orientation}, which means nothing", encoded, RGB)
    damaged = encode(RGB, "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    accept("PNG with damaged EXIF", damaged, RGB)


def accept_animations():
    first, others = frames(L, 255 - L)
    accept("GIF animated: its first frame", encode(first, "GIF", **others), L)
    first, others = frames(RGB, 255 - RGB)
    accept("PNG animated: its first frame", encode(first, "PNG", **others), RGB)
    accept("TIFF of two pages: its first", encode(first, "TIFF", **others), RGB)
    animated = encode(first, "WEBP", lossless=True, **others)
    accept("WebP animated: its first frame", animated, RGB)
    pages = Image.open(io.BytesIO(encode(first, "TIFF", **others)))
    pages.seek(1)
    accept("PIL image at its second page", pages, 255 - RGB)


def accept_pil_images():
    images_by_mode = {
        "1": (Image.fromarray(BITS), BITS * 255.0),
        "L": (Image.fromarray(L), L),
        "RGB": (Image.fromarray(RGB), RGB),
        "LA": (Image.fromarray(LA), over_white(LA)),
        "RGBA": (Image.fromarray(RGBA), over_white(RGBA)),
        "RGBX": (in_mode(RGBA, "RGBX"), RGB),
        "P": (with_palette(), PALETTE[INDICES]),
        "P, one index clear": (
            with_palette(transparency=3),
            where_white(PALETTE[INDICES], INDICES == 3),
        ),
        "I;16": (in_mode(U16.astype("<u2"), "I;16"), U16 / 257),
        "I;16L": (in_mode(U16.astype("<u2"), "I;16L"), U16 / 257),
        "I;16B": (in_mode(U16.astype(">u2"), "I;16B"), U16 / 257),
        "I": (in_mode(U16.astype("<i4"), "I"), U16 / 257),
        "I, black": (Image.new("I", (W, H)), np.zeros((H, W))),
        "F": (Image.fromarray((L / 2).astype(np.float32)), L / 2),
        "F, black": (Image.new("F", (W, H)), np.zeros((H, W))),
        "PNG opened lazily": (Image.open(io.BytesIO(encode(RGB, "PNG"))), RGB),
        "1x1": (Image.new("RGB", (1, 1), (1, 2, 3)), np.array([[[1, 2, 3]]])),
    }
    for mode, (image, levels) in images_by_mode.items():
        accept(f"PIL image {mode}", image, levels)
    for mode in ["RGBa", "La"]:
        image = Image.fromarray(RGBA).convert("RGBA" if mode == "RGBa" else "LA").convert(mode)
        plain = np.asarray(image.convert(mode.upper()))
        accept(f"PIL image {mode}", image, over_white(plain))
    pa = Image.fromarray(LA).convert("PA")
    accept("PIL image PA", pa, over_white(np.asarray(pa.convert("RGBA"))))


SCALES = {
    "bool": ((0, 1), 255.0),
    "uint16": ((0, 65535), 1 / 257),
    "float16": ((0, 1), 255.0),
    "float32": ((0, 1), 255.0),
    "float64": ((0, 1), 255.0),
    "longdouble": ((0, 1), 255.0),
    ">f4": ((0, 1), 255.0),
    ">u2": ((0, 65535), 1 / 257),
    **{name: ((0, 255), 1.0) for name in ["uint8", "int16", "uint32", "int32", "int64", "uint64"]},
    "int8": ((0, 127), 255 / 127),
}


def accept_arrays():
    for dtype, (pixel_range, factor) in SCALES.items():
        for channels in [None, 1, 2, 3, 4]:
            levels = RGBA[..., : channels or 1].astype(np.float64)
            values = (levels / factor).astype(dtype)
            levels = values.astype(np.float64) * factor
            name = f"{dtype} array, {channels or 'no'} channels"
            shown = over_white(levels) if channels in (2, 4) else rgb(levels)
            values = values if channels else values[..., 0]
            accept(name, values, shown, pixel_range, atol=0.02)
    accept("float array of 0-255", RGB.astype(float), RGB, (0, 255))
    accept("standardised array", RGB / 127.5 - 1, RGB, (-1, 1), atol=1e-3)
    accept("array without a range", RGB, RGB, None)
    accept("12 bits in uint16", U16 // 16, U16 // 16 / 4095 * 255, (0, 4095), atol=1e-3)
    accept("inverted by hand", 255 - RGB, 255.0 - RGB, (0, 255))


def accept_memory_layouts():
    read_only = RGB.copy()
    read_only.flags.writeable = False
    wide = np.zeros((H, 2 * W, 5), np.uint8)
    wide[:, ::2, 1:4] = RGB
    layouts = {
        "read-only": read_only,
        "Fortran order": np.asfortranarray(RGB),
        "every other column": wide[:, ::2, 1:4],
        "turned upside down": RGB[::-1].copy()[::-1],
        "a repeated row": np.broadcast_to(RGB[:1], (H, W, 3)),
        "channels first, moved": np.moveaxis(np.moveaxis(RGB, -1, 0).copy(), 0, -1),
        "a view of BGR": RGB[..., ::-1].copy()[..., ::-1],
    }
    for name, array in layouts.items():
        accept(f"array, {name}", array, np.array(array))
    accept("nested lists", RGB.tolist(), RGB)
    accept("array 1x1", RGB[:1, :1], RGB[:1, :1])
    accept("array one row", RGB[:1], RGB[:1])
    accept("array one column", RGB[:, :1], RGB[:, :1])


def accept_containers():
    encoded = encode(RGB, "PNG")
    accept("bytes", encoded, RGB)
    accept("bytearray", bytearray(encoded), RGB)
    accept("memoryview", memoryview(encoded), RGB)
    accept("memoryview of part of a buffer", memoryview(b"xx" + encoded + b"y")[2:-1], RGB)
    accept("np.bytes_", np.bytes_(encoded + b"\x01"), RGB)


for fill in [
    accept_lossless_files,
    accept_alpha,
    accept_deep_files,
    accept_colour_spaces,
    accept_compressions,
    accept_jpegs,
    accept_orientations,
    accept_animations,
    accept_pil_images,
    accept_arrays,
    accept_memory_layouts,
    accept_containers,
]:
    fill()


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_with_the_right_pixels(name):
    source, levels, pixel_range, atol = ACCEPTED[name]
    decoded = decode(source, PixelRule(levels.shape[:2], pixel_range=pixel_range), 0)
    assert decoded.dtype == np.float32
    assert decoded.flags.c_contiguous
    assert decoded.flags.writeable
    np.testing.assert_allclose(decoded, levels, atol=atol, rtol=0)


# The refused -------------------------------------------------------------------------------

PNG = encode(RGB, "PNG")
LARGE = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))


def announcing(width, height, file_format):
    """Write a file whose header announces more pixels than there are."""
    if file_format == "PNG":
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return PNG[:8] + chunk(b"IHDR", header) + PNG[33:]
    if file_format == "GIF":
        encoded = bytearray(encode(L, "GIF"))
        encoded[6:10] = struct.pack("<HH", width, height)
    elif file_format == "BMP":
        encoded = bytearray(encode(RGB, "BMP"))
        encoded[18:26] = struct.pack("<ii", width, height)
    elif file_format == "PPM":
        encoded = f"P6 {width} {height} 255\n".encode() + b"\0" * 100
    else:
        encoded = bytearray(encode(RGB, "JPEG"))
        at = encoded.index(b"\xff\xc0") + 5
        encoded[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(encoded)


UNREADABLE = {
    "nothing": (b"", "it is empty. Copy or download it again"),
    "text": (b"hello, world", "it is text of no known image format, beginning b'hello, world'"),
    "zeros": (b"\0" * 100, "it is data of no known image format"),
    "HTML": (b"<!DOCTYPE html><title>404</title>", r"text \(HTML or XML\), as a failed download"),
    "XML after space": (b"\n  <?xml version='1.0'?>", r"it is text \(HTML or XML\)"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing. Export it as PNG"),
    "PDF": (b"%PDF-1.7 ...", "it is a PDF. Export its pages as PNG"),
    "ZIP": (b"PK\x03\x04rest", "it is a ZIP archive. Unpack it"),
    "NumPy file": (b"\x93NUMPY\x01\x00v", "it is a NumPy file. Hand over the array that np.load"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "Git LFS pointer. Run git lfs pull",
    ),
    "a video": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "it is HEIC, AVIF or a video"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no known image format"),
    "a path in bytes": (b"cats/7.jpg", "text of no known image format, beginning b'cats/7.jpg'"),
    "a signature only": (PNG[:8], "damaged or truncated"),
    "a JPEG signature only": (b"\xff\xd8\xff", "damaged or truncated"),
    "PNG with a damaged checksum": (
        PNG[:45] + bytes([PNG[45] ^ 255]) + PNG[46:],
        "damaged or truncated",
    ),
    "JPEG without its end marker": (encode(LARGE, "JPEG")[:-2], "damaged or truncated"),
    "PNG of 0 pixels": (announcing(0, 5, "PNG"), "damaged or truncated"),
    "integers of 0-255 in mode I": (Image.new("I", (3, 2), 200), "mode is I and .* from 0 to 200"),
    "integers above 65535": (Image.new("I", (3, 2), 70000), "Hand over an array, and give"),
    "negative integers": (Image.new("I", (3, 2), -1), "its mode is I and .* from -1 to 0"),
    "floats of 0-1": (Image.new("F", (3, 2), 0.5), "mode is F and its floats reach from 0 to 0.5"),
    "floats above 255": (Image.new("F", (3, 2), 256.0), r"scale is not known \(0 to 255 is"),
    "negative floats": (Image.new("F", (3, 2), -1.0), "its mode is F and its floats reach from -1"),
    "NaN in mode F": (Image.new("F", (3, 2), float("nan")), "its mode is F and its floats reach"),
    "LAB": (lab(), "its colours are in CIELAB. Convert it to RGB with PIL.ImageCms"),
    "TIFF LAB": (encode(lab(), "TIFF"), "its colours are in CIELAB"),
    "a PIL image without pixels": (Image.new("RGB", (0, 5)), "it has no pixels"),
    "a truncated PIL image": (
        Image.open(io.BytesIO(encode(LARGE, "PNG")[:-3000])),
        "damaged or truncated",
    ),
    "a missing value": (None, "there is no value. Fill it in, or leave the row out"),
    "a URL": ("https://example.org/cat.jpg", "it is a URL, and nothing is downloaded"),
    "a URL in capitals": ("HTTP://EXAMPLE.ORG/CAT.JPG", "it is a URL"),
    "a bucket": ("s3://bucket/cat.jpg", "it is a URL.* Download it first"),
    "a file URL": ("file:///tmp/cat.jpg", "it is a URL"),
    "an empty path": ("", "the path is empty. Give the path of an image file"),
    "a missing file": ("no/such/file.jpg", "there is no such file. Check the path and the working"),
    "a folder": (".", "it is a directory. List its files, or use images_from_folder"),
    "a device": (os.devnull, "it is not a regular file"),
    "a null byte in a path": ("a\0b.jpg", "the path holds a null character"),
    "a path that is far too long": (
        "x" * 100_000,
        r"the system cannot open it \(.*\)\. Check the path",
    ),
}
for _format in ["PNG", "GIF", "BMP", "JPEG", "PPM"]:
    UNREADABLE[f"{_format} of 4 gigapixels"] = (
        announcing(65500, 65500, _format),
        r"its header announces 65,500x65,500 pixels, and at most 67,108,864 are decoded, 65,535 on",
    )
UNREADABLE["PNG of one very long line"] = (
    announcing(70_000, 1, "PNG"),
    r"its header announces 70,000x1 pixels.* Make it smaller, or cut it into tiles",
)
for _format in ["PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG"]:
    for _share in [0.25, 0.5, 0.8]:
        _encoded = encode(LARGE, _format, **({"lossless": True} if _format == "WEBP" else {}))
        UNREADABLE[f"{_format} cut to {_share:.0%}"] = (
            _encoded[: int(len(_encoded) * _share)],
            "it is damaged or truncated .* Replace the file, or leave the row out",
        )
UNREADABLE["progressive JPEG cut to half"] = (
    encode(LARGE, "JPEG", progressive=True)[:1000],
    "damaged or truncated",
)

NOT_PICTURES = {
    "5 channels": ((4, 4, 5), "uint8", ValueError, "5 channels are not a picture; allowed are 1"),
    "no channels": ((4, 4, 0), "uint8", ValueError, "a picture needs at least one pixel"),
    "channels first": (
        (3, 20, 30),
        "uint8",
        ValueError,
        r"come first; put them last: np\.moveaxis",
    ),
    "grey first": ((1, 20, 30), "float32", ValueError, r"np\.moveaxis\(picture, 0, -1\)"),
    "no rows": ((0, 4, 3), "uint8", ValueError, "at least one pixel"),
    "no columns": ((4, 0), "uint8", ValueError, "at least one pixel"),
    "1-D": ((12,), "uint8", ValueError, r"a picture is \(h, w\) or \(h, w, channels\)"),
    "0-D": ((), "uint8", ValueError, r"row 7 has shape \(\)"),
    "4-D": ((1, 4, 4, 3), "uint8", ValueError, r"row 7 has shape \(1, 4, 4, 3\)"),
    "complex": ((4, 4, 3), "complex64", TypeError, "dtype complex64, but pictures hold bool, int"),
    "objects": ((4, 4, 3), "object", TypeError, "row 7 is an array of dtype object"),
    "dates": ((4, 4), "datetime64[s]", TypeError, r"Convert it, for instance with X\.astype"),
    "text": ((4, 4), "U3", TypeError, "dtype <U3"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_refused_with_the_documented_message(name):
    source, message = UNREADABLE[name]
    with pytest.raises(ImageReadError, match=message) as caught:
        decode(source, PixelRule((4, 4)), 7)
    assert caught.value.row == 7
    assert str(caught.value).startswith("row 7 (")
    assert len(str(caught.value)) < 500
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("name", NOT_PICTURES)
def test_arrays_that_are_no_pictures_raise_plain_errors(name):
    shape, dtype, error, message = NOT_PICTURES[name]
    with pytest.raises(error, match=message) as caught:
        decode(np.zeros(shape, dtype), PixelRule((4, 4)), 7)
    assert not isinstance(caught.value, ImageReadError)
    assert "row 7" in str(caught.value)


def test_the_table_is_as_long_as_promised():
    assert len(ACCEPTED) + len(UNREADABLE) + len(NOT_PICTURES) >= 200


# Paths -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain.png", "ünïcødé 猫.png", "with space.png", "no_ending"])
@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_paths_are_read_whatever_their_name(tmp_path, name, kind):
    (tmp_path / name).write_bytes(PNG)
    source = kind(str(tmp_path / name))
    if kind is os.fsencode:  # bytes are encoded images, never paths
        with pytest.raises(ImageReadError, match="no known image format"):
            decode(source, PixelRule((H, W)), 0)
        return
    np.testing.assert_array_equal(decode(source, PixelRule((H, W)), 0), RGB)


def test_relative_paths_and_home_folders(tmp_path, monkeypatch):
    (tmp_path / "cat.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for path in ["cat.png", "./cat.png", "~/cat.png", Path("~/cat.png"), np.str_("cat.png")]:
        np.testing.assert_array_equal(decode(path, PixelRule((H, W)), 0), RGB)


def test_the_content_decides_and_not_the_ending(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(PNG)
    np.testing.assert_array_equal(decode(tmp_path / "cat.jpg", PixelRule((H, W)), 0), RGB)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes exist on POSIX only")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageReadError, match="it is not a regular file"):
        decode(tmp_path / "pipe", PixelRule((4, 4)), 0)


def test_missing_permission_is_said(monkeypatch, tmp_path):
    (tmp_path / "cat.png").write_bytes(PNG)

    def forbidden(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)
    with pytest.raises(ImageReadError, match=r"permission denied\. Make the file readable"):
        decode(tmp_path / "cat.png", PixelRule((4, 4)), 0)


def test_long_paths_are_shortened_in_messages_but_kept_whole_in_the_error():
    path = "/folder" * 40 + "/cat.jpg"
    with pytest.raises(ImageReadError) as caught:
        decode(path, PixelRule((4, 4)), 12)
    assert caught.value.source == path
    assert str(caught.value).startswith("row 12 ('…")
    assert "/cat.jpg') cannot be read as an image: there is no such file." in str(caught.value)


def test_bytes_and_images_are_described():
    with pytest.raises(ImageReadError, match=r"row 1 \(1,203 bytes beginning b'12312312'\)"):
        decode(b"123" * 401, PixelRule((4, 4)), 1)
    with pytest.raises(ImageReadError, match=r"row 1 \(a PIL image of mode LAB, 9x6\)"):
        decode(lab(), PixelRule((4, 4)), 1)


def test_the_error_travels_between_processes():
    with pytest.raises(ImageReadError) as caught:
        decode("no/such/file.jpg", PixelRule((4, 4)), 12)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.row, copy.source) == (str(caught.value), 12, "no/such/file.jpg")


# Bounds and settings -----------------------------------------------------------------------


def test_a_large_jpeg_is_decoded_reduced_where_that_stays_within_the_bound(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 32 * 32)
    monkeypatch.setattr(images, "_MAX_REDUCED_FROM", 64 * 64)
    jpeg = encode(LARGE, "JPEG")
    assert decode(jpeg, PixelRule((16, 16)), 0).shape == (16, 16, 3)
    for too_large in [
        encode(LARGE, "PNG"),  # cannot be reduced
        encode(LARGE, "JPEG", progressive=True),  # keeps all coefficients
        encode(LARGE.resize((65, 64)), "JPEG"),  # beyond the second bound
    ]:
        with pytest.raises(ImageReadError, match=r"its header announces 6[45]x64 pixels"):
            decode(too_large, PixelRule((16, 16)), 0)
    with pytest.raises(ImageReadError, match="at most 1,024 are decoded"):
        decode(jpeg, PixelRule((33, 33)), 0)


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "BMP", "JPEG", "PPM"])
def test_a_bomb_gives_an_error_and_no_warning(file_format):
    bomb = announcing(10_000, 10_000, file_format)  # Pillow would warn and go on
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ImageReadError):
            decode(bomb, PixelRule((8000, 8000)), 0)
    assert not seen


def test_no_setting_of_pillow_is_touched():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK)
    for source, levels, pixel_range, _ in ACCEPTED.values():
        decode(source, PixelRule(levels.shape[:2], pixel_range=pixel_range), 0)
    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK)
    assert after == before


def test_a_limit_that_the_user_lowered_does_not_matter(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    np.testing.assert_array_equal(decode(PNG, PixelRule((H, W)), 0), RGB)


def test_out_of_memory_is_not_an_unreadable_image(monkeypatch):
    def exhausted(*_args):
        raise MemoryError

    monkeypatch.setattr(images, "_read_file", exhausted)
    with pytest.raises(MemoryError):
        decode(PNG, PixelRule((4, 4)), 0)


# Threads -----------------------------------------------------------------------------------


def test_one_lazy_image_in_many_rows_is_read_by_many_threads():
    image = Image.open(io.BytesIO(encode(LARGE, "PNG")))
    source, rule = read_images([image] * 16), PixelRule((64, 64))
    results = [None] * 16

    def read(i):
        results[i] = source.load(i, rule)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, np.asarray(LARGE))


def test_the_users_pil_image_stays_as_it_was():
    image = tagged(with_palette(transparency=3), 6)
    decode(image, PixelRule((4, 4)), 0)
    assert image.mode == "P"
    assert image.size == (W, H)
    assert image.info["transparency"] == 3
    assert image.getexif()[ORIENTATION] == 6
