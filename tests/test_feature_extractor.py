"""`PretrainedFeatureExtractor`: what each parameter does, and what is refused in which words."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.exceptions import NotFittedError

from conftest import make_tiny_model
from skltransfer import PretrainedFeatureExtractor
from skltransfer._warnings import UnreadableImagesWarning
from skltransfer.backend import as_array

ROWS = np.random.default_rng(0).normal(size=(6, 5))


@pytest.fixture
def extractor(tiny):
    return PretrainedFeatureExtractor(tiny)


def activations(images, layer):
    """What the tiny network itself makes of images of its size."""
    import keras

    model = make_tiny_model()
    part = keras.Model(model.inputs[0], model.get_layer(layer).output)
    return as_array(part(images.astype(np.float32) / 127.5 - 1))


@pytest.fixture
def small(images):
    return np.ascontiguousarray(images[:, :16, :16])


# What comes out ----------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [None, "stem", "block", "top"])
@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
def test_features_are_the_pooled_activations_of_a_layer(extractor, small, layer, pooling):
    maps = activations(small, layer or "top")
    expected = {
        "avg": maps.mean(axis=(1, 2)),
        "max": maps.max(axis=(1, 2)),
        "flatten": maps.reshape(len(maps), -1),
    }[pooling]
    features = extractor.set_params(layer=layer, pooling=pooling).fit_transform(small)
    assert features.shape == expected.shape
    assert features.dtype == np.float32
    assert_allclose(features, expected, atol=1e-5 * expected.max())
    assert extractor.layers_ == (layer or "top",)


@pytest.mark.parametrize("layers", [["stem", "top"], ("top", "stem")])
def test_several_layers_are_put_side_by_side(extractor, small, layers):
    parts = [extractor.set_params(layer=layer).fit_transform(small) for layer in layers]
    together = extractor.set_params(layer=layers).fit_transform(small)
    assert_array_equal(together, np.hstack(parts))
    assert extractor.layers_ == tuple(layers)
    names = extractor.get_feature_names_out()
    assert list(names[[0, -1]]) == [f"{layers[0]}_0", f"{layers[1]}_{parts[1].shape[1] - 1}"]
    assert len(names) == together.shape[1]


def test_the_end_of_the_features_has_the_features_of_the_layer_there(extractor, small):
    features = extractor.fit_transform(small)
    assert list(extractor.get_feature_names_out()[:2]) == ["tiny_0", "tiny_1"]
    assert_array_equal(extractor.set_params(layer="top").fit_transform(small), features)
    assert list(extractor.get_feature_names_out()[:2]) == ["top_0", "top_1"]


def test_parameters_set_after_fit_do_not_change_the_names_of_what_was_fitted(extractor, small):
    names = extractor.fit(small).get_feature_names_out()
    assert_array_equal(extractor.set_params(layer="stem").get_feature_names_out(), names)


def test_fit_returns_itself_and_does_not_depend_on_what_was_fitted_before(extractor, small):
    assert extractor.fit(small) is extractor
    features = extractor.transform(small)
    extractor.fit(ROWS)
    assert extractor.n_features_in_ == 5
    assert_array_equal(extractor.fit(small).transform(small), features)


def test_number_of_features_seen(extractor, images, paths):
    assert extractor.fit(images).n_features_in_ == 20 * 24 * 3
    assert extractor.fit(images[..., 0]).n_features_in_ == 20 * 24
    assert extractor.fit(paths).n_features_in_ == 1
    assert extractor.fit(list(images)).n_features_in_ == 1
    assert extractor.fit(ROWS).n_features_in_ == 5


def test_sizes_and_kinds_of_images_may_differ_from_those_of_fit(extractor, images, paths):
    features = extractor.fit(images).transform(paths)
    assert_array_equal(extractor.transform(list(images)), features)
    mixed = [images[0], images[1, :9, :13], Image.fromarray(images[2]), str(paths[3])]
    found = extractor.fit(paths[:1]).transform(mixed)
    assert_array_equal(found[[0, 2, 3]], features[[0, 2, 3]])


def test_input_size_is_the_size_that_the_network_sees(extractor, images):
    extractor.set_params(pooling="flatten", layer="stem")
    assert extractor.fit_transform(images).shape == (8, 8 * 8 * 8)
    extractor.set_params(input_size=(32, 24))
    assert extractor.fit_transform(images).shape == (8, 16 * 12 * 8)
    assert extractor.set_params(input_size=[32, 24]).fit_transform(images).shape[1] == 16 * 12 * 8


def test_ways_of_resizing_differ_on_oblong_images(extractor, images):
    found = [
        extractor.set_params(resize=resize).fit_transform(images)
        for resize in ("stretch", "crop", "pad")
    ]
    assert not np.allclose(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_the_range_of_values_is_decided_in_fit(extractor, small):
    features = extractor.fit_transform(small)
    for scaled, pixel_range in [
        (small / np.float32(255), None),
        (small / 255, None),
        (small.astype(np.uint16) * 257, None),
        (small / 127.5 - 1, (-1, 1)),
        (small.astype(np.float16), None),
        (small // 2, (0, 127)),
        ((small // 2).astype(np.int8), (0, 127)),
    ]:
        found = extractor.set_params(pixel_range=pixel_range).fit_transform(scaled)
        assert_allclose(found, features, atol=0.01 * features.max())


def test_all_layouts_of_memory_are_read_and_left_alone(extractor, small, tmp_path):
    features = extractor.set_params(cache=None).fit_transform(small)
    np.save(tmp_path / "images.npy", small)
    read_only = small.copy()
    read_only.flags.writeable = False
    for X in [
        np.asfortranarray(small),
        np.repeat(small, 2, axis=0)[::2],
        small[:, ::-1][:, ::-1],
        read_only,
        np.load(tmp_path / "images.npy", mmap_mode="r"),
        small.astype(">i4"),
        small.tolist(),
        np.ma.array(small),
    ]:
        before = np.array(X)
        assert_array_equal(extractor.fit_transform(X), features)
        assert_array_equal(extractor.transform(X), features)
        assert_array_equal(np.array(X), before)


def test_random_weights_need_no_file(extractor, small):
    drawn = extractor.set_params(weights=None, random_state=0).fit_transform(small)
    assert drawn.shape == (8, 12)
    assert not np.allclose(drawn, extractor.set_params(weights="imagenet").fit_transform(small))


def test_a_model_is_shared_by_clones_and_never_changed(small):
    from sklearn.base import clone

    model = make_tiny_model()
    before = model.get_weights()
    extractor = PretrainedFeatureExtractor(model, cache=None)
    twin = clone(extractor)
    assert twin.backbone is model
    assert_array_equal(twin.fit_transform(small), extractor.fit_transform(small))
    for array, old in zip(model.get_weights(), before, strict=True):
        assert_array_equal(array, old)


# Images that cannot be read --------------------------------------------------------------


@pytest.fixture
def broken(paths, tmp_path):
    """Good paths and four that hold no image, at 1, 3, 4 and 6."""
    text = tmp_path / "text.jpg"
    text.write_text("This is no image.")
    torn = tmp_path / "torn.png"
    torn.write_bytes(paths[0].read_bytes()[:100])
    missing = tmp_path / "missing.png"
    return [paths[0], text, paths[1], missing, torn, paths[2], b"no image"]


@pytest.mark.parametrize(
    ("position", "named"),
    [(1, "text.jpg"), (4, "torn.png"), (6, r"8 bytes beginning b'no image'")],
)
def test_an_unreadable_image_is_named(extractor, broken, position, named):
    X = [broken[0], broken[position]]
    with pytest.raises(ValueError, match=rf"row 1 \(.*{named}.*cannot be read as an image"):
        extractor.fit_transform(X)


def test_a_missing_file_is_named_in_fit_and_in_transform(extractor, broken):
    with pytest.raises(ValueError, match=r"row 1 \(.*missing\.png'\).*no such file"):
        extractor.fit([broken[0], broken[3]])
    with pytest.raises(ValueError, match=r"row 1 \(.*missing\.png'\).*no such file"):
        extractor.fit(broken[:1]).transform([broken[0], broken[3]])


@pytest.mark.parametrize("cache", [None, "memory"])
def test_with_nan_unreadable_images_are_rows_of_nan(extractor, broken, cache):
    extractor.set_params(on_error="nan", cache=cache)
    with pytest.warns(UnreadableImagesWarning, match="4 of 7 images could not be read") as caught:
        features = extractor.fit_transform(broken)
    assert len(caught) == 1
    assert caught[0].message.rows == [1, 3, 4, 6]
    assert caught[0].filename == __file__
    assert_array_equal(np.isnan(features).all(axis=1), np.isin(np.arange(7), [1, 3, 4, 6]))
    good = [broken[row] for row in (0, 2, 5)]
    assert_array_equal(features[[0, 2, 5]], extractor.transform(good))


def test_with_nan_nan_in_numbers_still_raises(extractor, images):
    broken = images.astype(np.float32)
    broken[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN: 1 values of row 3"):
        extractor.set_params(on_error="nan").fit(broken)


def test_all_images_unreadable(extractor, broken):
    extractor.set_params(on_error="nan")
    with pytest.warns(UnreadableImagesWarning, match="2 of 2"):
        assert np.isnan(extractor.fit_transform([broken[1], broken[3]])).all()


# What is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"layer": "blok"}, ValueError, "layer='blok' is not a layer of backbone='tiny'. Did you "
         "mean 'block' or"),
        ({"layer": ["stem", "nothing"]}, ValueError, "layer='nothing' is not a layer"),
        ({"layer": []}, ValueError, "layer=[] names no layer"),
        ({"layer": ["stem", "stem"]}, ValueError, "names a layer twice"),
        ({"layer": ["stem", 3]}, TypeError, "must be a str, a list of str, or None"),
        ({"layer": 3}, ValueError, "The 'layer' parameter"),
        ({"pooling": "mean"}, ValueError, "Got 'mean' instead"),
        ({"input_size": True}, ValueError, "input_size=True must be None or positive ints "
         "(height, width)."),
        ({"input_size": (32,)}, ValueError, "input_size=(32,) must be"),
        ({"input_size": (0, 32)}, ValueError, "input_size=(0, 32) must be"),
        ({"input_size": (32.0, 32)}, ValueError, "input_size=(32.0, 32) must be"),
        ({"input_size": (1, True)}, ValueError, "input_size=(1, True) must be"),
        ({"image_shape": 20}, ValueError, "image_shape=20 must be None or positive ints "
         "(height, width) or (height, width, channels)."),
        ({"pixel_range": (255, 0)}, ValueError, "pixel_range=(255, 0) is not allowed"),
        ({"pixel_range": "auto"}, ValueError, "pixel_range='auto' is not allowed"),
        ({"resize": "squeeze"}, ValueError, "Got 'squeeze' instead"),
        ({"batch_size": 0}, ValueError, "The 'batch_size' parameter"),
        ({"precision": "float64"}, ValueError, "The 'precision' parameter"),
        ({"engine": "tensorflo"}, ValueError, "The 'engine' parameter"),
        ({"on_error": "ignore"}, ValueError, "Got 'ignore' instead"),
        ({"cache": 3}, ValueError, "The 'cache' parameter"),
        ({"cache": ""}, ValueError, "cache='' is not a directory; give 'memory'"),
        ({"cache": __file__}, ValueError, "is not a directory; give 'memory'"),
        ({"random_state": "zero"}, ValueError, "The 'random_state' parameter"),
        ({"verbose": "yes"}, ValueError, "The 'verbose' parameter"),
        ({"n_jobs": 1.5}, ValueError, "The 'n_jobs' parameter"),
        ({"n_jobs": 0}, ValueError, "an int in the range (-inf, -1], an int in the range [1, inf) "
         "or None. Got 0 instead"),
        ({"weights": 3}, ValueError, "The 'weights' parameter"),
        ({"weights": "/no/such.h5"}, ValueError, "weights='/no/such.h5' for backbone='tiny' is "
         "not a file"),
        ({"backbone": "efficientnetlite"}, ValueError, "Did you mean 'efficientnet_lite0'"),
        ({"backbone": 3}, TypeError, "backbone=3 is a int"),
        ({"backbone": None}, TypeError, "backbone=None is a NoneType"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused_in_fit(extractor, small, parameters, error, message):
    extractor.set_params(**parameters)
    with pytest.raises(error, match=re.escape(message)):
        extractor.fit(small)


def test_wrong_parameters_are_refused_for_rows_of_numbers_too(extractor):
    with pytest.raises(ValueError, match="pixel_range"):
        extractor.set_params(pixel_range=(1, 0)).fit(ROWS)


@pytest.mark.parametrize(
    ("parameters", "X"),
    [
        ({}, []),
        ({}, ["/no/such.png"]),
        ({}, np.full((2, 16, 16, 3), np.nan)),
        ({"layer": "nothing"}, ROWS),
        ({"backbone": "nothing"}, ROWS),
        ({"image_shape": (7, 7)}, ROWS),
    ],
)
def test_a_failed_fit_leaves_the_estimator_as_it_was(extractor, small, parameters, X):
    features = extractor.fit(small).transform(small)
    extractor.set_params(**parameters)
    before = dict(extractor.__dict__)
    with pytest.raises(ValueError):
        extractor.fit(X)
    assert extractor.__dict__ == before
    assert_array_equal(extractor.transform(small), features)


def test_a_failed_first_fit_leaves_it_unfitted(extractor, small):
    with pytest.raises(ValueError):
        extractor.fit([])
    with pytest.raises(NotFittedError):
        extractor.transform(small)


@pytest.mark.parametrize("method", ["transform", "get_feature_names_out"])
def test_unfitted(extractor, small, method):
    arguments = (small,) if method == "transform" else ()
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        getattr(extractor, method)(*arguments)


def test_input_feature_names_are_checked(extractor):
    pandas = pytest.importorskip("pandas")
    extractor.fit(pandas.DataFrame(ROWS, columns=list("abcde")))
    assert list(extractor.feature_names_in_) == list("abcde")
    assert len(extractor.get_feature_names_out(list("abcde"))) == 12
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        extractor.get_feature_names_out(list("abcdf"))


def test_warnings_point_to_the_line_of_the_user(extractor, small):
    with pytest.warns(UserWarning, match="they seem to be on another scale") as caught:
        extractor.fit(small).transform(small / 255)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(UserWarning, match="set image_shape=") as caught:
        extractor.fit_transform(small[:, :7, :7, 0].reshape(8, -1))
    assert [warning.filename for warning in caught] == [__file__]


def test_nothing_is_warned_of_in_ordinary_use(extractor, small, paths):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extractor.fit(small).transform(paths)
        extractor.fit_transform(ROWS)


# The progress bar --------------------------------------------------------------------------


def test_progress_on_standard_error_when_asked_for(extractor, paths, capsys):
    """In lines: what the tests write to is no terminal."""
    extractor.set_params(verbose=1, cache=None).fit(paths).transform(paths)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"skltransfer: transform, tiny: 8/8, \d+:\d\d", err.strip().splitlines()[-1]
    )


def test_no_bar_unless_asked_for(extractor, paths, capsys):
    extractor.fit(paths).transform(paths)
    assert capsys.readouterr() == ("", "")
