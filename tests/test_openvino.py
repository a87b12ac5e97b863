"""OpenVINO as the engine of the frozen part: the laws hold on it, and it is seldom in the way.

Laws 3, 4 and 8 are held here on each engine. Other tests take "auto", whatever that is.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV

from conftest import WHERE_THE_PACKAGE_IS
from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    cache_info,
    load,
    register_backbone,
)
from skltransfer.frozen import engine_selection as choosing
from skltransfer.frozen import engines
from skltransfer.frozen.engines import chained, engine_key_fields
from skltransfer.frozen.layer_features import feature_part
from skltransfer.frozen.openvino import ChainOrWhole, RowByRow
from skltransfer.frozen.prefix import cache_points_before, prefix_part, row_spec
from skltransfer.inputs._input import TensorSpec
from skltransfer.network.batch_invariance import MANY_ROWS
from skltransfer.network.packs import noise
from skltransfer.network.runtime import network_of
from toy_texts import make_network

pytest.importorskip("openvino")
pytestmark = pytest.mark.about("tensorflow", reason="OpenVINO takes its graph from it")

ENGINES = ["tensorflow", "openvino"]
RNG = np.random.default_rng(0)


@pytest.fixture
def is_missing(monkeypatch):
    """As if OpenVINO were not installed; called where it is to vanish."""

    def vanish():
        choosing._warn_of_another_engine.cache_clear()
        monkeypatch.setattr(choosing, "is_installed", lambda: False)

    return vanish


def close(found, expected):
    assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_training_that_goes_on_takes_the_engine_that_is_asked_for_now(call, make, X, y):
    classifier = make(engine="openvino", warm_start=True, epochs=0)
    arguments = (X, y, np.unique(y)) if call == "partial_fit" else (X, y)
    for engine in ("openvino", "tensorflow"):
        getattr(classifier.set_params(engine=engine), call)(*arguments)
        assert classifier.engine_ == engine


# The same features -----------------------------------------------------------------------------


def test_features_of_the_bundled_backbone_are_the_golden_ones(golden):
    images, features = golden
    extractor = PretrainedFeatureExtractor(engine="openvino", cache=None)
    close(extractor.fit_transform(images), features)
    assert extractor.engine_ == "openvino"


@pytest.mark.parametrize(
    "parameters",
    [{}, {"layer": ["stem", "top"]}, {"pooling": "flatten"}, {"input_size": (40, 30)}],
    ids=str,
)
def test_features_are_those_of_tensorflow(tiny, uneven, images, parameters):
    backbones = [tiny] if "layer" in parameters else [tiny, uneven]
    backbones = [tiny] if "input_size" in parameters else backbones
    for backbone in backbones:
        found, expected = (
            PretrainedFeatureExtractor(
                backbone, engine=engine, cache=None, **parameters
            ).fit_transform(images)
            for engine in reversed(ENGINES)
        )
        close(found, expected)


# Law 4: a row depends on nothing but itself ----------------------------------------------------


@pytest.mark.parametrize("backbone", ["tiny", "uneven"])
def test_order_company_and_number_of_rows_change_nothing(request, backbone, engine, images):
    backbone = request.getfixturevalue(backbone)
    extractor = PretrainedFeatureExtractor(backbone, engine=engine, cache=None).fit(images)
    features, order = extractor.transform(images), RNG.permutation(len(images))
    assert_array_equal(extractor.transform(images[order]), features[order])
    assert_array_equal(extractor.transform(images[2:7]), features[2:7])
    for row in range(len(images)):
        assert_array_equal(extractor.transform(images[row : row + 1]), features[row : row + 1])


ELSEWHERE = """
import joblib, sys
from skltransfer.frozen import openvino
openvino.computing_threads = lambda: int(sys.argv[2])
cases = joblib.load(sys.argv[1])
joblib.dump([extractor.transform(X) for extractor, X in cases], sys.argv[1] + sys.argv[2])
"""


def test_number_of_threads_and_process_change_nothing(golden, tiny, tmp_path):
    images = golden[0]
    texts = [" ".join(["c0b1 c1b2"] * (1 + number % 9)) for number in range(24)]
    backbones = {"efficientnet_lite0": images, tiny: images, make_network(): texts}
    cases = [
        (PretrainedFeatureExtractor(backbone, engine="openvino", cache=None).fit(X), X)
        for backbone, X in backbones.items()
    ]
    expected = [extractor.transform(X) for extractor, X in cases]
    joblib.dump(cases, tmp_path / "cases")
    for n_threads in ("1", "3"):
        command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "cases"), n_threads]
        subprocess.run(command, cwd=WHERE_THE_PACKAGE_IS, check=True, timeout=300)
        found = joblib.load(tmp_path / f"cases{n_threads}")
        for one, other in zip(found, expected, strict=True):
            assert_array_equal(one, other)


def test_threads_of_the_caller_do_not_disturb_each_other(tiny, engine, images):
    extractor = PretrainedFeatureExtractor(tiny, engine=engine, cache=None).fit(images)
    features = extractor.transform(images)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(extractor.transform, [images] * 12):
            assert_array_equal(found, features)


# From wherever the chain is entered ------------------------------------------------------------


def assert_cache_points_change_nothing(network, pixels):
    """Enter at each cache point, and freeze at each."""
    end = network.end
    steps = [point.step for point in cache_points_before(network, end, "openvino")]
    assert steps
    expected, *passed = prefix_part(network, None, end, "openvino").run(
        (pixels,), chosen=range(len(steps) + 1)
    )
    for step, rows in zip(steps, passed, strict=True):
        assert rows.shape[1:] == row_spec(network, step)[0].shape
        assert_array_equal(prefix_part(network, None, step, "openvino")(pixels), rows)
        assert_array_equal(prefix_part(network, step, end, "openvino")(rows), expected)


def test_a_row_has_the_same_bits_from_every_cache_point(tiny):
    pixels = RNG.uniform(0, 255, (5, 16, 16, 3)).astype(np.float32)
    assert_cache_points_change_nothing(network_of(tiny, (16, 16)), pixels)


def test_a_row_of_the_bundled_network_has_the_same_bits_from_every_cache_point(golden):
    images = golden[0].astype(np.float32)
    spec = PretrainedFeatureExtractor().fit(golden[0]).backbone_
    assert_cache_points_change_nothing(network_of(spec, (224, 224)), images)


class Piece:
    """Stands for a compiled one: adds a number, and counts how often."""

    result: ClassVar = TensorSpec((3,))

    def __init__(self, number):
        self.number = number
        self.n_calls = 0

    def __call__(self, row):
        self.n_calls += 1
        return row + np.float32(self.number)


@pytest.mark.parametrize("is_same", [True, False])
def test_many_rows_take_one_piece_if_that_changes_no_bit(is_same):
    pieces, whole = [Piece(1), Piece(2)], Piece(3 if is_same else 3.0001)
    rows = RNG.integers(100, size=(MANY_ROWS, 3)).astype(np.float32)
    chain = ChainOrWhole(RowByRow(pieces), lambda: RowByRow([whole]))
    few = np.concatenate([chain((rows[:3],))[0], chain((rows[3:],))[0]])
    assert whole.n_calls == 0
    assert_array_equal(chain((rows,))[0], few)
    assert_array_equal(chain((rows[:3],))[0], few[:3])
    assert (whole.n_calls > MANY_ROWS) == is_same
    _, between = chain((rows,), chosen=(0, 1))
    assert_array_equal(between, rows + np.float32(1))


@pytest.mark.parametrize("in_company", [0, 1e-6])
def test_a_chain_runs_in_packs_if_that_changes_no_bit(in_company):
    """Whether kernels of OpenVINO change bits depends on the processor; this does not."""
    spec = (TensorSpec((None, 3)),)

    def piece(x, lengths):
        return x + np.float32(1 + in_company * (len(lengths) - 1))

    piece.result = spec[0]
    run = chained([piece, piece], spec, trial=noise(spec)).run
    assert (run.n_positions > 0) == (in_company == 0)
    rows = np.empty(2, object)
    rows[:] = [np.zeros((n, 3), np.float32) for n in (2, 5)]
    whole, first = run((rows,), chosen=(0, 1))
    for found, expected in ((whole, 2), (first, 1)):
        assert all((row == expected).all() for row in found)


def test_many_rows_may_come_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(Piece, "result", TensorSpec((2048,)))
    whole, rows = Piece(3), np.ones((4, 2048), np.float32)
    chain = ChainOrWhole(RowByRow([Piece(1), Piece(2)]), lambda: RowByRow([whole]))
    for _ in range(MANY_ROWS // 4 - 1):
        chain((rows,))
    assert whole.n_calls == 0
    assert_array_equal(chain((rows,))[0], rows + 3)
    assert whole.n_calls > 0


def test_the_bundled_network_gets_the_same_bits_in_few_and_many_rows(golden):
    images = np.resize(golden[0], (MANY_ROWS, *golden[0].shape[1:]))
    extractor = PretrainedFeatureExtractor(engine="openvino", cache=None).fit(images)
    assert_array_equal(extractor.transform(images)[:3], extractor.transform(images[:3]))


# Law 3, and searches ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_computes_each_segment_once_and_scores_as_without_a_cache(
    tiny, X, y, tmp_path, as_many_threads, engine, n_jobs
):
    grid = {"freeze_depth": ["all", -1, 0], "head_units": [(), (4,)]}

    def scores(cache, n_jobs):
        classifier = FineTunedClassifier(
            tiny, engine=engine, cache=cache, epochs=1, batch_size=8, random_state=0
        )
        search = GridSearchCV(classifier, grid, cv=3, n_jobs=n_jobs, scoring="neg_log_loss")
        with as_many_threads():
            return search.fit(X, y).cv_results_["mean_test_score"]

    assert_array_equal(scores(tmp_path, n_jobs), scores(None, 1))
    assert cache_info(tmp_path).rows_computed == {"tiny:input:block": 24, "tiny:block:top": 24}


def test_what_one_engine_kept_is_not_the_others(tiny, images, tmp_path):
    for engine in ENGINES:
        cached, plain = (
            PretrainedFeatureExtractor(tiny, engine=engine, cache=cache).fit_transform(images)
            for cache in (tmp_path, None)
        )
        assert_array_equal(cached, plain)
    assert cache_info(tmp_path).entries == 2 * len(images)


def test_kernels_of_the_backend_are_part_of_the_key(monkeypatch):
    """They decide whether texts run in packs."""
    before = engine_key_fields("openvino")
    monkeypatch.setattr(engines, "kernels", lambda: "others")
    assert engine_key_fields("openvino") != before


# Law 8: elsewhere ------------------------------------------------------------------------------


def saved_and_loaded(estimator, tmp_path):
    estimator.save(tmp_path / "estimator")
    return load(tmp_path / "estimator")


def test_dumped_and_loaded_is_the_same(tiny, images, tmp_path):
    extractor = PretrainedFeatureExtractor(tiny, engine="openvino", cache=None).fit(images)
    features = extractor.transform(images)
    for again in (pickle.loads(pickle.dumps(extractor)), saved_and_loaded(extractor, tmp_path)):
        assert again.engine_ == "openvino"
        assert_array_equal(again.transform(images), features)


def test_without_openvino_tensorflow_computes_and_it_is_told_once(make, X, y, tmp_path, is_missing):
    extractor = PretrainedFeatureExtractor("tiny", engine="openvino", cache=None).fit(X)
    classifier = make(engine="openvino", cache=tmp_path / "cache").fit(X, y)
    features, probabilities = extractor.transform(X), classifier.predict_proba(X)
    again = saved_and_loaded(classifier, tmp_path)
    is_missing()
    with pytest.warns(UserWarning, match="fitted with engine='openvino', but here TensorFlow") as w:
        close(extractor.transform(X), features)
        assert_allclose(again.predict_proba(X), probabilities, atol=1e-5)
    assert len(w) == 1
    assert again.engine_ == "openvino"


# Which is chosen -------------------------------------------------------------------------------


def test_auto_takes_openvino_where_it_is(tiny, images, is_missing, monkeypatch):
    extractor = PretrainedFeatureExtractor(tiny)
    assert extractor.fit(images).engine_ == "openvino"
    monkeypatch.setattr(choosing, "_without_gpu", lambda: False)
    assert extractor.fit(images).engine_ == "tensorflow"
    monkeypatch.undo()
    is_missing()
    assert extractor.fit(images).engine_ == "tensorflow"


def test_asked_for_and_missing_is_an_error_with_the_command(tiny, images, is_missing):
    is_missing()
    with pytest.raises(ImportError, match=r"pip install 'skltransfer\[openvino\]'"):
        PretrainedFeatureExtractor(tiny, engine="openvino").fit(images)


@pytest.fixture
def strange():
    """A network with a step that OpenVINO does not know."""
    import keras

    from recording_backbone import Strange

    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    return register_backbone("strange", keras.Model(inputs, Strange()(x)))


def test_a_network_that_openvino_does_not_know_is_computed_by_tensorflow(strange, images, capsys):
    extractor = PretrainedFeatureExtractor(strange, cache=None, verbose=1).fit(images)
    assert extractor.engine_ == "tensorflow"
    told = " ".join(capsys.readouterr().err.split())
    assert "strange: TensorFlow computes the frozen part. OpenVINO cannot convert it" in told
    with pytest.raises(ValueError, match="cannot compute backbone='strange': OpenVINO cannot conv"):
        extractor.set_params(engine="openvino").fit(images)


def test_a_network_that_comes_out_different_is_computed_by_tensorflow(images, monkeypatch):
    from conftest import make_tiny_model

    handle = register_backbone("another", make_tiny_model(7))
    evaluated = choosing.evaluated
    monkeypatch.setattr(choosing, "evaluated", lambda *given: 1.001 * evaluated(*given))
    extractor = PretrainedFeatureExtractor(handle, cache=None)
    assert extractor.fit(images).engine_ == "tensorflow"
    with pytest.raises(ValueError, match="differ from TensorFlow's by 1e-03 of the largest"):
        extractor.set_params(engine="openvino").fit(images)


def test_infinities_are_of_the_network_and_cause_no_warning(images):
    import keras

    inputs = keras.Input((16, 16, 3))
    layer = keras.layers.Conv2D(4, 3, kernel_initializer=keras.initializers.Constant(1e38))
    handle = register_backbone("too_large", keras.Model(inputs, layer(inputs)))
    assert np.isinf(PretrainedFeatureExtractor(handle, cache=None).fit_transform(images)).all()


def test_parts_are_shared_by_estimators_and_not_by_engines(tiny):
    network = network_of(tiny, (16, 16))
    parts = [feature_part(network, ("stem",), "avg", engine) for engine in ENGINES]
    assert parts[0] is not parts[1]
    assert feature_part(network, ("stem",), "avg", "openvino") is parts[1]
