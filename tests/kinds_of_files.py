"""Kinds of encoded images, as bytes, that are read."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageOps, features

from image_files import (
    BITS,
    INDICES,
    LA,
    PALETTE,
    RGB,
    RGBA,
    RNG,
    U16,
    L,
    as_pillow_decodes,
    bmp,
    chunk,
    encode,
    exif,
    frames,
    in_mode,
    png,
    tiled_tiff,
    turned,
    with_palette,
    ycck_jpeg,
)
from input_kinds import Table, over_white, where_white

FILES = Table()
OPAQUE = np.array([0, 0, 0, 255], np.uint8)
CLEAR = ~OPAQUE


def file(name, encoded, levels, atol=1e-4):
    FILES.accept(name, [encoded], levels, atol)


def lossless_files():
    for file_format in ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP"]:
        options = {"lossless": True} if file_format == "WEBP" else {}
        # few enough colours for the palette of a GIF
        file(f"{file_format} RGB", encode(RGB, file_format, **options), RGB)
        file(f"{file_format} L", encode(L, file_format, **options), L)
        if file_format != "WEBP":
            bits = encode(Image.fromarray(BITS), file_format)
            file(f"{file_format} 1-bit", bits, BITS * 255.0)
        if file_format != "PPM":
            palette = encode(with_palette(), file_format, **options)
            file(f"{file_format} palette", palette, PALETTE[INDICES])
    file("BMP 24-bit by the book", bmp(RGB), RGB)
    file("BMP from top to bottom", bmp(RGB, top_down=True), RGB)
    file("BMP 32-bit, whose fourth byte means nothing", bmp(RGBA), RGB)


def alpha():
    table = bytes([255, 0, 128, 200, 255, 1, 77, 254])
    per_index = np.dstack([PALETTE[INDICES], np.frombuffer(table, np.uint8)[INDICES]])
    exact = {"lossless": True, "exact": True}
    file("PNG RGBA", encode(RGBA, "PNG"), over_white(RGBA))
    file("TIFF RGBA", encode(RGBA, "TIFF"), over_white(RGBA))
    file("WebP RGBA", encode(RGBA, "WEBP", **exact), over_white(RGBA))
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    file("BMP RGBA, with a mask for alpha", bmp(RGBA, masks=masks), over_white(RGBA))
    file("PNG LA", encode(LA, "PNG"), over_white(LA))
    file("TIFF LA", encode(LA, "TIFF"), over_white(LA))
    one_clear = where_white(PALETTE[INDICES], INDICES == 3)
    for file_format in ["PNG", "GIF"]:
        encoded = encode(with_palette(), file_format, transparency=3)
        file(f"{file_format} palette, one index clear", encoded, one_clear)
    by_index = encode(with_palette(), "PNG", transparency=table)
    file("PNG palette, alpha by index", by_index, over_white(per_index))
    colour = tuple(int(level) for level in RGB[2, 3])
    file(
        "PNG RGB, one colour clear",
        encode(RGB, "PNG", transparency=colour),
        where_white(RGB, (RGB[2, 3] == RGB).all(axis=2)),
    )
    file(
        "PNG L, one level clear",
        encode(L, "PNG", transparency=int(L[2, 3])),
        where_white(L, L[2, 3] == L),
    )
    clear = chunk(b"tRNS", struct.pack(">H", int(U16[2, 3])))
    file(
        "PNG 16-bit grey, one level clear",
        png(U16, 16, 0, chunks=clear),
        where_white(U16 / 257, U16[2, 3] == U16),
    )
    file("PNG wholly clear", encode(RGBA & CLEAR, "PNG"), np.full_like(RGB, 255))
    file("PNG RGBA wholly opaque", encode(RGBA | OPAQUE, "PNG"), RGB)


def deep_files():
    deep = RNG.integers(0, 65536, (*L.shape, 3), dtype=np.uint16)
    file("PNG 16-bit grey", encode(U16, "PNG"), U16 / 257)
    file("PNG 16-bit grey by the book", png(U16, 16, 0), U16 / 257)
    file("PNG 16-bit grey interlaced", png(U16, 16, 0, interlaced=True), U16 / 257)
    # Pillow keeps the upper 8 bits of each colour
    file("PNG 16-bit RGB", png(deep, 16, 2), deep / 257, atol=1.0)
    file("PNG 16-bit RGB interlaced", png(deep, 16, 2, interlaced=True), deep / 257, atol=1.0)
    file("TIFF 16-bit", encode(in_mode(U16.astype("<u2"), "I;16"), "TIFF"), U16 / 257)
    file("TIFF 16-bit big endian", encode(in_mode(U16.astype(">u2"), "I;16B"), "TIFF"), U16 / 257)
    file("TIFF 32-bit of 16 bits", encode(in_mode(U16.astype("<i4"), "I"), "TIFF"), U16 / 257)
    file("TIFF float", encode((L * 0.9).astype(np.float32), "TIFF"), L * 0.9)
    file("PGM 16-bit", b"P5 9 6 65535\n" + U16.astype(">u2").tobytes(), U16 / 257)


def plain_text_files():
    file("PGM plain", b"P2 9 6 255\n" + " ".join(map(str, L.ravel())).encode(), L)
    file("PPM plain", b"P3 9 6 255\n" + " ".join(map(str, RGB.ravel())).encode(), RGB)
    file("PBM plain", b"P1 9 6\n" + " ".join("10"[int(b)] for b in BITS.flat).encode(), BITS * 255)
    file("PGM with a comment", b"P5\n# a comment\n9 6 255\n" + L.tobytes(), L)


def interlaced_files():
    file("PNG 8-bit interlaced grey", png(L, 8, 0, interlaced=True), L)
    file("PNG 8-bit interlaced RGB", png(RGB, 8, 2, interlaced=True), RGB)
    file("PNG 8-bit interlaced RGBA", png(RGBA, 8, 6, interlaced=True), over_white(RGBA))
    file("PNG 8-bit interlaced LA", png(LA, 8, 4, interlaced=True), over_white(LA))
    palette = chunk(b"PLTE", PALETTE.tobytes())
    encoded = png(INDICES, 8, 3, interlaced=True, chunks=palette)
    file("PNG interlaced palette", encoded, PALETTE[INDICES])
    file("GIF not interlaced", encode(L, "GIF", interlace=0), L)
    file("GIF interlaced", encode(L, "GIF", interlace=1), L)


def compressions():
    cmyk = Image.fromarray(RGB).convert("CMYK")
    file("TIFF CMYK", encode(cmyk, "TIFF"), RGB)
    file("TIFF CMYK LZW", encode(cmyk, "TIFF", compression="tiff_lzw"), RGB)
    for compression in ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"]:
        file(f"TIFF {compression}", encode(RGB, "TIFF", compression=compression), RGB)
    for compression in ["group3", "group4", "tiff_ccitt"]:
        encoded = encode(Image.fromarray(BITS), "TIFF", compression=compression)
        file(f"TIFF {compression}", encoded, BITS * 255.0)
    jpeg = encode(RGB, "TIFF", compression="jpeg", quality=95)
    file("TIFF of a JPEG", jpeg, as_pillow_decodes(jpeg))
    wide = RNG.integers(0, 256, (20, 35, 3), dtype=np.uint8)
    file("TIFF in tiles", tiled_tiff(wide), wide)
    file("TIFF in strips of one line", encode(RGB, "TIFF", tiffinfo={278: 1}), RGB)
    for level in [0, 1, 9]:
        file(f"PNG level {level}", encode(RGB, "PNG", compress_level=level), RGB)
    profile = {"icc_profile": b"no profile that any library would read"}
    file("PNG with a colour profile", encode(RGB, "PNG", **profile), RGB)


def lossy_files():
    """Compared with what Pillow decodes: loss is not this package's."""
    photo = Image.fromarray(RGB).resize((40, 30), Image.Resampling.BICUBIC)
    grey, clear = photo.convert("L"), Image.merge("RGBA", [*photo.split(), photo.getchannel(0)])
    variants = {
        "JPEG grey": (grey, {}),
        "JPEG RGB": (photo, {}),
        "JPEG CMYK": (photo.convert("CMYK"), {}),
        "JPEG progressive": (photo, {"progressive": True}),
        "JPEG progressive grey": (grey, {"progressive": True}),
        "JPEG progressive CMYK": (photo.convert("CMYK"), {"progressive": True}),
        "JPEG optimised": (photo, {"optimize": True}),
        "JPEG 4:4:4": (photo, {"subsampling": 0}),
        "JPEG 4:2:2": (photo, {"subsampling": 1}),
        "JPEG 4:2:0": (photo, {"subsampling": 2}),
        "JPEG stored as RGB": (photo, {"keep_rgb": True}),
        "JPEG quality 1": (photo, {"quality": 1}),
        "JPEG quality 100": (photo, {"quality": 100}),
        "JPEG restart markers": (photo, {"restart_marker_blocks": 1}),
        "JPEG with a comment": (photo, {"comment": b"hello"}),
        "JPEG with a colour profile": (photo, {"icc_profile": b"no profile"}),
        "JPEG with a resolution": (photo, {"dpi": (300, 300)}),
        "JPEG 1x1": (Image.new("RGB", (1, 1), (9, 8, 7)), {}),
        "JPEG one row": (photo.resize((40, 1)), {}),
        "JPEG one column": (photo.resize((1, 30)), {}),
        "JPEG one very long row": (photo.resize((20_000, 1)), {}),
        "WebP lossy": (photo, {"quality": 50}),
        **({"AVIF": (photo, {})} if "avif" in features.get_supported() else {}),
    }
    for name, (image, options) in variants.items():
        encoded = encode(image, name.split()[0].upper(), **options)
        file(name, encoded, as_pillow_decodes(encoded))
    encoded = encode(clear, "WEBP", quality=60)
    pixels = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGBA"))
    file("WebP lossy with alpha", encoded, over_white(pixels))
    two = encode(photo, "MPO", save_all=True, append_images=[photo.rotate(90)])
    file("MPO, two images", two, as_pillow_decodes(two))
    whole = encode(photo, "JPEG")
    file("JPEG with bytes after its end", whole + b"garbage", as_pillow_decodes(whole))
    smooth = np.asarray(photo.resize((20, 20)))
    # Two conversions of colours, each rounded, and quality 100.
    file("JPEG YCCK", ycck_jpeg(smooth), smooth, atol=5)


def orientations():
    for orientation in range(1, 9):
        stored, tags = turned(orientation), exif(orientation)
        for file_format in ["PNG", "WEBP", "TIFF"]:
            options = {"lossless": True} if file_format == "WEBP" else {}
            encoded = encode(stored, file_format, exif=tags, **options)
            file(f"{file_format} orientation {orientation}", encoded, RGB)
        encoded = encode(stored, "JPEG", exif=tags)
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
        file(f"JPEG orientation {orientation}", encoded, np.asarray(upright))
    for orientation in [0, 9, 65535]:
        encoded = encode(RGB, "PNG", exif=exif(orientation))
        file(f"PNG orientation {orientation}, which means nothing", encoded, RGB)
    damaged = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"
    file("PNG with damaged EXIF", encode(RGB, "PNG", exif=damaged), RGB)
    jpeg = encode(RGB, "JPEG", exif=damaged)
    file("JPEG with damaged EXIF", jpeg, as_pillow_decodes(encode(RGB, "JPEG")))


def animations():
    first, others = frames(L, 255 - L)
    file("GIF animated: its first frame", encode(first, "GIF", **others), L)
    first, others = frames(RGB, 255 - RGB)
    file("PNG animated: its first frame", encode(first, "PNG", **others), RGB)
    file("TIFF of two pages: its first", encode(first, "TIFF", **others), RGB)
    animated = encode(first, "WEBP", lossless=True, **others)
    file("WebP animated: its first frame", animated, RGB)


lossless_files()
alpha()
deep_files()
plain_text_files()
interlaced_files()
compressions()
lossy_files()
orientations()
animations()
