"""Combinations that containers may hold, what they mean, and what reading each of them shows.

The grey levels are worked out from the numbers that were written, without the code under test.

A behaviour is what a reader may get wrong by itself. A combination that is refused shows one: the
name of its refusal. One that is read shows a behaviour for each thing that its header says, with
who decoded it (tifffile, or Pillow and the package itself) and the class of its numbers. So further
sizes, numbers and depths of a class add none, nor do products of what was shown apart.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from image_files import H, W, png
from skltransfer.inputs.errors import ImageReadError
from skltransfer.inputs.images import tiff as tiff_module
from skltransfer.inputs.images.decoding import decode
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from tiff_files import (
    BLACK_IS_ZERO,
    CMYK,
    DEFLATE,
    FLOAT,
    LZW,
    OF_FLOATS,
    OF_INTEGERS,
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
RULES = {None: BY_CONTAINER, GIVEN: BY_USER}

LEVEL = 1.0
"""Largest difference that is allowed: one grey level of 255."""

TIFF, PIL_TIFF, PNG, NETPBM, JPEG_2000 = "TIFF", "PIL image of a TIFF", "PNG", "PNM", "JPEG 2000"

NO_RANGE = r"it holds .*(signed|floats|32-bit).* do not say what is black and what is white\. Say"
CUT = r"a PIL image keeps only the upper 8 bits of 16-bit colours, so pixel_range cannot be applied"
REFUSALS = {
    TIFF: [
        NO_RANGE,
        r"it is a TIFF of \d bands of .*, and the last band is alpha on an unknown scale",
        r"it is a TIFF of 4 bands of .* in CMYK, which is not read\. Convert it to RGB, and",
        r"it holds 16-bit CMYK, whose numbers are amounts of ink, so pixel_range cannot be applied",
        r"it is a TIFF of 5 bands of .*, but images have 1 to 4 channels\. Choose some, and pass",
    ],
    PIL_TIFF: [
        NO_RANGE,
        CUT,
        r"it is a TIFF of .*, which Pillow misreads\. Pass the path of the file, or an array\.",
    ],
    PNG: [],
    NETPBM: [],
    JPEG_2000: [
        NO_RANGE,
        r"it is a JPEG 2000 of .*which Pillow does not read correctly. Convert it to PNG",
    ],
}


@dataclass(frozen=True)
class Case:
    """One file, what its header says, and the grey levels that it means."""

    container: str
    numbers: str
    says: frozenset[str]
    source: Any
    meant: np.ndarray
    given: tuple[float, float] | None = None


@dataclass(frozen=True)
class Reading:
    """What became of a case: "read", how far it is off, or the refusal."""

    name: str
    container: str
    found: str
    behaviours: frozenset[tuple[str, ...]]

    @property
    def is_right(self) -> bool:
        """Whether it is read as it means, or refused by what it is."""
        return self.found == "read" or refusal(self.container, self.found) is not None


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


def refusal(container, found):
    """The name of a refusal; None if it is not among those of the container."""
    return next((name for name in REFUSALS[container] if re.match(name, found)), None)


def readings(cases: Iterable[Case]) -> Iterator[Reading]:
    """Read cases, and tell what each of them shows."""
    with mock.patch.object(
        tiff_module, "read_by_tifffile", wraps=tiff_module.read_by_tifffile
    ) as by_tifffile:
        for case in cases:
            by_tifffile.reset_mock()
            found = outcome(case.source, RULES[case.given], case.meant)
            decoder = "tifffile" if by_tifffile.called else "Pillow"
            name = f"{case.container}, {case.numbers}: {', '.join(sorted(case.says))}"
            yield Reading(name, case.container, found, _behaviours(case, found, decoder))


def _behaviours(case, found, decoder):
    if found != "read":
        return frozenset([(case.container, str(refusal(case.container, found)))])
    return frozenset((case.container, decoder, case.numbers, said) for said in case.says)


def shown_by(found: Iterable[Reading]) -> set[tuple[str, ...]]:
    """All behaviours of some readings."""
    return {behaviour for reading in found for behaviour in reading.behaviours}


def class_of(bits, sample_format):
    """The class of numbers that decoders treat alike."""
    form = {UNSIGNED: "unsigned", SIGNED: "signed", FLOAT: "float"}[sample_format]
    sizes = [(4, "up to 4"), (8, "8"), (14, "9 to 14"), (16, "16"), (32, "32"), (64, "64")]
    return f"{form} {next(name for most, name in sizes if bits <= most)}"


# TIFF --------------------------------------------------------------------------------------

KINDS = [(bits, UNSIGNED) for bits in (1, 2, 4, 8, 10, 12, 14, 16, 32)]
KINDS += [(8, SIGNED), (16, SIGNED), (32, SIGNED), (16, FLOAT), (32, FLOAT), (64, FLOAT)]
COLOURS = {
    "white is zero": (WHITE_IS_ZERO, 1, ()),
    "grey": (BLACK_IS_ZERO, 1, ()),
    "grey, alpha": (BLACK_IS_ZERO, 2, (2,)),
    "white is zero, alpha": (WHITE_IS_ZERO, 2, (2,)),
    "colours": (RGB, 3, ()),
    "colours, alpha": (RGB, 4, (2,)),
    "colours times alpha": (RGB, 4, (1,)),
    "colours, a band of no meaning": (RGB, 4, (0,)),
    "colours, alpha, a band": (RGB, 5, (2, 0)),
    "colours, two bands": (RGB, 5, (0, 0)),
    "grey, four bands": (BLACK_IS_ZERO, 5, (0, 0, 0, 0)),
    "five bands": (BLACK_IS_ZERO, 5, ()),
    "inks": (CMYK, 4, ()),
}
N_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, CMYK: 4}
COMPRESSIONS = {RAW: "no compression", LZW: "LZW", DEFLATE: "Deflate", PACKBITS: "PackBits"}
PACKINGS = [
    *[{"fill_order": order, "tile": side} for order in (1, 2) for side in (0, 16)],
    *[{"compression": name} for name in (LZW, DEFLATE, PACKBITS)],
    {"is_big": True},
    {"is_big": True, "compression": LZW, "tile": 16},
]


def packings(bits, sample_format):
    """Ways to store numbers, with the predictors that are defined for them."""
    predictor = OF_FLOATS if sample_format == FLOAT else OF_INTEGERS
    if bits in (8, 16, 32, 64):
        predicted = {"predictor": predictor, "compression": LZW}
        return [*PACKINGS, predicted, {**predicted, "compression": DEFLATE, "tile": 16}]
    return PACKINGS


def layouts(bits, sample_format):
    for (colours, how), packing in product(COLOURS.items(), packings(bits, sample_format)):
        photometric, bands, extra = how
        orders = "<>" if bits > 8 or packing.get("is_big") else "<"
        for order, separate in product(orders, (False, True) if bands > 1 else (False,)):
            layout = Layout(bits, photometric, sample_format, order, extra=extra, **packing)
            yield colours, bands, replace(layout, separate_planes=separate)


def said_by(layout, colours, given):
    """What the header says beside the class of numbers, and whether the user says more."""
    said = {
        colours: True,
        "big-endian": layout.order == ">",
        COMPRESSIONS[layout.compression]: True,
        "planes": layout.separate_planes,
        "bits reversed": layout.fill_order == 2,
        f"predictor {layout.predictor}": layout.predictor > 1,
        "tiles": bool(layout.tile),
        "BigTIFF": layout.is_big,
        "a range": given is not None,
    }
    return frozenset(name for name, is_said in said.items() if is_said)


def numbers_for(layout, bands, rng):
    """Numbers of shape (h, w, bands): of floats, grey levels of 0 to 255."""
    shape, n_colours = (H, W, bands), N_COLOURS[layout.photometric]
    if layout.sample_format == FLOAT:
        return rng.random(shape) * 255
    smallest = -(2 ** (layout.bits - 1)) if layout.sample_format == SIGNED else 0
    numbers = rng.integers(smallest, smallest + 2**layout.bits, shape)
    if layout.extra[:1] == (1,):
        opacity = numbers[..., n_colours : n_colours + 1] / (2**layout.bits - 1)
        numbers[..., :n_colours] = np.floor(numbers[..., :n_colours] * opacity)
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


def tiff_cases(bits, sample_format, seed=0):
    """Files, and the PIL images that Pillow makes of them."""
    rng, numbers_class = np.random.default_rng(seed), class_of(bits, sample_format)
    for colours, bands, layout in layouts(bits, sample_format):
        numbers = numbers_for(layout, bands, rng)
        data = tiff(numbers, layout)
        for given in RULES:
            said, meant = said_by(layout, colours, given), levels_of(numbers, layout, given)
            yield Case(TIFF, numbers_class, said, data, meant, given)
            image = opened_by_pillow(data)
            if image is not None:
                meant = meant_by_image(image, numbers, layout, given)
                yield Case(PIL_TIFF, numbers_class, said, image, meant, given)


def opened_by_pillow(data):
    """A PIL image, or None if Pillow refuses the file."""
    with suppress(OSError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tags that Pillow looks for in the wrong place
        return Image.open(io.BytesIO(data))
    return None


def meant_by_image(image, numbers, layout, given):
    """Grey levels of a PIL image, which keeps only the upper bytes of colours of 16 bits."""
    if layout.bits == 16 and image.mode[:1] not in ("I", "F"):
        return levels_of(numbers >> 8, replace(layout, bits=8), None)
    return levels_of(numbers, layout, given)


@cache
def tiff_readings(numbers_class):
    """All readings of TIFFs with a class of numbers."""
    kinds = [kind for kind in KINDS if class_of(*kind) == numbers_class]
    return [reading for kind in kinds for reading in readings(tiff_cases(*kind))]


NUMBERS = list(dict.fromkeys(class_of(*kind) for kind in KINDS))

# PNG ---------------------------------------------------------------------------------------

PNG_KINDS = [(bits, 0, 1) for bits in (1, 2, 4, 8, 16)]
PNG_KINDS += [(bits, colour, n) for bits in (8, 16) for colour, n in ((2, 3), (4, 2), (6, 4))]


def png_cases():
    for (bits, colour, bands), is_interlaced, given in product(PNG_KINDS, (False, True), RULES):
        if bits < 8 and is_interlaced:
            continue  # lines of each pass end within a byte, as in no file of the writer
        numbers = np.random.default_rng(bits).integers(0, 2**bits, (H, W, bands))
        written = numbers if bits >= 8 else packed(numbers[..., 0], bits)
        data = png(written, bits, colour, is_interlaced, width=W)
        ends = given if given and bits == 16 else (0, 2**bits - 1)
        said = {f"colour type {colour}": True, "interlaced": is_interlaced, "a range": given}
        meant = shown_png(numbers, bits, ends)
        yield Case(PNG, class_of(bits, UNSIGNED), _true(said), data, meant, given)


def packed(numbers, bits):
    return np.packbits((numbers[..., np.newaxis] >> np.arange(bits)[::-1] & 1).reshape(H, -1), 1)


def shown_png(numbers, bits, ends):
    if numbers.shape[2] % 2:
        return scaled(numbers, ends)
    opacity = numbers[..., -1:] / (2**bits - 1)
    return 255 + (scaled(numbers[..., :-1], ends) - 255) * opacity


def _true(said):
    return frozenset(name for name, is_said in said.items() if is_said)


# PGM and PPM -------------------------------------------------------------------------------

MAGICS, WHITES = ("P2", "P3", "P5", "P6"), (1, 15, 255, 256, 1023, 4095, 16383, 65535)


def netpbm_cases():
    for magic, white, given in product(MAGICS, WHITES, RULES):
        bands = 3 if magic in ("P3", "P6") else 1
        numbers = np.random.default_rng(white).integers(0, white + 1, (H, W, bands))
        ends = given if given and white > 255 else (0, white)
        said = {magic: True, "white": white not in (255, 65535), "a range": given}
        bits, data = 8 if white < 256 else 16, netpbm(magic, numbers, white)
        yield Case(
            NETPBM, class_of(bits, UNSIGNED), _true(said), data, scaled(numbers, ends), given
        )


def netpbm(magic, numbers, white):
    if magic in ("P2", "P3"):
        content = ("# a comment\n" + " ".join(map(str, numbers.ravel()))).encode()
    else:
        content = numbers.astype(">u2" if white > 255 else "u1").tobytes()
    return f"{magic} {W} {H} {white}\n".encode() + content


# JPEG 2000 ---------------------------------------------------------------------------------

JPEG2000 = Path(__file__).parent / "data" / "jpeg2000"


def jpeg_2000_cases():
    """Ramps from the smallest number to the largest."""
    for path, given in product(sorted(JPEG2000.iterdir()), RULES):
        sign, *sizes = re.match(r"([us])(\d+)_(\d)", path.name).groups()
        bits, bands = map(int, sizes)
        numbers = np.arange(H * W * bands) * (2**bits - 1) // (H * W * bands - 1)
        numbers = numbers.reshape(H, W, bands) - (2 ** (bits - 1) if sign == "s" else 0)
        ends = given if given and (bits > 8 or sign == "s") else (0, 2**bits - 1)
        said = {f"{bands} bands": True, path.suffix: True, "a range": given}
        numbers_class = class_of(bits, SIGNED if sign == "s" else UNSIGNED)
        meant = scaled(numbers, ends)
        yield Case(JPEG_2000, numbers_class, _true(said), path, meant, given)
