"""Small images of known grey levels, and the ways to store them that tests need."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

H, W = 6, 9
ORIENTATION = 0x0112
RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 256, (H, W, 4), dtype=np.uint8)
RGBA[0, 0, [1, 3]] = 255  # opaque somewhere, as alpha is, whichever channel is taken for it
RGB = np.ascontiguousarray(RGBA[..., :3])
LA = np.ascontiguousarray(RGBA[..., 2:])
L = np.ascontiguousarray(RGB[..., 0])
U16 = RNG.integers(0, 65536, (H, W), dtype=np.uint16)
BITS = L > 127
PALETTE = RNG.integers(0, 256, (8, 3), dtype=np.uint8)
INDICES = RNG.integers(0, 8, (H, W), dtype=np.uint8)
LARGE = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))


def encode(image, file_format, **options):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, file_format, **options)
    return file.getvalue()


def as_pillow_decodes(encoded):
    """What Pillow makes of a file, converted to RGB."""
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


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
    return in_mode(RGB, "LAB")


def frames(*arrays):
    first, *others = (Image.fromarray(array) for array in arrays)
    return first, {"save_all": True, "append_images": others}


# Orientation -------------------------------------------------------------------------------


def tagged(image, orientation):
    image.getexif()[ORIENTATION] = orientation
    return image


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def turned(orientation, upright=RGB):
    """Store a upright so that this EXIF orientation turns it upright."""
    # The inverse of 6 is 8; all others undo themselves.
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    image = Image.fromarray(upright)
    return ImageOps.exif_transpose(tagged(image, inverse)).convert(image.mode)


# Files by the book, for the kinds that Pillow does not write --------------------------------


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(levels, bit_depth, colour, interlaced=False, chunks=b"", width=None):
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
        passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    levels = levels.astype(">u2" if bit_depth == 16 else "u1")
    parts = (levels[top::down, left::right] for top, left, down, right in passes)
    lines = b"".join(b"\0" + line.tobytes() for part in parts if part.size for line in part)
    header = struct.pack(
        ">IIBBBBB", width or levels.shape[1], len(levels), bit_depth, colour, 0, 0, interlaced
    )
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunks
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def bmp(levels, top_down=False, masks=b""):
    """Write a BMP of 24 or 32 bits a pixel; without masks, a fourth byte means nothing."""
    height, width, channels = levels.shape
    ordered = levels[..., [2, 1, 0, 3][:channels]]
    ordered = ordered if top_down else ordered[::-1]
    lines = b"".join(line.tobytes() + b"\0" * (-line.size % 4) for line in ordered)
    size, kind = (width, -height if top_down else height), 3 if masks else 0
    n_bytes = 40 + len(masks)
    numbers = (n_bytes, *size, 1, 8 * channels, kind, len(lines), 0, 0, 0, 0)
    header = struct.pack("<IiiHHIIiiII", *numbers) + masks
    return (
        b"BM" + struct.pack("<IHHI", 14 + n_bytes + len(lines), 0, 0, 14 + n_bytes) + header + lines
    )


def tiled_tiff(levels, side=16):
    """Write a TIFF of 8-bit RGB in uncompressed tiles."""
    height, width = levels.shape[:2]
    padded = np.zeros((-(-height // side) * side, -(-width // side) * side, 3), np.uint8)
    padded[:height, :width] = levels
    tiles = [
        padded[top : top + side, left : left + side].tobytes()
        for top in range(0, padded.shape[0], side)
        for left in range(0, padded.shape[1], side)
    ]
    offsets = [8 + index * len(tiles[0]) for index in range(len(tiles))]
    data, extra = b"".join(tiles), []
    numbers = {256: [width], 257: [height], 258: [8, 8, 8], 259: [1], 262: [2], 277: [3]}
    numbers |= {322: [side], 323: [side], 324: offsets, 325: [len(tiles[0])] * len(tiles)}
    entries, end = b"", 8 + len(data)
    for tag, values in numbers.items():
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            place = end + sum(map(len, extra))
            extra.append(packed)
            packed = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, 4, len(values)) + packed
    directory = end + sum(map(len, extra))
    head = b"II*\0" + struct.pack("<I", directory)
    return head + data + b"".join(extra) + struct.pack("<H", len(numbers)) + entries + b"\0" * 4


def ycck_jpeg(image):
    """Write a JPEG of Adobe's YCCK: the inverse colours as luma and chroma, and no black."""
    inverse = Image.fromarray(255 - image).convert("YCbCr")
    # Pillow stores CMYK inverted.
    stored = Image.merge(
        "CMYK",
        [*Image.fromarray(255 - np.asarray(inverse)).split(), Image.new("L", inverse.size)],
    )
    encoded = bytearray(encode(stored, "JPEG", quality=100, subsampling=0))
    encoded[encoded.index(b"Adobe") + 11] = 2
    return bytes(encoded)


def announcing(width, height, file_format):
    """Write a file whose header announces more pixels than there are."""
    if file_format == "PNG":
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        whole = encode(RGB, "PNG")
        return whole[:8] + chunk(b"IHDR", header) + whole[33:]
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
