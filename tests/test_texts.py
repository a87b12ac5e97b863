"""Texts: what X may be, what is refused, and the laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV

from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    ReadError,
    UnreadableRowsWarning,
    cache_info,
    freeze_points,
    load,
)
from skltransfer.frozen import engine_selection
from skltransfer.frozen.layer_features import feature_part
from skltransfer.frozen.prefix import cache_points_before, prefix_part
from skltransfer.network.batch_invariance import MANY_ROWS
from skltransfer.network.execution import run_steps
from skltransfer.network.packs import RowsInPacks
from skltransfer.network.padding import padded
from skltransfer.network.pooling import pooled
from skltransfer.network.runtime import network_of
from toy_texts import CONFIG, N_BINS, N_COLUMNS, make_network

GPT2 = Path(__file__).parent / "data" / "tiny_transformers" / "gpt2"
SETTINGS = {"freeze_depth": -1, "epochs": 2, "batch_size": 8, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def texts():
    """Texts of 1 to 9 words, and whether a word of the first column is in them."""
    rng = np.random.default_rng(0)
    words = [f"c{c}b{b}" for c in range(N_COLUMNS) for b in range(N_BINS)]
    X = [" ".join(rng.choice(words, rng.integers(1, 10))) for _ in range(24)]
    y = np.arange(24) % 2
    return [f"{x} c0b{b}" if label else x for x, label, b in zip(X, y, y, strict=True)], y


def extractor_of(network, **settings):
    return PretrainedFeatureExtractor(network, **{"engine": "tensorflow", **settings})


def classifier_of(network, **settings):
    given = {"random_state": 0, "engine": "tensorflow", **SETTINGS, **settings}
    return FineTunedClassifier(network, **given)


@pytest.fixture(scope="module")
def fitted(network, texts):
    return classifier_of(network).fit(*texts)


@pytest.fixture(scope="module")
def probabilities(fitted, texts):
    return fitted.predict_proba(texts[0])


# What X may be ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "container",
    [
        tuple,
        np.array,
        lambda X: np.array(X, object)[:, np.newaxis],
        lambda X: [[x] for x in X],
        lambda X: pd.Series(X, index=range(5, 5 + len(X))),
        lambda X: pd.Series(X, dtype="string"),
        lambda X: pd.DataFrame({"text": X}),
        lambda X: pl.Series("text", X),
        lambda X: pl.DataFrame({"text": X}),
    ],
)
def test_the_container_changes_no_bit(network, texts, container):
    X = texts[0][:3]
    expected = extractor_of(network).fit_transform(X)
    found = extractor_of(network).fit(container(X))
    assert found.n_features_in_ == 1
    assert_array_equal(found.transform(container(X)), expected)


def test_names_of_columns_are_kept_and_checked(network, texts):
    frame = pd.DataFrame({"question": texts[0][:3]})
    extractor = extractor_of(network).fit(frame)
    assert list(extractor.feature_names_in_) == ["question"]
    with pytest.raises(ValueError, match="feature names should match"):
        extractor.transform(frame.rename(columns={"question": "answer"}))
    table = frame.assign(price=[1.0, 2.0, 3.0])
    both = make_column_transformer((extractor_of(network), "question"), remainder="passthrough")
    assert both.fit_transform(table).shape == (3, CONFIG.width + 1)


@pytest.mark.parametrize(
    "X, kind, match",
    [
        ("c0b1", TypeError, "X is one single text, 'c0b1'. Pass a list"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), ValueError, "X has 2 columns, 'a', 'b'"),
        (np.array([["x", "y"]]), ValueError, "X has the shape .1, 2."),
        (np.zeros((2, 1)), TypeError, "holds numbers, but this backbone reads texts"),
        (np.zeros((2, 4, 4, 3)), ValueError, "X has the shape .2, 4, 4, 3."),
        ({"text": ["x"]}, TypeError, r"X is a dict, .* as in X\['text'\]"),
        ((x for x in "ab"), TypeError, "X is a generator.*list.X."),
        ([], ValueError, "Found array with 0 sample"),
        (["x", b"y"], TypeError, r"row 1 of X is 1 bytes .* decoded by X\[row\].decode"),
        ([Path("x.txt")], TypeError, "row 0 of X is 'x.txt'"),
        ([Image.new("L", (4, 4))], TypeError, "row 0 of X is a PIL image .*efficientnet_lite0"),
        (["x", 3], TypeError, "row 1 of X is a int"),
    ],
)
def test_what_is_no_column_of_texts_is_refused(network, X, kind, match):
    with pytest.raises(kind, match=match):
        extractor_of(network).fit(X)
    if not isinstance(X, type(x for x in ())):
        with pytest.raises(kind, match=match):
            classifier_of(network).fit(X, [0] * len(X))


def test_a_sentence_is_told_from_a_path_by_the_backbone():
    with pytest.raises(ReadError, match="no such file.*If X holds texts.*backbone='minilm_l6'"):
        PretrainedFeatureExtractor().fit(["The kettle whistled in the kitchen.", "Another one."])


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_missing_texts_are_refused_by_row_or_give_nan(network, texts, missing):
    X = [texts[0][0], missing, *texts[0][2:4]]
    with pytest.raises(ReadError, match="row 1 .a missing value. cannot be read as a text") as told:
        extractor_of(network).fit(X)
    assert told.value.row == 1
    extractor = extractor_of(network, on_error="nan").fit(X)
    with pytest.warns(UnreadableRowsWarning, match="1 of 4 texts could not be read") as caught:
        found = extractor.transform(X)
    assert caught[0].message.rows == [1]
    assert np.isnan(found[1]).all() and np.isfinite(found[[0, 2, 3]]).all()


def test_a_classifier_leaves_missing_texts_out(network, texts):
    X, y = texts
    holes = [*X[:6], None]
    classifier = classifier_of(network, freeze_depth="all", on_error="nan")
    with pytest.warns(UnreadableRowsWarning):
        classifier.fit(holes, y[:7])
    assert list(classifier.failed_rows_) == [6]
    same = classifier_of(network, freeze_depth="all").fit(X[:6], y[:6])
    assert_array_equal(classifier.predict_proba(X), same.predict_proba(X))


def test_a_text_of_no_tokens_is_refused_by_row_or_gives_nan():
    extractor = extractor_of(GPT2)
    assert extractor.fit(["a fox", ""]).transform(["a fox"]).shape == (1, 32)
    with pytest.raises(ReadError, match="row 1 .''. cannot be read as a text: it has no tokens"):
        extractor.transform(["a fox", ""])
    with pytest.warns(UnreadableRowsWarning):
        assert np.isnan(extractor.set_params(on_error="nan").transform(["a fox", ""])[1]).all()
    with pytest.raises(ReadError, match="half of a surrogate pair"):
        extractor.set_params(on_error="raise").transform(["\ud83d"])


def test_long_texts_are_cut_with_one_warning_that_counts_them(network):
    words = [f"c1b{b}" for b in range(20)]
    long, short = " ".join(words), " ".join(words[:6])
    extractor = extractor_of(network, max_tokens=8)
    with pytest.warns(UserWarning, match="2 of 3 texts have more than max_tokens=8") as caught:
        extractor.fit([long, short, long])
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="1 of 1 texts"):
        cut = extractor.transform([long])
    assert_array_equal(cut, extractor.transform([short]))  # 6 words, and what stands around them
    with pytest.raises(
        ValueError, match="max_tokens=65 is more than the 64 tokens that this backbone"
    ):
        extractor_of(network, max_tokens=65).fit([short])
    with pytest.raises(ValueError, match="max_tokens=2 leaves no room for words besides the 2"):
        extractor_of(network, max_tokens=2).fit([short])


def test_parameters_of_other_kinds_are_refused(network, texts):
    with pytest.raises(ValueError, match="max_tokens=9 does not apply to .* reads images"):
        PretrainedFeatureExtractor(max_tokens=9).fit(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="resize='crop' does not apply to .* reads texts"):
        extractor_of(network, resize="crop").fit(texts[0])
    with pytest.raises(
        ValueError, match="pooling='last' is not for .* 'avg', 'cls', 'max' and None, which"
    ):
        extractor_of(network, pooling="last").fit(texts[0])
    with pytest.raises(ValueError, match="augment='flip' is not one of None"):
        classifier_of(network, augment="flip").fit(*texts)


# The laws --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [3, 23, 64])
def test_the_network_in_two_pieces_is_the_whole(network, length):
    built = network_of(network, ())
    ids = np.random.default_rng(length).integers(3, CONFIG.n_words, (1, length)).astype(np.int32)
    whole = run_steps(built.features, None, [built.end], ids, built.arrays)[0]
    for stage in built.stages[:-1]:
        middle = run_steps(built.features, None, [stage.stop], ids, built.arrays)[0]
        behind = run_steps(built.features, stage.stop, [built.end], middle, built.arrays)[0]
        assert_allclose(behind, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_features_depend_on_the_text_alone(network, texts, engine):
    X, _ = texts
    extractor = extractor_of(network, engine=engine, cache=None).fit(X)
    expected = extractor.transform(X)
    assert_array_equal(extractor.transform(X[::-1])[::-1], expected)
    assert_array_equal(extractor.transform(X[7:8]), expected[7:8])
    ordered = sorted(range(len(X)), key=lambda row: len(X[row]))
    assert_array_equal(extractor.transform([X[row] for row in ordered]), expected[ordered])
    other = extractor_of(network, cache=None).fit(X).transform(X)
    assert_allclose(expected, other, rtol=0, atol=1e-5 * np.abs(other).max())


@pytest.fixture(scope="module")
def ids():
    """Rows of words of many lengths: so many that OpenVINO tries the network as one segment."""
    rng = np.random.default_rng(0)
    return as_rows(rng.integers(3, CONFIG.n_words, n) for n in rng.integers(1, 65, MANY_ROWS))


def as_rows(arrays):
    arrays = [array.astype(np.int32) for array in arrays]
    rows = np.empty(len(arrays), object)
    rows[:] = arrays
    return rows


@pytest.mark.parametrize("pooling", ["avg", "max", "cls", "last"])
def test_openvino_runs_texts_in_packs_that_change_no_bit(network, ids, pooling):
    built = network_of(network, ())
    part = feature_part(built, (built.features.steps[-1].name,), pooling, "openvino")
    assert isinstance(part.run, RowsInPacks) == built.takes_packs
    features = part(ids)
    assert_array_equal(part(ids[::-1])[::-1], features)
    assert_array_equal(np.concatenate([part(ids[[row]]) for row in range(len(ids))]), features)


def test_openvino_computes_the_same_bits_of_texts_from_every_cache_point(network, ids):
    built = network_of(network, ())
    steps = [point.step for point in cache_points_before(built, built.end, "openvino")]
    assert steps
    whole = prefix_part(built, None, built.end, "openvino")
    expected, *passed = whole.run((ids,), chosen=range(len(steps) + 1))
    assert_array_equal(whole(ids), expected)
    for step, activations in zip(steps, passed, strict=True):
        again = prefix_part(built, None, step, "openvino")(ids)
        assert_array_equal(np.concatenate(list(again)), np.concatenate(list(activations)))
        assert_array_equal(prefix_part(built, step, built.end, "openvino")(activations), expected)


def test_openvino_is_chosen_unless_texts_run_in_packs(network, texts, monkeypatch):
    X, _ = texts
    built = network_of(network, ())
    run = prefix_part(built, None, built.end, "tensorflow").run
    expected = "tensorflow" if run.n_positions else "openvino"
    assert extractor_of(network, engine="auto").fit(X).engine_ == expected
    monkeypatch.setattr(engine_selection, "_runs_in_packs", lambda *_: False)
    assert extractor_of(network, engine="auto").fit(X).engine_ == "openvino"


def test_order_and_company_change_no_bit_of_what_is_tuned(network, texts, fitted, probabilities):
    X, y = texts
    order = np.random.default_rng(0).permutation(len(y))
    again = classifier_of(network).fit([X[row] for row in order], y[order])
    assert_array_equal(again.predict_proba(X), probabilities)
    assert_array_equal(fitted.predict_proba(X[3:5]), probabilities[3:5])


def test_weights_are_repeated_rows(network, texts):
    X, y = texts
    weights = np.arange(len(y)) % 3
    repeated = np.repeat(np.arange(len(y)), weights)
    weighted = classifier_of(network).fit(X, y, sample_weight=weights)
    again = classifier_of(network).fit([X[row] for row in repeated], y[repeated])
    assert_array_equal(weighted.predict_proba(X), again.predict_proba(X))


def test_the_cache_changes_no_bit_and_each_text_runs_once(network, texts, probabilities, tmp_path):
    X, y = texts
    for cache in (None, tmp_path, tmp_path):
        assert_array_equal(
            classifier_of(network, cache=cache).fit(X, y).predict_proba(X), probabilities
        )
    computed = cache_info(tmp_path).rows_computed
    assert computed and max(computed.values()) == len(X)


def test_a_search_over_layers_and_depths_in_two_workers(network, texts, as_many_threads):
    X, y = texts
    grid = {"layer": ["embeddings", None], "freeze_depth": ["all"], "pooling": ["cls", "max"]}
    scores = []
    for n_jobs in (1, 2):
        with as_many_threads():
            search = GridSearchCV(classifier_of(network), grid, cv=2, n_jobs=n_jobs)
            scores.append(search.fit(X, y).cv_results_["mean_test_score"])
    assert_array_equal(*scores)


def test_saved_and_opened_it_predicts_the_same_bits(fitted, texts, probabilities, tmp_path):
    fitted.save(tmp_path / "model")
    assert_array_equal(load(tmp_path / "model").predict_proba(texts[0]), probabilities)


def test_frozen_means_frozen(network, fitted):
    step, state = fitted._train_steps()[-1], fitted._states[-1]
    tuned = step.tuned(network.weights, state.params, state.fixed)
    frozen = [np.array_equal(a, b) for a, b in zip(tuned, network.weights, strict=True)]
    last = [name.startswith("block2") for name in CONFIG.shapes()]
    assert all(frozen[i] for i, is_last in enumerate(last) if not is_last)
    assert not any(frozen[i] for i, is_last in enumerate(last) if is_last)


def test_keras_takes_tokens_and_agrees(fitted, texts, probabilities):
    model = fitted.to_keras()
    for row in (0, 5):
        ids = np.empty(1, object)
        fitted._encoding.source(fitted, [texts[0][row]]).load([0], (ids,))
        found = np.asarray(model(ids[0][np.newaxis], training=False))[0]
        assert_allclose(found, probabilities[row], atol=1e-4)


# Padding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize("pooling", ["avg", "max", "cls", "last"])
def test_padding_changes_nothing_of_what_counts(network, family, pooling):
    from skltransfer.backbones.hugging_face import folder_spec

    spec = network if family == "bert" else folder_spec(GPT2)
    built = network_of(spec, ())
    rng = np.random.default_rng(0)
    rows = [rng.integers(3, 300, length).astype(np.int32) for length in (2, 9, 5)]
    together, lengths = padded(rows)
    assert together.shape == (3, 16)
    found = run_steps(built.features, None, [built.end], together, built.arrays, lengths=lengths)
    alone = [
        pooled(run_steps(built.features, None, [built.end], row[None], built.arrays), pooling)[0]
        for row in rows
    ]
    assert_allclose(pooled(found, pooling, lengths), alone, rtol=0, atol=1e-5)


def test_training_on_padded_rows_has_the_gradient_of_rows_alone(fitted, texts):
    step, state = fitted._train_steps()[-1], fitted._states[-1].to_train()
    prefix, source = fitted._prefix(), fitted._encoding.source(fitted, texts[0][:8])
    rows = prefix.activations(source, step.freeze_point)[0]
    assert step.pads and rows.dtype == object
    targets = np.eye(2, dtype=np.float32)[texts[1][:8]]
    others = [np.ones((8, width), np.float32) for (width, *_) in step.head.shapes[::2]]
    arguments = state.params, state.fixed, state.standardizer
    ones = np.ones(8, np.float32)
    whole, loss = step.batch_gradient(8)(*arguments, rows, targets, ones, *others)
    alone = [
        step.batch_gradient(8)(*arguments, rows, targets, ones * (np.arange(8) == row), *others)
        for row in range(8)
    ]
    assert_allclose(np.sum([gradient for gradient, _ in alone], axis=0), whole, atol=1e-5)
    assert_allclose(sum(float(part) for _, part in alone), float(loss), rtol=1e-5)


def test_rows_of_alike_lengths_are_trained_on_together():
    from skltransfer.training.loop import _batches

    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    batches = list(_batches(1000, 16, np.random.default_rng(1), lengths))
    seen = np.concatenate([rows[real == 1] for rows, real in batches])
    assert_array_equal(np.sort(seen), np.arange(1000))
    spread = [np.ptp(lengths[rows[real == 1]]) for rows, real in batches]
    assert np.mean(spread) < 15
    assert {len(rows) for rows, _ in batches} == {16}


def test_prefixes_are_compiled_once_for_all_lengths(network):
    built = network_of(network, ())
    part = prefix_part(built, None, built.end, "tensorflow")
    assert part is prefix_part(built, None, built.end, "tensorflow")
    assert part.row_spec[0].is_ragged


def test_stages_are_timed(network):
    assert all(point.milliseconds > 0 for point in freeze_points(network))
