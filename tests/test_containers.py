"""Every combination of container, bits, meaning and packing: read as it means, or refused by name.

The combinations are in `container_cases`, which also says what counts as a behaviour.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
import re
import sys
from contextlib import suppress
from itertools import chain

import numpy as np
import pytest
import tifffile
from PIL import Image

from container_cases import (
    BY_CONTAINER,
    BY_USER,
    GIVEN,
    JPEG2000,
    JPEG_2000,
    MAGICS,
    NETPBM,
    NUMBERS,
    PIL_TIFF,
    PNG,
    REFUSALS,
    RULES,
    TIFF,
    WHITES,
    class_of,
    jpeg_2000_cases,
    levels_of,
    netpbm,
    netpbm_cases,
    numbers_for,
    outcome,
    png_cases,
    readings,
    scaled,
    shown_by,
    tiff_cases,
    tiff_readings,
)
from image_files import H, W, chunk, encode, png
from skltransfer.inputs.images.decoding import decode
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from tiff_files import (
    BLACK_IS_ZERO,
    DEFLATE,
    FLOAT,
    LZW,
    OF_FLOATS,
    OF_INTEGERS,
    RAW,
    RGB,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    Layout,
    tiff,
)

HAS_CODECS = importlib.util.find_spec("imagecodecs") is not None
WITHOUT_TIFFFILE = (
    r"it is a TIFF of .*, which Pillow does not read\. pip install 'skltransfer\[tiff"
)
WITHOUT_CODECS = r"it is a TIFF whose codec tifffile lacks .* pip install imagecodecs, or"

LEAST = {TIFF: 300, PIL_TIFF: 90, PNG: 14, NETPBM: 12, JPEG_2000: 20}
"""Behaviours of each container that must be seen.

With Pillow 13, they are 309, 98, 14, 12 and 20; other versions open a few TIFFs more or less.
"""


def assert_right_or_refused(found, *further):
    """All are read, or refused by what they are."""
    for reading in found:
        is_known = any(re.match(pattern, reading.found) for pattern in further)
        assert reading.is_right or is_known, (reading.name, reading.found)
        assert "damaged" not in reading.found


# The count ---------------------------------------------------------------------------------


def others():
    return chain(png_cases(), netpbm_cases(), jpeg_2000_cases())


@pytest.mark.skipif(not HAS_CODECS, reason="without imagecodecs, fewer TIFFs are read")
def test_the_behaviours_that_are_seen():
    found = [*readings(others()), *chain.from_iterable(map(tiff_readings, NUMBERS))]
    assert_right_or_refused(found)
    shown = shown_by(found)
    counts = {name: sum(container == name for container, *_ in shown) for name in LEAST}
    assert all(counts[name] >= least for name, least in LEAST.items()), counts
    for container, names in REFUSALS.items():
        assert {(container, name) for name in names} <= shown


@pytest.mark.skipif(not HAS_CODECS, reason="without imagecodecs, fewer TIFFs are read")
@pytest.mark.parametrize(
    "bits, sample_format, seed",
    [(8, UNSIGNED, 1), (16, FLOAT, 1), (3, UNSIGNED, 0), (11, UNSIGNED, 0)],
)
def test_other_numbers_and_other_depths_of_a_class_add_no_behaviour(bits, sample_format, seed):
    more = list(readings(tiff_cases(bits, sample_format, seed)))
    assert_right_or_refused(more)
    assert shown_by(more) <= shown_by(tiff_readings(class_of(bits, sample_format)))


# TIFF --------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", NUMBERS)
def test_tiffs_are_read_as_their_tags_mean_or_refused_by_what_they_are(numbers):
    found = tiff_readings(numbers)
    assert_right_or_refused(found, *([] if HAS_CODECS else [WITHOUT_CODECS]))
    n_read = sum(reading.found == "read" for reading in found)
    assert n_read > len(found) / 4 or not numbers.startswith("unsigned")


@pytest.mark.parametrize("bits, sample_format", [(8, UNSIGNED), (14, UNSIGNED), (16, UNSIGNED)])
def test_without_tifffile_they_are_right_or_refused_with_the_command(
    bits, sample_format, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    assert_right_or_refused(readings(tiff_cases(bits, sample_format)), WITHOUT_TIFFFILE)


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
@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE])
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
    for given, rule in RULES.items():
        assert outcome(image, rule, levels_of(numbers, layout, given)) == "read"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits, sample_format", [(16, SIGNED), (32, SIGNED), (32, FLOAT)])
@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE])
@pytest.mark.parametrize("is_predicted", [False, True])
def test_signed_numbers_and_floats_of_pil_images(
    order, bits, sample_format, compression, is_predicted
):
    predictor = (OF_FLOATS if sample_format == FLOAT else OF_INTEGERS) if is_predicted else 1
    if is_predicted and compression == RAW:
        return  # predictors belong to LZW and Deflate
    layout = Layout(bits, BLACK_IS_ZERO, sample_format, order, compression, predictor=predictor)
    numbers = numbers_for(layout, 1, np.random.default_rng(0))
    image = Image.open(io.BytesIO(tiff(numbers, layout)))
    assert outcome(image, BY_USER, levels_of(numbers, layout, GIVEN)) == "read"


@pytest.mark.parametrize("order", ["<", ">"])
def test_files_of_64_bit_offsets_are_those_of_32(order):
    numbers = np.random.default_rng(0).integers(0, 2**16, (H, W, 1))
    shown = [
        decode(
            tiff(numbers, Layout(16, WHITE_IS_ZERO, order=order, is_big=is_big)), BY_CONTAINER, 0
        )
        for is_big in (False, True)
    ]
    np.testing.assert_array_equal(*shown)


def test_a_raw_photograph_is_refused_by_what_it_is():
    """Its first page is a thumbnail, which would be read in its place."""
    thumbnail = np.zeros((H, W, 3), np.int64)
    for tags in [{"tag_254": 1, "tag_330": 8}, {"tag_50706": (1, 4, 0, 0)}, {"tag_262": 32803}]:
        found = outcome(tiff(thumbnail, Layout(8, RGB), **tags), BY_CONTAINER, 0)
        assert found.startswith("it is a raw photograph of a camera, or another TIFF that begins")


@pytest.mark.parametrize("codec", ["jpeg2000", "jpegxl", "lerc", "png", "webp", "zstd", "lzma"])
def test_codecs_that_libtiff_may_lack_are_left_to_tifffile(codec, monkeypatch):
    pytest.importorskip("imagecodecs", reason="it writes the files")
    file, numbers = io.BytesIO(), np.zeros((H, W, 3), np.uint8)
    numbers[:] = np.linspace(40, 200, W)[:, np.newaxis] + [0, 9, 20]
    tifffile.imwrite(file, numbers, photometric="rgb", compression=codec)
    data = file.getvalue()
    assert outcome(data, BY_CONTAINER, numbers) == "read"
    if codec in ("zstd", "lzma"):
        return
    with suppress(OSError), Image.open(io.BytesIO(data)) as image:
        assert "which Pillow misreads" in outcome(image, BY_CONTAINER, 0)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    assert re.match(WITHOUT_TIFFFILE, outcome(data, BY_CONTAINER, 0))


@pytest.mark.parametrize(
    "sample_format, message",
    [
        (4, "it holds 32-bit numbers of a mixed or unknown form from "),
        (5, "it is a TIFF of complex numbers, which have no grey levels. Pass arrays of their mag"),
        (6, "it is a TIFF of complex numbers, which have no grey levels. Pass arrays of their mag"),
    ],
)
def test_other_forms_of_numbers_are_refused_by_what_they_are(sample_format, message):
    data = tiff(np.full((H, W, 1), 2**24), Layout(32), tag_339=sample_format)
    assert outcome(data, BY_CONTAINER, 0).startswith(message)
    if sample_format > 4:
        assert outcome(data, BY_USER, 0).startswith(message)


def test_grey_levels_that_spell_the_name_of_a_camera_are_grey_levels():
    numbers = np.full((H, W, 1), 128)
    numbers[0, :2, 0] = list(b"CR")
    assert outcome(tiff(numbers), BY_CONTAINER, numbers) == "read"


@pytest.mark.parametrize(
    "bands, layout",
    [
        (2, Layout(8, extra=(2,), separate_planes=True, compression=LZW)),
        (3, Layout(8, RGB, separate_planes=True, fill_order=2)),
        (4, Layout(8, RGB, extra=(1,), separate_planes=True)),
        (5, Layout(8, RGB, extra=(2, 0), separate_planes=True)),
    ],
    ids=["grey and alpha", "reversed", "times alpha", "alpha and a band"],
)
def test_pil_images_of_planes_that_pillow_mixes_up_are_refused_and_their_files_read(bands, layout):
    numbers = numbers_for(layout, bands, np.random.default_rng(0))
    data = tiff(numbers, layout)
    assert outcome(data, BY_CONTAINER, levels_of(numbers, layout, None)) == "read"
    for has_loaded in (False, True):
        with Image.open(io.BytesIO(data)) as image:
            if has_loaded:
                with suppress(ValueError, OSError):
                    image.load()
            found = outcome(image, BY_CONTAINER, 0)
        assert found.startswith(
            f"it is a TIFF of {bands} bands of 8-bit integers, which Pillow misr"
        )


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


def test_pngs():
    for reading in readings(png_cases()):
        assert reading.found == "read", reading.name


def test_one_transparent_colour_of_sixteen_bits():
    numbers = np.random.default_rng(0).integers(0, 2**16, (H, W, 3))
    numbers[0, 1] = numbers[0, 0] ^ 1  # differs in the lowest bit
    clear = chunk(b"tRNS", numbers[0, 0].astype(">u2").tobytes())
    expected = numbers / 257
    expected[0, 0] = 255
    assert outcome(png(numbers, 16, 2, chunks=clear), BY_CONTAINER, expected) == "read"


# PGM and PPM -------------------------------------------------------------------------------


def test_pgms_and_ppms():
    for reading in readings(netpbm_cases()):
        assert reading.found == "read", reading.name


@pytest.mark.parametrize("white", WHITES)
@pytest.mark.parametrize("magic", MAGICS)
def test_pgms_and_ppms_that_are_cut(magic, white):
    numbers = np.zeros((H, W, 3 if magic in ("P3", "P6") else 1), np.int64)
    data = netpbm(magic, numbers, white)
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
    for given, rule in RULES.items():
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
