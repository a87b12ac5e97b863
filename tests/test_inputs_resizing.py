"""Resizing: one definition, against an independent one by matrices, and against Keras."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from skltransfer.inputs.images import resizing
from skltransfer.inputs.images.decoding import decode
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.resizing import draft_size, place, resize

SIZES = [
    ((24, 32), (22, 22)),
    ((45, 60), (22, 22)),
    ((5, 4), (22, 22)),
    ((1, 1), (8, 8)),
    ((100, 3), (7, 9)),
    ((22, 30), (22, 22)),
    ((22, 11), (22, 22)),
    ((2, 3), (5, 4)),
    ((64, 64), (1, 1)),
]


def noise(height, width, channels=3, seed=0):
    shape = (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def weights(n_in, n_out, start, stop):
    """Triangle filter, as wide as the step, of n_out samples between start and stop."""
    step = (stop - start) / n_out
    centres = start + (np.arange(n_out) + 0.5) * step
    distances = np.abs(np.arange(n_in) + 0.5 - centres[:, np.newaxis])
    triangle = np.maximum(0, 1 - distances / max(step, 1))
    return triangle / triangle.sum(axis=1, keepdims=True)


def by_matrices(image, size, how):
    (left, upper, right, lower), (top, before), (height, width) = place(image.shape[:2], size, how)
    rows = weights(image.shape[0], height, upper, lower)
    columns = weights(image.shape[1], width, left, right)
    resized = np.zeros((*size, 3))
    part = np.einsum("ij,jkc,lk->ilc", rows, image.astype(float), columns)
    resized[top : top + height, before : before + width] = part
    return resized


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(("source", "size"), SIZES)
def test_equals_the_triangle_filter(source, size, how):
    image = noise(*source)
    resized = resize(image, size, how)
    assert resized.dtype == np.float32
    assert resized.shape == (*size, 3)
    assert resized.flags.c_contiguous
    np.testing.assert_allclose(resized, by_matrices(image, size, how), atol=2e-4)


@pytest.mark.parametrize(("source", "size"), SIZES)
def test_agrees_with_keras(source, size):
    keras = pytest.importorskip("keras", reason="Keras is compared with")
    image = noise(*source).astype(np.float32)
    there = keras.ops.image.resize(image, size, interpolation="bilinear", antialias=True)
    # Keras computes the weights in single precision.
    np.testing.assert_allclose(
        resize(image, size), keras.ops.convert_to_numpy(there), atol=5e-3, rtol=0
    )


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
def test_bits_depend_on_neither_dtype_nor_memory_layout(how):
    image = noise(40, 31)
    expected = resize(image, (22, 24), how)
    for same in (image.astype(np.float32), np.asfortranarray(image), image[::-1].copy()[::-1]):
        np.testing.assert_array_equal(resize(same, (22, 24), how), expected)


def test_grey_equals_three_equal_channels():
    grey = noise(40, 31, 1)
    for size in [(22, 24), (40, 31)]:
        np.testing.assert_array_equal(resize(grey, size), resize(np.repeat(grey, 3, 2), size))


@pytest.mark.parametrize(("source", "size"), SIZES)
def test_agrees_with_pillow(source, size):
    image = noise(*source)
    bands = [Image.fromarray(band).convert("F") for band in np.moveaxis(image, -1, 0)]
    there = [band.resize(size[::-1], Image.Resampling.BILINEAR) for band in bands]
    np.testing.assert_allclose(resize(image, size), np.stack(there, axis=-1), atol=2e-4, rtol=0)


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(("source", "size"), [*SIZES, ((300, 8), (20, 20)), ((301, 7), (5, 9))])
def test_bits_do_not_depend_on_how_many_rows_are_taken_at_a_time(monkeypatch, source, size, how):
    image = noise(*source)
    whole = resize(image, size, how)
    for together in [0, 40, source[0] * source[1] - 1]:
        monkeypatch.setattr(resizing, "_PIXELS_TOGETHER", together)
        np.testing.assert_array_equal(resize(image, size, how), whole)


def test_nothing_is_done_at_the_wanted_size():
    image = noise(22, 24).astype(np.float32)
    assert np.shares_memory(resize(image, (22, 24)), image)


def test_threads_change_no_bit():
    images = [noise(40, 31, seed=seed) for seed in range(32)]
    with ThreadPoolExecutor(8) as pool:
        threaded = list(pool.map(lambda image: resize(image, (22, 24)), images))
    for image, resized in zip(images, threaded, strict=True):
        np.testing.assert_array_equal(resize(image, (22, 24)), resized)


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(22, 24), (24, 22), (3, 50)])
def test_a_transposed_image_gives_a_transposed_result(how, size):
    image = noise(40, 31)
    turned = resize(image.swapaxes(0, 1), size[::-1], how).swapaxes(0, 1)
    np.testing.assert_allclose(resize(image, size, how), turned, atol=1e-3)


def test_crop_takes_the_exact_central_box():
    assert place((30, 41), (10, 10), "crop").box == (5.5, 0.0, 35.5, 30.0)
    assert place((41, 30), (10, 10), "crop").box == (0.0, 5.5, 30.0, 35.5)
    left, upper, right, lower = place((100, 70), (30, 17), "crop").box
    assert (upper, lower) == (0.0, 100.0)
    assert (left, right) == pytest.approx((35 - 100 * 17 / 60, 35 + 100 * 17 / 60))


def test_crop_of_the_same_aspect_ratio_is_stretch():
    image = noise(30, 60)
    np.testing.assert_array_equal(resize(image, (10, 20), "crop"), resize(image, (10, 20)))


def test_pad_centres_the_image_on_black():
    white = np.full((10, 20, 3), 255, np.uint8)
    padded = resize(white, (9, 8), "pad")
    np.testing.assert_allclose(padded[2:6], 255, atol=1e-4)
    np.testing.assert_array_equal(padded[:2], 0)
    np.testing.assert_array_equal(padded[6:], 0)


def test_pad_keeps_a_sliver_of_the_thinnest_image():
    assert resize(np.full((1, 500, 3), 255, np.uint8), (8, 8), "pad").max() > 254.999


@pytest.mark.parametrize("source", [(3, 1000), (100, 333), (333, 100), (64, 65), (1, 1), (40, 64)])
def test_within_keeps_proportions_fills_all_of_its_result_and_enlarges_nothing(source):
    image = np.full((*source, 3), 200, np.uint8)
    shown = resize(image, (64, 64), "within")
    np.testing.assert_allclose(shown, 200, atol=1e-4)
    share = min(1, 64 / max(source))
    assert shown.shape[:2] == tuple(max(1, round(side * share)) for side in source)
    np.testing.assert_array_equal(shown, decode(image, ImagePreprocessing((64, 64), "within"), 0))


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
def test_a_uniform_image_stays_uniform(how):
    grey = np.full((37, 37, 3), 200, np.uint8)
    np.testing.assert_allclose(resize(grey, (16, 16), how), 200, atol=1e-4)


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="resize='zoom' is not one of 'stretch', 'crop' and 'pad'"):
        resize(noise(4, 4), (2, 2), "zoom")


@pytest.mark.parametrize(
    ("source", "size", "how", "fraction"),
    [
        ((64, 64), (32, 32), "stretch", 2),
        ((63, 64), (32, 32), "stretch", 1),
        ((64, 640), (32, 32), "stretch", 2),
        ((64, 640), (32, 32), "crop", 2),
        ((64, 640), (32, 32), "pad", 8),
        ((128, 127), (32, 32), "stretch", 2),
        ((128, 128), (32, 32), "stretch", 4),
        ((999, 999), (32, 32), "stretch", 8),
        ((31, 31), (32, 32), "stretch", 1),
        ((101, 75), (16, 16), "crop", 4),
        ((5, 5), (1, 1), "stretch", 4),
    ],
)
def test_jpegs_are_decoded_at_the_fitting_fraction(source, size, how, fraction):
    file = io.BytesIO()
    Image.fromarray(noise(*source)).save(file, "JPEG")
    image = Image.open(file)
    image.draft(None, draft_size(source, size, how)[::-1])
    image.load()
    assert image.size == (-(-source[1] // fraction), -(-source[0] // fraction))
    # and that is what is resized
    decoded = decode(file.getvalue(), ImagePreprocessing(size, how), 0)
    np.testing.assert_array_equal(decoded, resize(np.asarray(image), size, how))


def test_the_orientation_is_taken_into_account_for_the_fraction():
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(64, 30)).save(file, "JPEG", exif=exif)
    image = Image.open(file)
    image.draft(None, (10, 30))
    assert image.size == (15, 32)
    upright = np.rot90(np.asarray(image), -1)
    decoded = decode(file.getvalue(), ImagePreprocessing((10, 30)), 0)
    np.testing.assert_array_equal(decoded, resize(upright, (10, 30)))
