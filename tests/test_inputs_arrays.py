"""Numeric arrays, the scale contract, and X as a source of images."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import time
import warnings
from importlib.metadata import version

import numpy as np
import pytest
from PIL import Image

from skltransfer.augmentation.viewed_source import ViewedSource
from skltransfer.inputs import digests, reading
from skltransfer.inputs.errors import ImageReadError
from skltransfer.inputs.images.arrays import ValueRange, check_scale, decide_pixel_range
from skltransfer.inputs.images.encoding import EncodedImages
from skltransfer.inputs.images.preprocessing import ImagePreprocessing, decoder_fingerprint
from skltransfer.inputs.images.recognition import looks_like_images
from skltransfer.inputs.images.taking import read_images
from skltransfer.inputs.images.views import flip

RULE = ImagePreprocessing((6, 9), pixel_range=(0, 255))
SMALLER = ImagePreprocessing((4, 5), pixel_range=(0, 255))
X = np.random.default_rng(0).integers(0, 256, (5, 6, 9, 3), dtype=np.uint8)


def encode(array, file_format="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, file_format, **options)
    return file.getvalue()


def all_pixels(source, rule):
    out = np.full((len(source), *rule.size, 3), np.nan, np.float32)
    source.load_block(range(len(source)), rule, out)
    one_by_one = np.stack([source.load(i, rule) for i in range(len(source))])
    np.testing.assert_array_equal(out, one_by_one)
    return out


@pytest.fixture
def paths(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(len(X))]
    for file, image in zip(files, X, strict=True):
        file.write_bytes(encode(image))
    return files


# The scale contract ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 200], np.uint8), (0, 255)),
        (np.array([0, 127], np.int8), (0, 255)),
        (np.array([0, 255], np.int64), (0, 255)),
        (np.array([0, 255], np.uint32), (0, 255)),
        (np.array([0, 60000], np.uint16), (0, 65535)),
        (np.array([0, 60000], ">u2"), (0, 65535)),
        (np.array([False, True]), (0, 1)),
        (np.array([0.0, 1.0]), (0, 1)),
        (np.array([0.0, 0.3], np.float16), (0, 1)),
        (np.array([0.0, 0.0]), (0, 1)),
        (np.array([0.0, 255.0]), (0, 255)),
        (np.array([0.0, 32.5]), (0, 255)),
        (np.array([0, 0], np.uint8), (0, 255)),
        (None, (0, 255)),
        ((), (0, 255)),
        ((ValueRange("float", 0, 200), ValueRange("integer", 0, 255)), (0, 255)),
        ((ValueRange("bool", 0, 1), ValueRange("float", 0, 1)), (0, 1)),
    ],
)
def test_the_rule_of_the_scale(values, expected):
    assert decide_pixel_range(values) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.array([-2.1, 2.6]),
            r"negative values, down to -2\.1 .*already preprocessed.*\(-1, 1\)",
        ),
        (np.array([-1, 5]), "negative values, down to -1"),
        (np.array([0.0, 1.5]), r"float values up to 1\.5, too much for images of 0 to 1 and too "),
        (np.array([0.0, 255.5]), r"float values up to 255\.5, above 255.* pixel_range=\(0, 4095\)"),
        (np.array([0, 4095]), "integer values up to 4095, above 255, so its scale is not known"),
        (
            (ValueRange("float", 0, 1), ValueRange("integer", 0, 255)),
            r"mixes arrays on different scales: float arrays \(up to 1, read as 0 to 1\) and "
            r"integer arrays \(up to 255, read as 0 to 255\)\. Convert them to one dtype",
        ),
    ],
)
def test_scales_that_cannot_be_told_are_errors_that_name_pixel_range(values, message):
    with pytest.raises(ValueError, match=message) as caught:
        decide_pixel_range(values)
    assert "pixel_range" in str(caught.value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert decide_pixel_range(values, (-3, 5000)) == (-3, 5000)


@pytest.mark.parametrize(
    ("values", "likely"),
    [
        (np.array([0.0, 16.0]), r"pixel_range=\(0, 16\)"),  # load_digits
        (np.array([0, 16], np.uint8), r"pixel_range=\(0, 16\)"),
        (np.array([0.0, 1.0001]), r"up to 1\.0001 and is read as 0 to 1\. .* are clipped"),
        (np.array([0.0, 32.0]), r"pixel_range=\(0, 32\)"),
        (np.array([0, 4095], np.uint16), r"pixel_range=\(0, 4095\)"),
        (np.array([0.0, 0.1]), "read as 0 to 1, which makes the images nearly black"),
    ],
)
def test_a_scale_that_is_likely_another_one_warns(values, likely):
    with pytest.warns(UserWarning, match=likely):
        chosen = decide_pixel_range(values)
    # and the way out that the warning names silences it
    assert decide_pixel_range(values, chosen) == chosen
    assert decide_pixel_range(values, (0, float(values.max()))) == (0, values.max())


@pytest.mark.parametrize(
    "pixel_range", [(1, 0), (0, 0), (0,), (0, 1, 2), (0, np.inf), (np.nan, 1), "ab", 255, [None, 1]]
)
def test_a_wrong_pixel_range_is_refused(pixel_range):
    with pytest.raises(ValueError, match=r"pixel_range=.* is not allowed: give two finite numbers"):
        decide_pixel_range(X, pixel_range)


@pytest.mark.parametrize(
    ("values", "pixel_range"),
    [
        (X, (0, 255)),
        (np.array([0.0, 1.0]), (0, 1)),
        (np.array([-0.05, 1.08]), (0, 1)),  # interpolation overshoots
        (np.array([0.0, 0.0]), (0, 255)),
        (np.array([0.0, 2.0]), (0, 255)),
        (np.array([0, 300], np.uint16), (0, 65535)),
        ((), (0, 1)),
    ],
)
def test_the_scale_of_fit_is_silent(values, pixel_range):
    check_scale(values, pixel_range)


@pytest.mark.parametrize(
    ("values", "pixel_range"),
    [
        (X, (0, 1)),
        (np.array([0.0, 1.0]), (0, 255)),
        (np.array([False, True]), (0, 255)),
        (X, (0, 65535)),
        (np.array([0, 60000], np.uint16), (0, 255)),
        (np.array([-1.0, 1.0]), (0, 1)),
        (np.array([0.0, 255.0]), (-1, 1)),
    ],
)
def test_plainly_another_scale_at_predict_warns(values, pixel_range):
    with pytest.warns(
        UserWarning, match=r"seem to be on another scale.* give pixel_range=\(low, high"
    ):
        check_scale(values, pixel_range)


# What counts as images -------------------------------------------------------------------


def frames_and_series(column):
    pandas = pytest.importorskip("pandas", reason="a pandas frame is read")
    polars = pytest.importorskip("polars", reason="a polars frame is read")
    yield pandas.Series(column, index=range(10, 10 + len(column)))
    yield pandas.Series(column, dtype="object")
    yield pandas.DataFrame({"image": column})
    yield polars.Series("image", column)
    yield polars.DataFrame({"image": column})


def as_images(paths):
    """The same images as paths, in every container and kind."""
    names = [str(path) for path in paths]
    encoded = [path.read_bytes() for path in paths]
    mixed = [names[0], paths[1], encoded[2], Image.fromarray(X[3]), X[4]]
    objects = np.empty(len(X), object)
    objects[:] = mixed
    yield names
    yield tuple(paths)
    yield encoded
    yield [bytearray(item) for item in encoded]
    yield [Image.fromarray(image) for image in X]
    yield list(X)
    yield mixed
    yield objects
    yield objects[:, np.newaxis]
    yield np.array(names)
    yield np.array(names)[:, np.newaxis]
    yield np.array(names, object)
    yield from frames_and_series(names)
    yield from frames_and_series(encoded)


@pytest.mark.parametrize("rule", [RULE, SMALLER])
def test_the_same_images_give_the_same_bits_from_everywhere(paths, rule):
    expected = all_pixels(read_images(X), rule)
    rows = read_images(X.reshape(len(X), -1), image_shape=(6, 9, 3))
    np.testing.assert_array_equal(all_pixels(rows, rule), expected)
    for images in as_images(paths):
        assert looks_like_images(images)
        source = read_images(images)
        assert (source.n_features, len(source)) == (1, 5)
        np.testing.assert_array_equal(all_pixels(source, rule), expected)
        source.check_paths()


@pytest.mark.parametrize(
    ("array", "pixel_range", "n_features"),
    [
        (X, (0, 255), 162),
        (X[..., :2], (0, 255), 108),
        (X[..., :1], (0, 255), 54),
        (X[..., 0], (0, 255), 54),
        (X.astype(np.int64), (0, 255), 162),
        (X / 255, (0, 1), 162),
        (X.astype(np.uint16) * 257, (0, 65535), 162),
        (X > 127, (0, 1), 162),
        (np.asfortranarray(X), (0, 255), 162),
        (X[:, ::2, ::-1], (0, 255), 81),
    ],
)
@pytest.mark.parametrize("size", [(6, 9), (3, 9), (4, 5)])
def test_arrays_are_read_alike_whole_and_row_by_row(array, pixel_range, n_features, size):
    rule = ImagePreprocessing(size, pixel_range=pixel_range)
    source = read_images(array)
    assert source.n_features == n_features
    pixels = all_pixels(source, rule)
    np.testing.assert_array_equal(pixels, all_pixels(read_images(list(array)), rule))
    if array.ndim == 4:
        rows = read_images(array.reshape(len(array), -1), image_shape=array.shape[1:])
        assert rows.n_features == source.n_features
        np.testing.assert_array_equal(pixels, all_pixels(rows, rule))


def test_sixteen_bit_arrays_equal_sixteen_bit_files():
    deep = np.random.default_rng(1).integers(0, 65536, (3, 6, 9), dtype=np.uint16)
    files = [encode(image) for image in deep]
    for size in [(6, 9), (4, 5)]:
        rule = ImagePreprocessing(size, pixel_range=(0, 65535))
        expected = all_pixels(read_images(deep), rule)
        np.testing.assert_array_equal(all_pixels(read_images(files), rule), expected)


def test_memory_mapped_arrays_and_other_array_likes(tmp_path):
    np.save(tmp_path / "x.npy", X)
    expected = all_pixels(read_images(X), RULE)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(all_pixels(read_images(mapped), RULE), expected)
    np.testing.assert_array_equal(all_pixels(read_images(X.tolist()), RULE), expected)
    np.testing.assert_array_equal(all_pixels(read_images(X.astype(object)), RULE), expected)


def test_sizes_may_differ_between_items():
    images = [X[0], X[1, :3], X[2, :, :, 0], np.zeros((1, 1), np.uint8)]
    assert all_pixels(read_images(images), SMALLER).shape == (4, 4, 5, 3)


def test_the_last_of_three_dimensions_is_always_a_width():
    narrow = X[..., 0, :]  # (5, 6, 3): five grey images, three pixels wide
    assert read_images(narrow).n_features == 18
    np.testing.assert_array_equal(
        all_pixels(read_images(narrow), ImagePreprocessing((6, 3)))[..., 1], narrow
    )


NO_IMAGES = {
    "rows of numbers": np.zeros((4, 10)),
    "one column of numbers": np.zeros((4, 1)),
    "rows of objects that are numbers": np.zeros((4, 10), object),
    "one column of objects that are numbers": np.zeros((4, 1), object),
    "1-D numbers": np.zeros(4),
    "1-D objects that are numbers": np.zeros(4, object),
    "0-D": np.array(3.0),
    "lists of numbers": [[1.0, 2.0], [3.0, 4.0]],
    "a list of numbers": [1.0, 2.0],
    "a list of 1-D arrays": [np.zeros(3), np.zeros(3)],
    "several columns of text": np.array([["a", "b"], ["c", "d"]]),
    "several columns of objects": np.array([["a", 1], ["c", 2]], object),
    "dates": np.zeros(4, "datetime64[s]"),
    "an empty list": [],
    "missing values only": [None, None],
    "a dict": {"a": 1},
    "None": None,
    "a number": 3,
    "a generator": (row for row in [1, 2]),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_images_is_left_to_others(name):
    assert not looks_like_images(NO_IMAGES[name])
    with pytest.raises((TypeError, ValueError)):
        read_images(NO_IMAGES[name])


def test_frames_and_sparse_matrices_of_numbers_are_left_to_others():
    sparse = pytest.importorskip("scipy.sparse", reason="scikit-learn brings SciPy")
    for column in frames_and_series([1.5, 2.5]):
        assert not looks_like_images(column)
    for width in [1, 3]:
        assert not looks_like_images(sparse.csr_matrix(np.eye(3)[:, :width]))
        assert not looks_like_images(sparse.csr_array(np.eye(3)[:, :width]))
    pandas = pytest.importorskip("pandas", reason="a pandas frame is read")
    assert not looks_like_images(pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert not looks_like_images(pandas.DataFrame({"a": pandas.array([1, None], dtype="Int64")}))


REFUSED = {
    "a single path": ("cat.jpg", None, TypeError, r"one single image. Pass a list: \[X\]"),
    "single bytes": (b"123", None, TypeError, "images_from_folder"),
    "a single image": (Image.new("L", (2, 2)), None, TypeError, "a PIL image of mode L, 2x2, one"),
    "no images": (np.zeros((0, 4, 4, 3)), None, ValueError, r"0 sample\(s\) \(shape=\(0, 4"),
    "no items": ([], None, ValueError, r"Found array with 0 sample\(s\) \(shape=\(0,\)\)"),
    "channels first": (np.zeros((2, 3, 9, 8)), None, ValueError, r"np\.moveaxis\(X, 1, -1\)"),
    "5 channels": (np.zeros((2, 9, 8, 5)), None, ValueError, "5 channels are not an image"),
    "5-D": (np.zeros((2, 2, 9, 8, 3)), None, ValueError, r"images are \(n, h, w, channels\) or"),
    "no width": (np.zeros((2, 9, 0)), None, ValueError, "needs at least one pixel"),
    "complex": (np.zeros((2, 9, 8), complex), None, TypeError, "X is an array of dtype complex128"),
    "text in 3-D": (np.full((2, 2, 2), "a"), None, TypeError, "X is an array of dtype <U1"),
    "ragged": ([[[1, 2], [3]], [[1, 2], [3, 4]]], None, ValueError, "parts differ in length"),
    "a number among paths": (["a.jpg", 3], None, TypeError, "row 1 of X is a int: 3. Allowed are"),
    "a 1-D array among images": (
        [X[0], X[0, 0, 0]],
        None,
        ValueError,
        r"row 1 has shape \(3,\), but an image",
    ),
    "channels first in a list": (
        [X[0], np.zeros((3, 9, 8))],
        None,
        ValueError,
        r"row 1 has shape \(3, 9, 8\)\. Its channels come first; put them last: np\.moveaxis",
    ),
    "rows without image_shape": (np.zeros((2, 12)), None, TypeError, r"image_shape=\(h, w\) or"),
    "a dict in a list": ([b"", {}], None, TypeError, "row 1 of X is a dict"),
    "too narrow": (
        np.zeros((2, 12)),
        (2, 5),
        ValueError,
        r"X has 12 columns, but image_shape=\(2, 5\) needs 2x5 = 10\.$",
    ),
    "three channels meant": (
        np.zeros((2, 12)),
        (2, 2),
        ValueError,
        r"needs 2x2 = 4\. Did you mean image_shape=\(2, 2, 3\)\?",
    ),
    "1-D with image_shape": (np.zeros(12), (2, 2), ValueError, "is for 2-D rows of numbers"),
    "no rows": (np.zeros((0, 4)), (2, 2), ValueError, "while a minimum of 1 is required"),
    "image_shape 1-D": (np.zeros((2, 4)), (4,), ValueError, r"image_shape=\(4,\) is not allowed"),
    "image_shape 4-D": (np.zeros((2, 4)), (1, 2, 2, 1), ValueError, "is not allowed: give"),
    "image_shape of 5 channels": (np.zeros((2, 20)), (2, 2, 5), ValueError, "1 to 4 channels"),
    "image_shape of nothing": (np.zeros((2, 4)), (0, 4), ValueError, "in positive integers"),
    "image_shape of floats": (np.zeros((2, 4)), (2.0, 2), ValueError, "in positive integers"),
    "image_shape of a bool": (np.zeros((2, 4)), (True, 4), ValueError, "in positive integers"),
    "image_shape a number": (np.zeros((2, 4)), 4, ValueError, "image_shape=4 is not allowed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_message_that_says_what_to_do(name):
    given, image_shape, error, message = REFUSED[name]
    with pytest.raises(error, match=message) as caught:
        read_images(given, image_shape=image_shape)
    assert not isinstance(caught.value, ImageReadError)


def test_image_shape_is_without_effect_on_what_speaks_for_itself():
    assert read_images(X, image_shape=(2, 2)).n_features == 162
    assert read_images(["a.jpg"], image_shape=(2, 2)).n_features == 1


def test_missing_values_are_rows_that_cannot_be_read(paths):
    pandas = pytest.importorskip("pandas", reason="its missing values are read")
    columns = [
        [str(paths[0]), None],
        [str(paths[0]), float("nan")],
        pandas.Series([str(paths[0]), None]),
        pandas.Series([str(paths[0]), pandas.NA], dtype="string"),
        pandas.Series([str(paths[0]), pandas.NaT], dtype=object),
    ]
    for column in columns:
        source = read_images(column)
        source.load(0, RULE)
        for fails in [
            source.check_paths,
            lambda s=source: s.load(1, RULE),
            lambda s=source: s.digest(1),
        ]:
            with pytest.raises(ImageReadError, match=r"row 1 \(a missing value\) .* no value"):
                fails()


# Ranges, rows and messages -----------------------------------------------------------------


def test_the_ranges_of_arrays_by_family():
    assert read_images(["a.jpg", b"x"]).range_summary() == ()
    assert read_images(X / 255).range_summary() == (ValueRange("float", 0.0, 1.0),)
    mixed = [X[0], X[1] / 510, np.full((2, 2), -3), np.eye(2, dtype=bool), "a.jpg"]
    bools, floats, integers = read_images(mixed).range_summary()
    assert bools == ValueRange("bool", 0.0, 1.0)
    assert (floats.family, floats.high) == ("float", X[1].max() / 510)
    assert integers == ValueRange("integer", -3.0, float(X[0].max()))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("as_list", [False, True])
def test_nan_and_infinity_raise_and_name_the_row(number, as_list):
    images = np.zeros((200, 2, 3), np.float32)
    images[130, 1, :2] = number
    source = read_images(list(images) if as_list else images)
    what = "NaN" if np.isnan(number) else "infinity"
    with pytest.raises(ValueError, match=rf"X contains {what}: 2 values of row 130\."):
        source.range_summary()
    with pytest.raises(ValueError, match="of row 130"):
        source.take([3, 130]).range_summary()
    source.take([3, 131]).range_summary()


def test_taken_rows_keep_their_numbers_and_copy_nothing(paths):
    for whole in [read_images(X), read_images(paths)]:
        part = whole.take([4, 1, 1])
        assert (len(part), part.n_features) == (3, whole.n_features)
        np.testing.assert_array_equal(part.load(0, RULE), whole.load(4, RULE))
        np.testing.assert_array_equal(all_pixels(part, RULE)[2], X[1])
        assert part.digest(1) == whole.digest(1)
        assert len(whole) == 5
        np.testing.assert_array_equal(part.take([2]).load(0, RULE), X[1])
        assert len(whole.take([])) == 0
        assert len(whole.take(np.array([True, False, True, False, False]))) == 2
    assert np.shares_memory(read_images(X).take([1])._images, X)


def test_missing_files_are_found_before_any_is_read(paths):
    broken = [*paths, "gone/1.jpg", b"no image", "gone/2.jpg", "http://x.org/3.jpg"]
    source = read_images(broken)
    with pytest.raises(
        ImageReadError,
        match=r"row 5 \('gone/1\.jpg'\) .*no such file.* Of 9 rows, 3 have no file\.",
    ) as caught:
        source.check_paths()
    assert (caught.value.row, caught.value.source) == (5, "gone/1.jpg")
    with pytest.raises(ImageReadError, match=r"row 8 .* it is a URL.* Download it first\.$"):
        source.take([0, 8]).check_paths()


def test_errors_name_the_row_of_the_x_handed_over(paths):
    source = read_images([*paths, b"no image"]).take([5, 0])
    with pytest.raises(ImageReadError, match="row 5") as caught:
        source.load(0, RULE)
    assert caught.value.row == 5


def test_loaded_pixels_are_the_callers_own():
    for images in [X.astype(np.float32), X]:
        before = images.copy()
        source = read_images(images)
        source.load(0, RULE)[:] = -1
        np.testing.assert_array_equal(images, before)


def test_rows_beyond_a_block_are_left_alone():
    out = np.full((8, 6, 9, 3), 7, np.float32)
    read_images(X).load_block([2, 0], RULE, out)
    np.testing.assert_array_equal(out[:2], X[[2, 0]])
    assert (out[2:] == 7).all()
    read_images(X).load_block([], RULE, out)


def test_sources_travel_between_processes(paths):
    for source in [read_images(X), read_images([*paths, b"x", Image.fromarray(X[0]), X[1]])]:
        copy = pickle.loads(pickle.dumps(source.take([1, 2])))
        np.testing.assert_array_equal(all_pixels(copy, RULE), X[1:3])
        assert copy.digest(0) == source.digest(1)


# Digests -----------------------------------------------------------------------------------


def test_equal_content_has_equal_digests(paths):
    array, rows = read_images(X), read_images(X.reshape(5, -1), image_shape=(6, 9, 3))
    items = read_images(list(np.asfortranarray(X)))
    files, encoded = read_images(paths), read_images([path.read_bytes() for path in paths])
    views = read_images([memoryview(path.read_bytes()[::-1])[::-1] for path in paths])
    images = read_images([Image.fromarray(image) for image in X])
    lazy = read_images([Image.open(path) for path in paths])
    for i in range(len(X)):
        assert array.digest(i) == rows.digest(i) == items.digest(i)
        assert files.digest(i) == encoded.digest(i) == views.digest(i)
        assert images.digest(i) == lazy.digest(i)


def test_different_content_has_different_digests():
    grey = X[0, :, :, 0]
    palette = Image.fromarray(grey).convert("P")
    other_palette = palette.copy()
    other_palette.putpalette(bytes(range(256)) * 3)
    turned = Image.fromarray(grey)
    turned.getexif()[0x0112] = 3
    contents = [
        *X,
        X[0].astype(np.int16),
        X[0].swapaxes(0, 1),
        grey,
        grey.reshape(9, 6),
        encode(grey),
        grey.tobytes(),
        Image.fromarray(grey),
        turned,
        palette,
        other_palette,
        Image.fromarray(grey.astype(np.float32)),
    ]
    source = read_images(contents)
    found = [source.digest(i) for i in range(len(source))]
    assert len(set(found)) == len(contents)
    assert {len(digest) for digest in found} == {32}


def test_unreadable_rows_have_no_digest():
    lab = Image.new("LAB", (2, 2))
    for row in ["gone.jpg", lab, Image.open(io.BytesIO(encode(X[0])[:100]))]:
        with pytest.raises(ImageReadError, match="row 0"):
            read_images([row]).digest(0)


@pytest.fixture
def reads(monkeypatch):
    """The files that digests were computed of."""
    seen = []

    whole = hashlib.file_digest

    def counted(file, kind):
        seen.append(file.name)
        return whole(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return seen


def make_old(path, seconds=60):
    past = time.time() - seconds
    os.utime(path, (past, past))


def test_an_unchanged_file_is_read_once(paths, reads):
    known = reading.FileDigests()
    make_old(paths[0])
    assert known.digest(paths[0], 0) == known.digest(str(paths[0]), 0)
    assert len(reads) == 1


def test_a_row_still_has_its_digest_until_its_file_changes(paths):
    sources = [read_images([*paths[:2], encode(X[2]), X[3]])]
    sources.append(ViewedSource(EncodedImages(sources[0], RULE), flip, "flip", 1, (0,)))
    digests_of = [[source.digest(i) for i in range(4)] for source in sources]

    def kept():
        pairs = zip(sources, digests_of, strict=True)
        return [[source.still_has(i, d) for i, d in enumerate(known)] for source, known in pairs]

    assert kept() == [[True] * 4] * 2
    os.replace(paths[2], paths[0])
    paths[1].unlink()
    assert kept() == [[False, False, True, True]] * 2


def test_a_file_just_written_is_read_again(paths, reads):
    known = reading.FileDigests()
    known.digest(paths[0], 0)
    known.digest(paths[0], 0)
    assert len(reads) == 2


def test_a_changed_file_has_another_digest(paths):
    known = reading.FileDigests()
    make_old(paths[0])
    before = known.digest(paths[0], 0)
    size = paths[0].stat().st_size
    paths[0].write_bytes(b"x" * size)
    assert known.digest(paths[0], 0) != before
    # also when its times are set back, as copying tools do
    make_old(paths[0])
    assert known.digest(paths[0], 0) == digests.digest_encoded(b"x" * size)


def test_a_deleted_file_has_no_remembered_digest(paths):
    known = reading.FileDigests()
    make_old(paths[0])
    known.digest(paths[0], 0)
    paths[0].unlink()
    with pytest.raises(ImageReadError, match="no such file"):
        known.digest(paths[0], 0)


def test_remembered_files_are_bounded(paths, reads):
    known = reading.FileDigests(capacity=2)
    for path in paths[:3]:
        make_old(path)
        known.digest(path, 0)
    known.digest(paths[2], 0)
    assert len(reads) == 3
    known.digest(paths[0], 0)
    assert len(reads) == 4


@pytest.fixture
def looks(monkeypatch):
    """Names of files whose status was asked for."""
    seen, status = [], os.stat

    def counted(path, **options):
        seen.append(os.fspath(path))
        return status(path, **options)

    monkeypatch.setattr(os, "stat", counted)
    return seen


def test_a_file_that_was_just_checked_is_not_looked_at_again(paths, looks):
    for path in paths:
        make_old(path)
    read_images(paths).take([0]).digest(0)
    looks.clear()
    source = read_images(paths).take([1, 0])
    source.check_paths()
    expected = read_images(paths).digest(0)
    assert looks.count(str(paths[0])) == 2
    assert source.take([1]).digest(0) == expected
    assert looks.count(str(paths[0])) == 2
    assert source.digest(1) == expected
    assert looks.count(str(paths[0])) == 3


def test_a_file_that_was_checked_long_ago_is_looked_at_again(paths, monkeypatch):
    make_old(paths[0])
    source = read_images(paths)
    before = source.digest(0)
    source.check_paths()
    paths[0].write_bytes(b"x" * paths[0].stat().st_size)
    long_since = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: long_since)
    assert source.digest(0) != before


def test_values_are_looked_through_once(monkeypatch):
    images = np.arange(5 * 6 * 9 * 3, dtype=np.uint8).reshape(5, 6, 9, 3)
    source = read_images(images)
    whole = source.range_summary()
    with monkeypatch.context() as patched:
        patched.setattr(type(source), "_ranges", lambda self: pytest.fail("it was known"))
        assert source.range_summary() == whole
    assert source.take([0]).range_summary()[0].high < whole[0].high


def test_the_decoder_is_fingerprinted():
    for library in ["pillow", "scipy"]:
        assert f"{library} {version(library)}" in decoder_fingerprint()
    assert decoder_fingerprint() == decoder_fingerprint()


def test_the_fingerprint_is_the_same_whatever_was_imported_before(in_fresh_process):
    """Processes of one search import in another order, and some libraries bring their own zlib."""
    module = "skltransfer.inputs.images.preprocessing"
    script = f"from {module} import decoder_fingerprint as name; print(name())"
    alone, _ = in_fresh_process(script)
    behind_others, _ = in_fresh_process(f"import h5py, pandas; {script}")
    assert alone == behind_others
