"""How X is read: which X is refused, and how rows of plain numbers become images."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.utils import Bunch

from skltransfer import PretrainedFeatureExtractor, register_backbone
from skltransfer.inputs.rows.encoding import TabularSource
from skltransfer.inputs.rows.layout import TabularToImage, looks_flattened

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(6, 5))


@pytest.fixture
def extractor(tiny):
    return PretrainedFeatureExtractor(tiny)


# What is refused ---------------------------------------------------------------------------

MASKED = np.ma.masked_greater(RNG.integers(0, 256, (2, 8, 8)), 250)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([], ValueError, "Found array with 0 sample(s) (shape=(0,)) while a minimum"),
        ((), ValueError, "Found array with 0 sample(s) (shape=(0,)) while a minimum"),
        (np.empty((0, 8, 8, 3)), ValueError, "Found array with 0 sample(s) (shape=(0, 8, 8, 3))"),
        (np.empty((0, 5)), ValueError, "Found array with 0 sample(s) (shape=(0, 5))"),
        (np.array([], dtype=object), ValueError, "Found array with 0 sample(s) (shape=(0,))"),
        (np.zeros((2, 8, 8, 5)), ValueError, "5 channels are not an image"),
        ([np.zeros((8, 8, 3)), np.zeros((8, 8, 5))], ValueError, "row 1 has shape (8, 8, 5)"),
        (np.zeros((2, 3, 8, 8)), ValueError, "Its channels come first; put them last"),
        (np.zeros((2, 1, 8, 8, 3)), ValueError, "X has shape (2, 1, 8, 8, 3), but images are"),
        (np.full((2, 8, 8), np.inf), ValueError, "contains infinity: 64 values of row 0"),
        (np.full((2, 5), np.nan), ValueError, "Input X contains NaN"),
        (np.zeros((2, 8, 8), complex), TypeError, "X is an array of dtype complex128"),
        (np.array([[["a"]]]), TypeError, "X is an array of dtype <U1"),
        ([["a", "b"]], ValueError, "X has 2 columns, and column 0 holds images"),
        ({"data": 1}.values(), TypeError, "X is a dict_values, which is neither an array"),
        (np.zeros(8), ValueError, "Expected 2D array, got 1D array instead"),
        (Bunch(data=["cat.jpg"]), TypeError, "X is a Bunch, which is neither an array nor a list"),
        (iter(["cat.jpg"]), TypeError, "a list of images. Pass list(X)."),
        ({"cat.jpg"}, TypeError, "X is a set, which is neither an array"),
        ("cat.jpg", TypeError, "X is 'cat.jpg', one single image. Pass a list: [X]"),
        (b"\x89PNG", TypeError, "one single image"),
        (["cat.jpg", 3], TypeError, "row 1 of X is a int: 3"),
        (["cat.jpg", None], ValueError, "row 0 ('cat.jpg') cannot be read as an image"),
        (MASKED, ValueError, f"masked array with {MASKED.mask.sum()} masked values"),
        (sparse.csr_array(ROWS), TypeError, "Sparse data was passed for X, but dense data"),
        (sparse.dok_array(ROWS), TypeError, "Sparse data was passed for X, but dense data"),
        (3, ValueError, "Expected 2D array, got scalar array instead"),
        (None, ValueError, "Expected 2D array, got scalar array instead"),
        (np.full((2, 8, 8), 300.0), ValueError, "above 255, so its scale is not known"),
        (np.full((2, 8, 8), -1.0), ValueError, "negative values"),
    ],
)  # fmt: skip
def test_refused_in_fit(extractor, X, error, message):
    with pytest.raises(error, match=re.escape(message)):
        extractor.fit(X)


class OfTorch:
    """As torch's map-style data sets, which NumPy would take for sequences."""

    __module__ = "torch.utils.data.dataset"

    def __len__(self):
        return 2

    def __getitem__(self, row):
        return np.zeros((8, 8, 3)), 0


def batches_of_tensorflow():
    import tensorflow

    return tensorflow.data.Dataset.range(4).batch(2)


@pytest.mark.parametrize(
    "made",
    [
        OfTorch,
        pytest.param(
            batches_of_tensorflow, marks=pytest.mark.about("tensorflow", reason="tf.data")
        ),
    ],
)
def test_data_sets_of_frameworks_are_refused(extractor, make, images, made):
    X = made()
    told = f"X is a {type(X).__name__}, which is neither an array nor.* paths of their files as a l"
    fit = partial(make().fit, y=None)
    for refused in [extractor.fit, extractor.fit(images).transform, fit]:
        with pytest.raises(TypeError, match=told):
            refused(X)


def test_the_classifier_looks_at_the_kind_of_X_before_the_lengths(make, paths, y):
    for X in [Bunch(data=paths, target=y), {"data": paths}, iter(paths)]:
        with pytest.raises(TypeError, match="which is neither an array nor a list of images"):
            make().fit(X, y)


@pytest.mark.parametrize("channels", [3, 4])
def test_one_image_in_colour_is_warned_of(extractor, channels):
    image = RNG.integers(0, 256, (32, 40, channels), dtype=np.uint8)
    told = f"is read as 32 grey images of 40 x {channels} pixels.*pass a list"
    with pytest.warns(UserWarning, match=told):
        assert len(extractor.fit_transform(image)) == 32
    assert len(extractor.fit_transform([image])) == 1
    extractor.fit(image[:31])


def test_refused_after_a_fit_on_images(extractor, images):
    extractor.fit(images)
    with pytest.raises(ValueError, match="X holds rows of numbers, but this Pretrained"):
        extractor.transform(ROWS)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        extractor.transform([])
    with pytest.raises(ValueError, match=r"0 sample\(s\) \(shape=\(0,\)\) while a minimum of 1"):
        extractor.transform(np.array([], dtype=object))
    with pytest.raises(TypeError, match="a list of images. Pass list"):
        extractor.transform(iter(images))


def test_refused_after_a_fit_on_rows(extractor, images, paths):
    extractor.fit(ROWS)
    for X in (images, paths):
        with pytest.raises(ValueError, match=r"X holds images, but this Pretrained.* of 5 numbers"):
            extractor.transform(X)
    with pytest.raises(ValueError, match=r"X has 4 features, but .* is expecting 5 features"):
        extractor.transform(ROWS[:, :4])


def test_rows_of_images_must_fit_the_shape(extractor, images):
    rows = images.reshape(8, -1)
    extractor.set_params(image_shape=(20, 24))
    with pytest.raises(ValueError, match=r"X has 1440 columns.* Did you mean image_shape=\(20, 24"):
        extractor.fit(rows)
    extractor.set_params(image_shape=(20, 24, 3)).fit(rows)
    with pytest.raises(ValueError, match=r"X has 1439 features, but .* is expecting 1440"):
        extractor.transform(rows[:, 1:])


def test_a_frame_with_images_in_one_of_several_columns(extractor, paths):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"price": np.arange(8.0), "file": list(map(str, paths))})
    with pytest.raises(ValueError, match=r"2 columns, and column 'file' .* X\[\['file'\]\]"):
        extractor.fit(frame)
    extractor.fit(frame[["file"]])
    with pytest.raises(ValueError, match="column 'file' holds images"):
        extractor.transform(frame)


def test_a_mask_that_masks_nothing_is_no_mask(extractor, images):
    features = extractor.fit_transform(images)
    assert_array_equal(extractor.fit_transform(np.ma.array(images)), features)


# Rows of plain numbers ---------------------------------------------------------------------


def test_rows_are_shown_small_and_to_networks_of_any_size(extractor, tiny):
    extractor.fit(ROWS)
    assert extractor._encoding.size == (64, 64)
    extractor.set_params(input_size=(16, 20)).fit(ROWS)
    assert extractor._encoding.size == (16, 20)


def test_a_network_for_one_size_only_sees_rows_at_that_size():
    import keras

    layers = [keras.Input((20, 20, 3)), keras.layers.Flatten(), keras.layers.Dense(2, name="dense")]
    fixed = register_backbone("fixed", keras.Sequential(layers))
    extractor = PretrainedFeatureExtractor(fixed, layer="dense").fit(ROWS)
    assert extractor._encoding.size == (20, 20)
    assert extractor.transform(ROWS).shape == (6, 2)


def test_features_of_rows_do_not_depend_on_units_and_offsets(extractor):
    features = extractor.fit_transform(ROWS)
    assert_allclose(extractor.fit_transform(ROWS * 8 + 1024), features, rtol=1e-4)


def test_moments_do_not_depend_on_the_order_of_rows():
    rows = RNG.lognormal(sigma=5, size=(200, 3))
    layout, shuffled = TabularToImage.of(rows), TabularToImage.of(RNG.permutation(rows))
    assert_array_equal(layout.mean, shuffled.mean)
    assert_array_equal(layout.scale, shuffled.scale)


@pytest.mark.parametrize("width", [1, 2, 4, 5, 1024, 1025, 5000])
def test_every_number_of_a_row_shows_in_its_image(width):
    rows = RNG.normal(size=(3, width))
    layout = TabularToImage.of(rows)
    side = layout.image_side(224)
    images = layout.images(rows, (side, side))
    assert images.shape == (3, side, side, 3)
    assert images.dtype == np.float32
    assert side % 32 == 0
    for column in range(width)[:: max(1, width // 7)]:
        changed = rows.copy()
        changed[0, column] += 0.1
        differs = (layout.images(changed, (side, side)) != images).any(axis=(1, 2, 3))
        assert list(differs) == [True, False, False]


def test_rows_too_wide_for_the_image_are_shrunk():
    rows = RNG.normal(size=(2, 5000))
    images = TabularToImage.of(rows).images(rows, (32, 40))
    assert images.shape == (2, 32, 40, 3)
    assert np.isfinite(images).all()


def test_constant_columns_and_outliers_stay_finite():
    rows = np.column_stack([np.full(5, 7.1), [0, 0, 0, 0, 1e300], RNG.normal(size=5)])
    layout = TabularToImage.of(rows[:4])
    images = layout.images(rows, (32, 32))
    assert np.isfinite(images).all()
    assert (images[0, 0, 0] == 127.5).all()


@pytest.mark.parametrize("unit", [2.0**-900, 2.0**900])
def test_units_of_any_size_change_no_bit(unit):
    layout, other = TabularToImage.of(ROWS), TabularToImage.of(ROWS * unit)
    assert_array_equal(other.mean, layout.mean * unit)
    assert_array_equal(other.scale, layout.scale * unit)
    assert_array_equal(other.images(ROWS * unit, (32, 32)), layout.images(ROWS, (32, 32)))


def test_rows_of_the_largest_numbers_are_finite_images():
    rows = np.finfo(np.float64).max * np.array([[1.0], [-1.0], [0.5]])
    assert np.isfinite(TabularToImage.of(rows).images(rows, (32, 32))).all()


def test_digests_of_rows_tell_rows_and_layouts_apart():
    layout, other = TabularToImage.of(ROWS), TabularToImage.of(ROWS[:4])
    source = TabularSource(ROWS, layout, (32, 32))
    digests = [source.digest(row) for row in range(6)]
    assert len(set(digests)) == 6
    assert TabularSource(ROWS[::-1], layout, (32, 32)).digest(5) == digests[0]
    assert TabularSource(ROWS, other, (32, 32)).digest(0) != digests[0]


def test_rows_are_loaded_into_the_room_given():
    layout = TabularToImage.of(ROWS)
    out = np.full((2, 32, 32, 3), np.nan, np.float32)
    TabularSource(ROWS, layout, (32, 32)).load([3, 1], (out,))
    assert_array_equal(out, layout.images(ROWS[[3, 1]], (32, 32)))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (RNG.integers(0, 16, (4, 64)), True),
        (RNG.integers(0, 16, (4, 64)).astype(float), True),
        (RNG.integers(0, 256, (4, 192)), True),
        (RNG.integers(0, 16, (4, 65)), False),
        (RNG.integers(0, 16, (4, 36)), False),
        (RNG.normal(size=(4, 64)), False),
    ],
)
def test_integers_as_wide_as_a_square_image_look_flattened(rows, expected):
    assert looks_flattened(rows) is expected


def test_rows_that_look_flattened_are_warned_of_once(extractor):
    rows = RNG.integers(0, 16, (4, 64))
    told = r"X has 64 columns of whole numbers.*image_shape=\(8, 8\)"
    with pytest.warns(UserWarning, match=told):
        extractor.fit(rows)
    extractor.transform(rows)
    extractor.set_params(image_shape=(8, 8), pixel_range=(0, 16)).fit(rows)


@pytest.mark.parametrize(
    ("width", "proposed"),
    [(4096, "(64, 64)"), (768, "(16, 16, 3)"), (1280, "(height, width) or (height, width, ch")],
)
def test_wide_rows_of_fractions_are_warned_of_once(extractor, width, proposed):
    rows = RNG.uniform(size=(4, width))
    told = f"X has {width} columns of numbers, as .* image_shape={re.escape(proposed)}.*Logistic"
    with pytest.warns(UserWarning, match=told) as caught:
        extractor.fit(rows)
    assert len(caught) == 1
    extractor.transform(rows)
    extractor.fit(rows[:, :255])
    extractor.fit(RNG.integers(0, 9, (4, 1280)))
