"""Every combination of container, bits, meaning and packing: read as it means, or refused by name.

Expected grey levels are worked out from the numbers that were written, without the code under
test. A combination counts once for each behaviour that it may have, see `behaviours`.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_files import H, W, chunk, encode, png
from skltransfer.inputs.errors import ImageReadError
from skltransfer.inputs.images.decoding import decode
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from tiff_files import (
    BLACK_IS_ZERO,
    CMYK,
    DEFLATE,
    FLOAT,
    LZW,
    PACKBITS,
    RAW,
    RGB,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    Layout,
    tiff,
)

GIVEN = (0.0, 1000.0)
BY_CONTAINER = ImagePreprocessing((H, W))
BY_USER = ImagePreprocessing((H, W), "stretch", GIVEN, True)
HAS_CODECS = importlib.util.find_spec("imagecodecs") is not None
JPEG2000 = Path(__file__).parent / "data" / "jpeg2000"

LEVEL = 1.0
"""Largest difference that is allowed: one grey level of 255."""


def scaled(numbers, ends):
    return (numbers.astype(np.float64) - ends[0]) / (ends[1] - ends[0]) * 255


def outcome(data, rule, expected):
    """Whether data are read as expected, or else why they are refused."""
    try:
        found = decode(data, rule, 0)
    except ImageReadError as error:
        return str(error).partition("as an image: ")[2]
    error = np.abs(found - np.broadcast_to(expected, found.shape)).max()
    slack = LEVEL * max(1.0, np.abs(expected).max() / 255)
    return "read" if error <= slack else f"off by {error:.3g}"


def assert_right_or_refused(name, found, refusals):
    """Read, or refused by one of the patterns."""
    assert found == "read" or any(re.match(pattern, found) for pattern in refusals), (name, found)
    assert "damaged" not in found


# TIFF --------------------------------------------------------------------------------------

KINDS = [(bits, UNSIGNED) for bits in (1, 2, 4, 8, 10, 12, 14, 16, 32)]
KINDS += [(8, SIGNED), (16, SIGNED), (32, SIGNED), (16, FLOAT), (32, FLOAT), (64, FLOAT)]
COLOURS = [
    (WHITE_IS_ZERO, 1, ()),
    (BLACK_IS_ZERO, 1, ()),
    (BLACK_IS_ZERO, 2, (2,)),
    (WHITE_IS_ZERO, 2, (2,)),
    (RGB, 3, ()),
    (RGB, 4, (2,)),
    (RGB, 4, (1,)),  # multiplied by alpha
    (RGB, 4, (0,)),  # a fourth band of no meaning
    (RGB, 5, (0, 0)),
    (BLACK_IS_ZERO, 5, (0, 0, 0, 0)),
    (CMYK, 4, ()),
]
N_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, CMYK: 4}
PACKINGS = [
    *[(RAW, fill_order, tile) for fill_order in (1, 2) for tile in (0, 16)],
    *[(compression, 1, 0) for compression in (LZW, DEFLATE, PACKBITS)],
]
REFUSED_TIFFS = [
    r"it holds .*(signed|floats|32-bit).* do not say what is black and what is white\. Say which",
    r"it is a TIFF of \d bands of .*, and the last band is alpha on an unknown scale",
    r"it is a TIFF of 4 bands of .* in CMYK, which is not read\. Convert it to RGB, and",
    r"it holds 16-bit CMYK, whose numbers are amounts of ink, so pixel_range cannot be applied\.",
    r"it is a TIFF of 5 bands of .*, and images have 1 to 4 channels\. Choose some, and pass",
]
WITHOUT_TIFFFILE = (
    r"it is a TIFF of .*, which Pillow does not read\. pip install 'skltransfer\[tiff"
)
WITHOUT_CODECS = r"it is a TIFF whose codec tifffile lacks .* pip install imagecodecs, or"


def layouts(bits, sample_format):
    for photometric, bands, extra in COLOURS:
        for order in "<>" if bits > 8 else "<":
            for separate in (False, True) if bands > 1 else (False,):
                for compression, fill_order, tile in PACKINGS:
                    yield (
                        bands,
                        Layout(
                            bits,
                            photometric,
                            sample_format,
                            order,
                            compression,
                            separate,
                            fill_order,
                            extra=extra,
                            tile=tile,
                        ),
                    )


def numbers_for(layout, bands, rng):
    """Numbers of shape (h, w, bands): of floats, grey levels of 0 to 255."""
    shape = (H, W, bands)
    if layout.sample_format == FLOAT:
        return rng.random(shape) * 255
    smallest = -(2 ** (layout.bits - 1)) if layout.sample_format == SIGNED else 0
    numbers = rng.integers(smallest, smallest + 2**layout.bits, shape)
    if layout.extra[:1] == (1,):
        numbers[..., :-1] = np.floor(numbers[..., :-1] * (numbers[..., -1:] / (2**layout.bits - 1)))
    return numbers


def levels_of(numbers, layout, given):
    """Grey levels that the tags mean."""
    n_colours, white = N_COLOURS[layout.photometric], 2**layout.bits - 1
    is_deep = layout.bits > 8 or layout.sample_format != UNSIGNED
    ends = (0, 255 if layout.sample_format == FLOAT else white)
    ends = given if given and is_deep else ends
    colours, opacity = numbers[..., :n_colours].astype(np.float64), 1.0
    if layout.extra[:1] in ((1,), (2,)):
        opacity = numbers[..., n_colours : n_colours + 1] / white
    if layout.extra[:1] == (1,):
        colours = np.divide(colours, opacity, out=np.zeros_like(colours), where=opacity > 0)
    shown = scaled(colours, ends)
    shown = 255 - shown if layout.photometric == WHITE_IS_ZERO else shown
    if layout.photometric == CMYK:
        return (255 - shown[..., :3]) * (255 - shown[..., 3:]) / 255
    return 255 + (shown - 255) * opacity


def tiff_outcomes(bits, sample_format):
    rng = np.random.default_rng(bits)
    for bands, layout in layouts(bits, sample_format):
        numbers = numbers_for(layout, bands, rng)
        data = tiff(numbers, layout)
        for rule, given in [(BY_CONTAINER, None), (BY_USER, GIVEN)]:
            expected = levels_of(numbers, layout, given)
            yield (layout, bands, given), outcome(data, rule, expected)


@pytest.mark.parametrize("bits, sample_format", KINDS)
def test_tiffs_are_read_as_their_tags_mean_or_refused_by_what_they_are(bits, sample_format):
    refusals = REFUSED_TIFFS if HAS_CODECS else [*REFUSED_TIFFS, WITHOUT_CODECS]
    behaviours = {}
    for case, found in tiff_outcomes(bits, sample_format):
        assert_right_or_refused(case, found, refusals)
        behaviours[case] = found
    read = [case for case, found in behaviours.items() if found == "read"]
    assert len(read) > len(behaviours) / 4 or sample_format != UNSIGNED


@pytest.mark.parametrize("bits, sample_format", [(8, UNSIGNED), (14, UNSIGNED), (16, UNSIGNED)])
def test_without_tifffile_they_are_right_or_refused_with_the_command(
    bits, sample_format, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for case, found in tiff_outcomes(bits, sample_format):
        assert_right_or_refused(case, found, [*REFUSED_TIFFS, WITHOUT_TIFFFILE])


def test_the_example_of_x_ray_exports():
    numbers = np.array([[0, 21845], [43690, 65535]])[..., np.newaxis]
    rule = ImagePreprocessing((2, 2))
    for bits, factor in [(16, 1), (8, 257)]:
        data = tiff(numbers // factor, Layout(bits, WHITE_IS_ZERO))
        for source in [data, Image.open(io.BytesIO(data))]:
            shown = decode(source, rule, 0)[..., 0]
            np.testing.assert_allclose(shown, [[255, 170], [85, 0]], atol=1e-4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE])
def test_an_eight_bit_file_and_its_inverted_twin_of_sixteen_bits_are_one_image(order, compression):
    numbers = np.random.default_rng(0).integers(0, 256, (H, W, 1))
    eight = encode(Image.fromarray(numbers[..., 0].astype(np.uint8)), "PNG")
    twin = tiff(65535 - 257 * numbers, Layout(16, WHITE_IS_ZERO, UNSIGNED, order, compression))
    shown = [decode(data, BY_CONTAINER, 0) for data in (eight, twin)]
    np.testing.assert_allclose(*shown, atol=1e-3)


NOT_OPENED = {(12, WHITE_IS_ZERO, "<"), (12, WHITE_IS_ZERO, ">"), (16, WHITE_IS_ZERO, ">")}
NOT_OPENED |= {(12, BLACK_IS_ZERO, ">")}
"""Kinds for which Pillow has no mode."""


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [RAW, DEFLATE])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
def test_pil_images_of_tiffs_mean_what_the_files_mean(bits, order, compression, photometric):
    layout = Layout(bits, photometric, UNSIGNED, order, compression)
    numbers = numbers_for(layout, 1, np.random.default_rng(0))
    data = tiff(numbers, layout)
    if (bits, photometric, order) in NOT_OPENED:
        with pytest.raises(OSError, match="cannot identify"):
            Image.open(io.BytesIO(data))
        return
    image = Image.open(io.BytesIO(data))
    for rule, given in [(BY_CONTAINER, None), (BY_USER, GIVEN)]:
        assert outcome(image, rule, levels_of(numbers, layout, given)) == "read"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits, sample_format", [(16, SIGNED), (32, SIGNED), (32, FLOAT)])
@pytest.mark.parametrize("compression", [RAW, DEFLATE])
def test_signed_numbers_and_floats_of_pil_images(order, bits, sample_format, compression):
    layout = Layout(bits, BLACK_IS_ZERO, sample_format, order, compression)
    numbers = numbers_for(layout, 1, np.random.default_rng(0))
    image = Image.open(io.BytesIO(tiff(numbers, layout)))
    assert outcome(image, BY_USER, levels_of(numbers, layout, GIVEN)) == "read"


def test_predictors_and_tags_that_are_missing():
    numbers = np.random.default_rng(0).integers(0, 2**16, (H, W, 3))
    for compression in (LZW, DEFLATE):
        layout = Layout(16, RGB, compression=compression, predictor=2)
        assert outcome(tiff(numbers, layout), BY_CONTAINER, numbers / 257) == "read"


def test_a_raw_photograph_is_refused_by_what_it_is():
    """Its first page is a thumbnail, which would be read in its place."""
    thumbnail = np.zeros((H, W, 3), np.int64)
    for tags in [{"tag_254": 1, "tag_330": 8}, {"tag_50706": (1, 4, 0, 0)}, {"tag_262": 32803}]:
        found = outcome(tiff(thumbnail, Layout(8, RGB), **tags), BY_CONTAINER, 0)
        assert found.startswith("it is a raw photograph of a camera, or another TIFF that begins")


def test_a_pickled_image_has_lost_its_header():
    numbers = np.arange(H * W).reshape(H, W, 1) * 1000
    image = Image.open(io.BytesIO(tiff(numbers, Layout(16, WHITE_IS_ZERO))))
    copied = pickle.loads(pickle.dumps(image))
    found = outcome(copied, BY_CONTAINER, 0)
    assert found.startswith("it is a PIL image of a TIFF of more than 8 bits. It was pickled")
    bytes_only = Image.open(io.BytesIO(tiff(numbers // 257, Layout(8, WHITE_IS_ZERO))))
    copied = pickle.loads(pickle.dumps(bytes_only))
    assert outcome(copied, BY_CONTAINER, 255 - numbers // 257) == "read"


# PNG ---------------------------------------------------------------------------------------

PNG_KINDS = [(bits, 0, 1) for bits in (1, 2, 4, 8, 16)]
PNG_KINDS += [(bits, colour, n) for bits in (8, 16) for colour, n in ((2, 3), (4, 2), (6, 4))]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits, colour, bands", PNG_KINDS)
def test_pngs(bits, colour, bands, interlaced):
    if bits < 8 and interlaced:
        return  # lines of each pass end within a byte, as in no file of the writer
    numbers = np.random.default_rng(bits).integers(0, 2**bits, (H, W, bands))
    written = numbers if bits >= 8 else packed(numbers[..., 0], bits)
    data = png(written, bits, colour, interlaced, width=W)
    assert outcome(data, BY_CONTAINER, shown_png(numbers, bits, (0, 2**bits - 1))) == "read"
    ends = GIVEN if bits == 16 else (0, 2**bits - 1)
    assert outcome(data, BY_USER, shown_png(numbers, bits, ends)) == "read"


def packed(numbers, bits):
    return np.packbits((numbers[..., np.newaxis] >> np.arange(bits)[::-1] & 1).reshape(H, -1), 1)


def shown_png(numbers, bits, ends):
    if numbers.shape[2] % 2:
        return scaled(numbers, ends)
    opacity = numbers[..., -1:] / (2**bits - 1)
    return 255 + (scaled(numbers[..., :-1], ends) - 255) * opacity


def test_one_transparent_colour_of_sixteen_bits():
    numbers = np.random.default_rng(0).integers(0, 2**16, (H, W, 3))
    numbers[0, 1] = numbers[0, 0] ^ 1  # differs in the lowest bit
    clear = chunk(b"tRNS", numbers[0, 0].astype(">u2").tobytes())
    expected = numbers / 257
    expected[0, 0] = 255
    assert outcome(png(numbers, 16, 2, chunks=clear), BY_CONTAINER, expected) == "read"


# PGM and PPM -------------------------------------------------------------------------------


@pytest.mark.parametrize("white", [1, 15, 255, 256, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("magic", ["P2", "P3", "P5", "P6"])
def test_pgms_and_ppms(magic, white):
    bands = 3 if magic in ("P3", "P6") else 1
    numbers = np.random.default_rng(white).integers(0, white + 1, (H, W, bands))
    if magic in ("P2", "P3"):
        content = ("# a comment\n" + " ".join(map(str, numbers.ravel()))).encode()
    else:
        content = numbers.astype(">u2" if white > 255 else "u1").tobytes()
    data = f"{magic} {W} {H} {white}\n".encode() + content
    assert outcome(data, BY_CONTAINER, scaled(numbers, (0, white))) == "read"
    ends = GIVEN if white > 255 else (0, white)
    assert outcome(data, BY_USER, scaled(numbers, ends)) == "read"
    cut = data[: len(data) * 2 // 3]
    assert outcome(cut, BY_CONTAINER, 0).startswith("it is damaged or truncated (")


# JPEG 2000 and JPEG ------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(JPEG2000.iterdir()), ids=lambda path: path.name)
def test_jpeg_2000(path):
    """Ramps from the smallest number to the largest."""
    sign, bits, bands = re.match(r"([us])(\d+)_(\d)", path.name).groups()
    bits, bands, is_signed = int(bits), int(bands), sign == "s"
    numbers = np.arange(H * W * bands) * (2**bits - 1) // (H * W * bands - 1)
    numbers = numbers.reshape(H, W, bands) - (2 ** (bits - 1) if is_signed else 0)
    for rule, given in [(BY_CONTAINER, None), (BY_USER, GIVEN)]:
        is_deep = bits > 8 or is_signed
        ends = given if given and is_deep else (0, 2**bits - 1)
        found = outcome(path, rule, scaled(numbers, ends))
        if is_deep and (bands > 1 or bits == 8):
            assert found.startswith("it is a JPEG 2000 of ")
            assert "which Pillow does not read correctly. Convert it to PNG" in found
        elif is_signed and given is None:
            assert found.startswith("it holds signed 16-bit integers, which do not say")
        else:
            assert found == "read"


def test_a_pil_image_of_a_jpeg_2000_is_refused_before_its_brightest_levels_turn_black():
    with Image.open(JPEG2000 / "u12_3.jp2") as image:
        found = outcome(image, BY_CONTAINER, 0)
    assert found.startswith("it is a JPEG 2000 of colours in 12 bits")


@pytest.mark.parametrize(
    "marker, bits, bands, name",
    [
        (0xC1, 12, 1, "it is a JPEG of 12 bits and 1 bands, which Pillow does not read"),
        (0xC3, 8, 1, "it is a JPEG of lossless coding, of 8 bits"),
        (0xF7, 16, 1, "it is a JPEG of JPEG-LS coding, of 16 bits"),
        (0xC0, 8, 5, "it is a JPEG of 8 bits and 5 bands"),
    ],
)
def test_jpegs_that_pillow_does_not_read(marker, bits, bands, name):
    data = bytearray(encode(Image.new("L", (W, H)), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4], data[at + 9] = marker, bits, bands
    assert outcome(bytes(data), BY_CONTAINER, 0).startswith(name)


@pytest.mark.parametrize("factor", [1, 257])
def test_palettes_of_bytes_are_those_of_libtiff(factor):
    """As many programs write them: https://github.com/python-pillow/Pillow/issues/2157."""
    rng = np.random.default_rng(0)
    indices, colours = rng.integers(0, 16, (H, W, 1)), rng.integers(0, 256, (3, 16))
    palette = tuple((colours * factor).ravel().tolist())
    data = tiff(indices, Layout(4, 3), tag_320=palette)
    for source in [data, Image.open(io.BytesIO(data))]:
        assert outcome(source, BY_CONTAINER, colours.T[indices[..., 0]]) == "read"
