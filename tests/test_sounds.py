"""Sounds through the two estimators: the laws, scikit-learn's checks, and what is refused."""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
import soundfile as sf
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from skltransfer import (
    FeatureMapDisplay,
    FineTunedClassifier,
    FineTunedRegressor,
    PretrainedFeatureExtractor,
    ReadError,
    SaliencyDisplay,
    SoundInput,
    TopLossesDisplay,
    cache_info,
    clear_cache,
    freeze_points,
    list_backbones,
    load,
    precompute,
    register_backbone,
)
from skltransfer.displays._occlusion import HiddenPatches
from skltransfer.inputs._input import empty_rows
from toy_waves import FRONT_END, RATE, make_model, make_sounds, make_wave_network

DEPTHS = ["all", "sum", 0]


@pytest.fixture(scope="module")
def network():
    return register_backbone("tiny_sounds", make_model(), input=SoundInput(**FRONT_END))


@pytest.fixture(scope="module")
def sounds():
    return make_sounds()


@pytest.fixture(scope="module")
def X(sounds):
    return [(RATE, sound) for sound in sounds[0]]


@pytest.fixture(scope="module")
def y(sounds):
    return sounds[1]


def classifier(network, **settings):
    given = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "random_state": 0}
    return FineTunedClassifier(network, **{**given, **settings})


def encoded(sound, format):
    buffer = io.BytesIO()
    sf.write(buffer, sound, RATE, format=format)
    return buffer.getvalue()


def maps_of(extractor, X):
    source = extractor._encoding.source(extractor, X)
    out = empty_rows(extractor._encoding.row_spec, len(source))
    source.load(range(len(source)), out)
    return out[0]


# Law 1 -----------------------------------------------------------------------------------------


def require_all_passed(estimator, at_least):
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) >= at_least
    assert {r["check_name"]: r["exception"] for r in results if r["status"] != "passed"} == {}


def test_every_check_of_the_extractor_passes_on_numbers_made_into_sounds():
    require_all_passed(PretrainedFeatureExtractor(make_wave_network()), 40)


def test_every_check_of_the_classifier_passes_on_numbers_made_into_sounds():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
        require_all_passed(FineTunedClassifier(make_wave_network(), epochs=1), 55)


def test_tags_say_that_x_is_no_table():
    tags = PretrainedFeatureExtractor("speech_embedding").__sklearn_tags__().input_tags
    assert not tags.two_d_array


# Laws 2 to 9 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", DEPTHS)
def test_neither_order_nor_company_changes_a_bit(network, X, y, depth):
    order = np.random.default_rng(0).permutation(len(y))
    first = classifier(network, freeze_depth=depth).fit(X, y)
    expected = first.predict_proba(X)
    again = classifier(network, freeze_depth=depth, n_jobs=1)
    again.fit([X[row] for row in order], y[order])
    assert_array_equal(again.predict_proba(X), expected)
    assert_array_equal(first.predict_proba(X[5:6]), expected[5:6])


def test_integer_weights_are_repeated_rows(network, X, y):
    weights = np.arange(len(y)) % 3
    repeated = np.repeat(np.arange(len(y)), weights)
    weighted = classifier(network).fit(X, y, sample_weight=weights)
    again = classifier(network).fit([X[row] for row in repeated], y[repeated])
    assert_array_equal(weighted.predict_proba(X), again.predict_proba(X))


def test_the_cache_changes_no_bit_and_saves_passes(network, X, y, tmp_path):
    expected = classifier(network, cache=None).fit(X, y).predict_proba(X)
    for cache in ("memory", tmp_path):
        for _ in range(2):
            found = classifier(network, cache=cache).fit(X, y).predict_proba(X)
            assert_array_equal(found, expected)
    assert max(cache_info(tmp_path).rows_computed.values()) <= len(y)


@pytest.mark.parametrize("name", ["tiny_sounds", "speech_embedding"])
def test_files_and_arrays_have_the_same_features_to_the_bit(network, name, sounds, tmp_path):
    sound = sounds[0][0]
    (tmp_path / "a.flac").write_bytes(encoded(sound, "FLAC"))
    extractor = PretrainedFeatureExtractor(name, sample_rate=RATE, cache=None)
    rows = [encoded(sound, "WAV"), tmp_path / "a.flac", (RATE, sound), sound]
    expected, *others = extractor.fit_transform(rows)
    for found in [*others, *extractor.transform(sound[np.newaxis])]:
        assert_array_equal(found, expected)


def test_threads_and_workers_have_the_same_bits(network, X, y, tmp_path, as_many_threads):
    fitted = classifier(network, freeze_depth="sum").fit(X, y)
    expected = fitted.predict_proba(X)
    for backend in ("threading", "loky"):
        with as_many_threads():
            parallel = joblib.Parallel(2, backend=backend)
            found = parallel(joblib.delayed(fitted.predict_proba)(X) for _ in range(4))
        assert_array_equal(found, [expected] * 4)
    scores = []
    for n_jobs in (1, 2):
        model = classifier(network, epochs=1, cache=tmp_path / str(n_jobs))
        grid = {"freeze_depth": ["all", 0]}
        search = GridSearchCV(model, grid, cv=2, scoring="neg_log_loss", n_jobs=n_jobs)
        with as_many_threads():
            scores.append(search.fit(X, y).cv_results_["mean_test_score"])
        assert max(cache_info(model.cache).rows_computed.values()) == len(y)
    assert_array_equal(*scores)


IN_A_FRESH_PROCESS = """
import hashlib, pathlib, sys
from skltransfer import load
folder = pathlib.Path(sys.argv[1])
paths = sorted(map(str, folder.glob("*.flac")))
for name in ("predict_proba", "transform"):
    values = getattr(load(folder / f"{name}.skltransfer"), name)(paths)
    print(hashlib.sha256(values.tobytes()).hexdigest())
"""


def test_a_fresh_process_has_the_same_bits(network, sounds, y, tmp_path, in_fresh_process):
    paths = [str(tmp_path / f"{row:02}.flac") for row in range(len(y))]
    for path, sound in zip(paths, sounds[0], strict=True):
        Path(path).write_bytes(encoded(sound, "FLAC"))
    fitted = {
        "predict_proba": classifier(network, freeze_depth="sum").fit(paths, y),
        "transform": PretrainedFeatureExtractor("speech_embedding").fit(paths),
    }
    digests = []
    for name, estimator in fitted.items():
        estimator.save(tmp_path / f"{name}.skltransfer")
        values = getattr(estimator, name)(paths)
        digests.append(hashlib.sha256(values.tobytes()).hexdigest())
    told, _ = in_fresh_process(IN_A_FRESH_PROCESS, tmp_path)
    assert told.split() == digests


@pytest.mark.parametrize("depth", DEPTHS)
def test_dumped_and_saved_it_predicts_the_same_bits(network, X, y, depth, tmp_path):
    fitted = classifier(network, freeze_depth=depth, sample_rate=RATE, max_seconds=0.2)
    with pytest.warns(UserWarning, match="max_seconds=0.2"):
        fitted.fit(X, y)
        expected = fitted.predict_proba(X)
        fitted.save(tmp_path / "sounds.skltransfer")
        for again in (load(tmp_path / "sounds.skltransfer"), pickle.loads(pickle.dumps(fitted))):
            assert_array_equal(again.predict_proba(X), expected)
            assert again.max_seconds == 0.2


def test_the_bundled_network_is_saved_by_name(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 16_000))
    extractor = PretrainedFeatureExtractor("speech_embedding", sample_rate=16_000).fit(noise)
    extractor.save(tmp_path / "bundled.skltransfer")
    assert (tmp_path / "bundled.skltransfer").stat().st_size < 20_000
    assert len(pickle.dumps(extractor)) < 5000
    again = load(tmp_path / "bundled.skltransfer")
    assert_array_equal(again.transform(noise), extractor.transform(noise))


def test_what_is_frozen_stays_and_what_is_not_learns(network, X, y):
    fitted = classifier(network, freeze_depth="sum").fit(X, y)
    before = network.weights
    after = [np.asarray(w) for w in fitted.to_keras().weights][: len(before)]
    changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [False] * 4 + [True] * 2


def test_the_same_seed_gives_the_same_weights(network, X, y):
    settings = {"freeze_depth": 0, "augment": "standard", "early_stopping": True}
    first, second = (classifier(network, **settings).fit(X, y) for _ in range(2))
    assert_array_equal(first.predict_proba(X), second.predict_proba(X))


# What is learned -------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", DEPTHS)
def test_it_learns(network, X, y, depth):
    assert classifier(network, freeze_depth=depth, epochs=10).fit(X, y).score(X, y) > 0.9


def test_a_pipeline_a_search_and_cross_validation_run(network, X, y):
    pipeline = make_pipeline(PretrainedFeatureExtractor(network), LogisticRegression())
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9
    clear_cache()
    grid = {"freeze_depth": ["all", "sum"], "pooling": [None, "avg", "max"]}
    search = GridSearchCV(classifier(network, epochs=1), grid, cv=2, error_score="raise")
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_what_is_computed_ahead_is_not_computed_again(network, X, y, tmp_path):
    precompute(X, ["all"], backbone=network, cache=tmp_path)
    before = cache_info(tmp_path).rows_computed
    classifier(network, freeze_depth="all", cache=tmp_path).fit(X, y)
    assert cache_info(tmp_path).rows_computed == before


def test_mean_and_deviation_are_put_side_by_side(network, X):
    values = maps_of(PretrainedFeatureExtractor(network).fit(X), X)[0]
    steps = np.asarray(make_model()(values[np.newaxis]))
    expected = np.concatenate([steps[0].mean(axis=0), steps[0].std(axis=0)])
    features = PretrainedFeatureExtractor(network).fit_transform(X)
    assert features.shape == (len(X), 32)
    assert_allclose(features[0], expected, atol=1e-5)
    for pooling, expected in (("avg", steps[0].mean(axis=0)), ("max", steps[0].max(axis=0))):
        found = PretrainedFeatureExtractor(network, pooling=pooling).fit_transform(X)
        assert_allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize("depth", DEPTHS)
def test_it_agrees_with_keras_on_maps(network, X, y, depth):
    fitted = classifier(network, freeze_depth=depth).fit(X, y)
    model = fitted.to_keras()
    found = [np.asarray(model(m[None], training=False))[0] for m in maps_of(fitted, X)]
    assert_allclose(found, fitted.predict_proba(X), atol=1e-4)


def test_rows_that_cannot_be_read_become_nan(network, X, y, tmp_path):
    rows = [*X[:4], "no such file.wav", b"no sound"]
    extractor = PretrainedFeatureExtractor(network, on_error="nan").fit(rows)
    with pytest.warns(UserWarning, match="2 of 6 sounds could not be read") as caught:
        features = extractor.transform(rows)
    assert caught[0].message.rows == [4, 5]
    assert_array_equal(np.isnan(features).any(axis=1), [False] * 4 + [True] * 2)
    assert_array_equal(features[:4], PretrainedFeatureExtractor(network).fit_transform(X[:4]))
    fitted = classifier(network, on_error="nan", freeze_depth=0)
    with pytest.warns(UserWarning, match="2 of 6 sounds"):
        fitted.fit(rows, [*y[:4], 0, 1])
    assert fitted.failed_rows_.tolist() == [4, 5]
    with pytest.raises(ReadError, match=r"row 4 .* Of 6 rows|row 4"):
        PretrainedFeatureExtractor(network).fit(rows)


# Views -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shift", "gain", "masks", "standard"])
def test_views_keep_the_shape_and_the_floor(network, X, name):
    values = maps_of(PretrainedFeatureExtractor(network).fit(X), X)[0]
    view = network.input.views[name].view
    assert view(values, 0, np.random.default_rng(0)) is values
    seen = [view(values.copy(), 1, np.random.default_rng(seed)) for seed in range(8)]
    for changed in seen:
        assert changed.shape == values.shape and changed.dtype == np.float32
        assert changed.min() >= np.log(1e-3) - 1e-5
    assert sum(not np.array_equal(changed, values) for changed in seen) >= 6


def test_a_gain_is_that_of_the_sound(network, sounds):
    from skltransfer.inputs.sounds.views import gain

    sound = sounds[0][0] / 32768
    extractor = PretrainedFeatureExtractor(network, sample_rate=RATE).fit(sound[None])
    rng = np.random.default_rng(0)
    factor = 10 ** (np.random.default_rng(0).uniform(-6, 6) / 20)
    changed = gain(network.input.front_end, maps_of(extractor, sound[None])[0], rng)
    assert_allclose(changed, maps_of(extractor, factor * sound[None])[0], atol=1e-4)


@pytest.mark.parametrize("settings", [{"n_views": 3}, {}, {"n_views": 2, "tta": True}])
def test_views_are_trained_on_and_predicted_from(network, X, y, settings):
    fitted = classifier(network, augment="standard", **settings).fit(X, y)
    assert_array_equal(fitted.predict_proba(X)[::-1], fitted.predict_proba(X[::-1]))


def test_views_of_images_are_refused(network, X, y):
    with pytest.raises(ValueError, match="'flip' is not one of None, 'shift', 'gain', 'masks', "):
        classifier(network, augment="flip").fit(X, y)
    with pytest.raises(ValueError, match="which cannot make views of sounds"):
        classifier(network, augment=keras.layers.RandomFlip()).fit(X, y)


# Refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value", [("input_size", (8, 8)), ("resize", "crop"), ("pixel_range", (0, 1))]
)
def test_parameters_of_images_are_refused(network, X, name, value):
    with pytest.raises(ValueError, match=f"{name}=.* does not apply to .* reads sounds"):
        PretrainedFeatureExtractor(network, **{name: value}).fit(X)


def test_parameters_of_sounds_are_refused_for_images(tiny, images):
    with pytest.raises(ValueError, match="sample_rate=16000 does not apply to .* reads images"):
        PretrainedFeatureExtractor(tiny, sample_rate=16_000).fit(images)


@pytest.mark.parametrize("settings", [{"sample_rate": 0}, {"max_seconds": 0}, {"sample_rate": 1.5}])
def test_values_out_of_range_are_refused(network, X, settings):
    with pytest.raises(ValueError, match=f"'{next(iter(settings))}' parameter"):
        PretrainedFeatureExtractor(network, **settings).fit(X)


@pytest.mark.parametrize("pooling", ["flatten", "cls", "last"])
def test_poolings_of_other_kinds_are_refused(network, X, pooling):
    with pytest.raises(ValueError, match=f"pooling='{pooling}' is not for .* reads sounds"):
        PretrainedFeatureExtractor(network, pooling=pooling).fit(X)


@pytest.mark.parametrize("shape", [(20, 12), (None, 10), (None, 12, 3)])
def test_models_that_take_no_maps_are_refused(shape):
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"keras\.Input\(\(None, 12\)\)"):
        register_backbone("mine", model, input=SoundInput(**FRONT_END))


def test_an_input_that_is_none_is_refused():
    with pytest.raises(TypeError, match="must be a SoundInput"):
        register_backbone("mine", make_model(), input="sound")
    with pytest.raises(ValueError, match="preprocessing is for images"):
        register_backbone("mine", make_model(), preprocessing="tf", input=SoundInput(**FRONT_END))


# The bundled network ---------------------------------------------------------------------------


def test_the_bundled_network_is_listed_with_its_stages():
    assert [row.name for row in list_backbones()[:2]] == ["efficientnet_lite0", "speech_embedding"]
    stages = freeze_points("speech_embedding")
    assert [point.layer for point in stages] == [
        "stem_activation",
        *(f"block{number}_pool" for number in range(1, 6)),
        "steps",
    ]


def test_cloning_and_printing_load_nothing(network):
    extractor = PretrainedFeatureExtractor("speech_embedding", sample_rate=16_000)
    assert repr(clone(extractor)) == (
        "PretrainedFeatureExtractor(backbone='speech_embedding', sample_rate=16000)"
    )


# Displays --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline(network, X, y):
    return make_pipeline(PretrainedFeatureExtractor(network), LogisticRegression()).fit(X, y)


def test_displays_show_spectrograms(pipeline, X, y):
    pytest.importorskip("matplotlib").use("Agg")
    shown = TopLossesDisplay.from_estimator(pipeline, X, y, n_images=3)
    assert len(shown.images) == 3
    assert all(image.ndim == 3 and image.dtype == np.uint8 for image in shown.images)
    assert FeatureMapDisplay.from_estimator(pipeline, X, y, n_thumbnails=4).thumbnails


@pytest.mark.parametrize("display", [TopLossesDisplay, SaliencyDisplay])
def test_spectrograms_fill_their_panels_and_the_outer_axes_are_labelled(pipeline, X, y, display):
    pytest.importorskip("matplotlib").use("Agg")
    settings = {"y": y[:5], "n_images": 5} if display is TopLossesDisplay else {}
    shown = display.from_estimator(pipeline, X[:5], n_columns=3, **settings)
    name = "frequency (mel band)"
    assert [panel.get_aspect() for panel in shown.axes_] == ["auto"] * 5
    assert [panel.get_xlabel() for panel in shown.axes_] == ["", "", *["time (s)"] * 3]
    assert [panel.get_ylabel() for panel in shown.axes_] == [name, "", "", name, ""]
    seconds = [panel.get_xlim()[1] for panel in shown.axes_]
    rows = shown.rows if display is TopLossesDisplay else range(5)
    lengths = [max(FRONT_END["min_seconds"], len(X[row][1]) / RATE) for row in rows]
    assert_allclose(seconds, lengths, atol=0.1)
    assert {panel.get_ylim() for panel in shown.axes_} == {(0, FRONT_END["n_mels"])}


@pytest.mark.parametrize("kind", ["pipeline", "classifier"])
def test_heat_is_where_the_sound_is(network, X, y, kind, pipeline):
    pytest.importorskip("matplotlib").use("Agg")
    estimator = pipeline if kind == "pipeline" else classifier(network, epochs=5).fit(X, y)
    display = SaliencyDisplay.from_estimator(estimator, X[:4])
    for (_, samples), image, heat in zip(X[:4], display.images, display.heat_maps, strict=True):
        assert heat.shape == image.shape[:2]
        assert heat.min() >= 0 and heat.max() > 0
        silent = max(0, int(FRONT_END["min_seconds"] * RATE) - len(samples)) // 2 // 128
        assert heat[:, : max(0, silent - 3)].max(initial=0) == 0


def test_a_hidden_patch_changes_nothing_else():
    log_mel = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    patch = slice(5, 9), slice(2, 4)
    source = HiddenPatches(log_mel, [patch, (slice(0, 0), slice(0, 0))])
    out = (np.empty(2, object),)
    source.load([0, 1], out)
    assert_array_equal(out[0][1], log_mel)
    lowered = out[0][0] < log_mel
    assert lowered.any() and lowered.sum() == lowered[patch].sum()
    assert (out[0][0] <= log_mel).all()


def test_numbers_are_learned_from_sounds(network, X, y):
    regressor = FineTunedRegressor(network, epochs=3, random_state=0, freeze_depth="sum")
    assert regressor.fit(X, y.astype(float)).score(X, y) > 0.9


def test_several_labels_are_learned_from_sounds(network, X, y):
    labels = np.stack([y, (np.arange(len(y)) < 9).astype(int)], axis=1)
    fitted = classifier(network, freeze_depth="all").fit(X, labels)
    assert fitted.predict_proba(X).shape == labels.shape
    assert_array_equal(fitted.predict(X)[:, 0], y)
