"""A new kind of target and a new kind of input each move in by one file, with all laws."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import skltransfer
from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor, cache_info, load
from skltransfer._numerics import NUMERICS_VERSION
from skltransfer.cache import open_cache
from skltransfer.estimators.base import begin
from skltransfer.frozen import frozen_prefix
from skltransfer.frozen.activation_pass import ActivationPass
from skltransfer.frozen.engines import compile_part
from skltransfer.frozen.resume_plan import ResumePlan
from skltransfer.inputs._input import TensorSpec
from toy_ordinal import FineTunedOrdinal
from toy_sequences import make_network, make_sequences

PACKAGE = Path(skltransfer.__file__).parent
DEPTHS = ["all", "first", 0]


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def sequences():
    return make_sequences()


@pytest.fixture
def graded(cats_and_dogs):
    """Images of three shades, and their grades."""
    images = cats_and_dogs[0].astype(int)
    grades = np.arange(len(images)) % 3
    return np.clip(images + 40 * grades[:, None, None, None], 0, 255).astype(np.uint8), grades


def fitted(kind, network, X, y, **settings):
    given = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "random_state": 0}
    return kind(network, **{**given, **settings}).fit(X, y)


def outputs(estimator, X):
    predict = getattr(estimator, "predict_proba", None) or estimator.predict_reached
    return predict(X)


@pytest.fixture(params=["grades of images", "labels of sequences", "grades of sequences"])
def case(request, tiny, network, sequences, graded):
    """An estimator's class, its backbone, X and y, of which one or both are toys."""
    if request.param == "grades of images":
        return FineTunedOrdinal, tiny, *graded
    kind = FineTunedOrdinal if request.param.startswith("grades") else FineTunedClassifier
    return kind, network, *sequences


def depths_of(case):
    return ["all", -1, 0] if case[1].name == "tiny" else DEPTHS


def taken(X, rows):
    return X[rows] if isinstance(X, np.ndarray) else [X[row] for row in rows]


# The laws --------------------------------------------------------------------------------------


def test_what_is_learned_is_better_than_a_guess(case):
    kind, network, X, y = case
    for depth in depths_of(case):
        found = fitted(kind, network, X, y, freeze_depth=depth, epochs=20)
        assert found.score(X, y) > 1.2 * max(np.bincount(y)) / len(y)


def test_integer_weights_are_repeated_rows_to_the_bit(case):
    kind, network, X, y = case
    weights = np.arange(len(y)) % 3
    repeated = np.repeat(np.arange(len(y)), weights)
    for depth in depths_of(case):
        weighted = clone(kind(network, freeze_depth=depth, epochs=2, random_state=0))
        weighted.fit(X, y, sample_weight=weights)
        again = clone(weighted).fit(taken(X, repeated), y[repeated])
        assert_array_equal(outputs(weighted, X), outputs(again, X))


def test_neither_order_nor_company_changes_a_bit(case):
    kind, network, X, y = case
    order = np.random.default_rng(0).permutation(len(y))
    for depth in depths_of(case):
        first = fitted(kind, network, X, y, freeze_depth=depth)
        expected = outputs(first, X)
        again = fitted(kind, network, taken(X, order), y[order], freeze_depth=depth)
        assert_array_equal(outputs(again, X), expected)
        assert_array_equal(outputs(first, taken(X, order)), expected[order])
        for row in (0, 5):
            assert_array_equal(outputs(first, taken(X, [row])), expected[[row]])


def test_the_cache_changes_no_bit_and_saves_passes(case, tmp_path):
    kind, network, X, y = case
    for depth in depths_of(case):
        settings = {"freeze_depth": depth}
        expected = outputs(fitted(kind, network, X, y, cache=None, **settings), X)
        for cache in ("memory", tmp_path):
            for _ in range(2):
                found = fitted(kind, network, X, y, cache=cache, **settings)
                assert_array_equal(outputs(found, X), expected)
    computed = cache_info(tmp_path).rows_computed
    assert computed and max(computed.values()) <= len(y)


def test_a_search_in_two_workers_scores_as_in_one(case, as_many_threads):
    kind, network, X, y = case
    grid = {"freeze_depth": depths_of(case)[:2], "head_units": [(4,)]}
    estimator = kind(network, epochs=2, random_state=0)
    scores = []
    for n_jobs in (1, 2):
        with as_many_threads():
            search = GridSearchCV(estimator, grid, cv=2, n_jobs=n_jobs, error_score="raise")
            scores.append(search.fit(X, y).cv_results_["mean_test_score"])
    assert_array_equal(*scores)


def test_saved_and_opened_it_predicts_the_same_bits(case, tmp_path):
    kind, network, X, y = case
    for number, depth in enumerate(depths_of(case)):
        found = fitted(kind, network, X, y, freeze_depth=depth, early_stopping=True)
        found.save(tmp_path / f"{number}.skltransfer")
        again = load(tmp_path / f"{number}.skltransfer")
        assert type(again) is kind
        assert_array_equal(outputs(again, X), outputs(found, X))
        assert again.history_ == found.history_


def test_a_process_that_lacks_the_registration_refuses_the_file_by_name(case, tmp_path):
    kind, network, X, y = case
    fitted(kind, network, X, y).save(tmp_path / "toy.skltransfer")
    script = "import sys, skltransfer; skltransfer.load(sys.argv[1])"
    command = [sys.executable, "-c", script, str(tmp_path / "toy.skltransfer")]
    told = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent).stderr
    name = "FineTunedOrdinal" if kind is FineTunedOrdinal else "sequence_input"
    assert f"it asks for the class '{name}'" in told or f"it asks for '{name}'" in told


def test_features_of_sequences_do_not_depend_on_company(network, sequences):
    X, _ = sequences
    for settings in ({}, {"pooling": "max"}, {"layer": ["first", "sum"]}):
        extractor = PretrainedFeatureExtractor(network, **settings).fit(X)
        expected = extractor.transform(X)
        assert_array_equal(extractor.transform(X[::-1])[::-1], expected)
        assert_array_equal(extractor.transform(X[7:8]), expected[7:8])


def test_sequences_agree_with_keras(network, sequences):
    X, y = sequences
    classifier = fitted(FineTunedClassifier, network, X, y, freeze_depth="first")
    model = classifier.to_keras()
    found = [np.asarray(model(row[np.newaxis], training=False))[0] for row in X]
    np.testing.assert_allclose(found, classifier.predict_proba(X), atol=1e-4)


def test_parameters_of_images_are_refused_for_sequences(network, sequences):
    X, _ = sequences
    extractor = PretrainedFeatureExtractor(network, resize="crop")
    with pytest.raises(ValueError, match="resize='crop' does not apply to backbone='toy_seq"):
        extractor.fit(X)
    with pytest.raises(ValueError, match="pooling='flatten' needs rows of one length"):
        PretrainedFeatureExtractor(network, pooling="flatten").fit(X)


def test_views_are_refused_for_sequences(network, sequences):
    X, y = sequences
    with pytest.raises(ValueError, match="augment='flip' is not one of None"):
        FineTunedClassifier(network, augment="flip").fit(X, y)


def test_cross_validation_takes_sequences(network, sequences):
    X, y = sequences
    scores = cross_val_score(FineTunedClassifier(network, random_state=0), X, y, cv=3)
    assert np.isfinite(scores).all()


# The two sentences of the design ---------------------------------------------------------------

KINDS = {"image", "images", "pixels", "tabular_encoding", "texts"}
OF_TEXTS = ("inputs/texts/", "backbones/texts.py", "backbones/hugging_face.py")
OF_SOUNDS = ("inputs/sounds/", "backbones/sounds.py")
OF_KINDS = ("inputs/images/", "inputs/rows/", "backbones/images.py", *OF_TEXTS, *OF_SOUNDS)
NAMING = {  # exempt by name: what users see, and what files hold
    *("__init__.py", "inputs/__init__.py", "backbones/__init__.py", "inputs/errors.py"),
    "_warnings.py",
    *("persistence/tenants.py", "persistence/protocol_1.py"),
    *("backbones/registry.py", "persistence/backbones.py"),
}
KINDS_OF_TARGETS = (
    *("tasks/classification", "tasks/multilabel", "tasks/regression"),
    *("estimators/classifier", "estimators/regressor"),
)


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = [
    pytest.param(name := path.relative_to(PACKAGE).as_posix(), parsed(path), id=name)
    for path in sorted(PACKAGE.rglob("*.py"))
]


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def literals(tree):
    """Strings of code, docstrings and messages left out: those of one word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def is_exempt(name):
    return name in NAMING or name.startswith(("displays/", *OF_KINDS))


@pytest.mark.parametrize("name, tree", MODULES)
def test_no_module_outside_names_a_kind_of_input(name, tree):
    if is_exempt(name):
        return
    parts = ("inputs.images", "inputs.rows", "inputs.texts", "backbones.images", "backbones.texts")
    kinds = tuple(f"skltransfer.{part}" for part in parts)
    assert not [full for full in imports(tree) if full.startswith(kinds)]
    assert KINDS.isdisjoint(literals(tree))


@pytest.mark.parametrize("name, tree", MODULES)
def test_no_module_outside_names_a_task(name, tree):
    if name.startswith((*KINDS_OF_TARGETS, "persistence/")):
        return
    kinds = tuple(f"skltransfer.{kind.replace('/', '.')}" for kind in KINDS_OF_TARGETS[:3])
    assert not [full for full in imports(tree) if full.startswith(kinds)]
    assert not {"classes_", "class_weight"}.intersection(literals(tree))


# What the toys do not need ---------------------------------------------------------------------


class Pairs:
    """Rows of two tensors, one of them of whole numbers."""

    is_at_hand = True
    spec = (TensorSpec((2,), "int32"), TensorSpec((3,)))

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def digest(self, row):
        return bytes([self.rows[row]]) * 32

    def still_has(self, row, digest):
        return True

    def load(self, rows, out):
        for place, row in enumerate(rows):
            out[0][place], out[1][place] = self.rows[row], self.rows[row] / 10

    def take(self, rows):
        return Pairs([self.rows[row] for row in rows])


def test_rows_of_several_tensors_with_their_dtypes_run_through_a_pass():
    from keras import ops

    def compute(whole, fractions):
        return ops.sum(ops.cast(whole, "float32"), axis=1, keepdims=True) + fractions

    trial = tuple(np.ones((4, *tensor.shape), tensor.dtype) for tensor in Pairs.spec)
    part = compile_part(compute, Pairs.spec, trial=trial)
    one_pass = ActivationPass(
        source=Pairs([3, 1, 4, 1, 5]),
        find_plans=lambda: [ResumePlan("X", lambda: part)],
        output=part.output,
        block_rows=4,
        cache=open_cache("memory"),
        namespace=b"pairs",
        locks=b"pairs",
    )
    expected = np.array([[2.1 * value] * 3 for value in (3, 1, 4, 1, 5)])
    np.testing.assert_allclose(one_pass.run(), expected, rtol=1e-6)


def test_namespaces_go_by_the_version_of_the_numbers_and_not_of_the_package(tiny, X, monkeypatch):
    def namespace():
        prefix, _ = begin(FineTunedClassifier(tiny), X)
        return prefix.namespace_at(None)

    before = namespace()
    monkeypatch.setattr(skltransfer, "__version__", "99.0")
    assert namespace() == before
    monkeypatch.setattr(frozen_prefix, "NUMERICS_VERSION", NUMERICS_VERSION + 1)
    assert namespace() != before


@pytest.mark.parametrize("depth", ["all", -1])
def test_a_network_ends_at_the_layer_that_is_asked_for(tiny, X, y, depth):
    ended = fitted(FineTunedClassifier, tiny, X, y, layer="block", freeze_depth=depth)
    whole = fitted(FineTunedClassifier, tiny, X, y, freeze_depth=depth)
    assert ended.n_trainable_params_ != whole.n_trainable_params_
    features = PretrainedFeatureExtractor(tiny, layer="block").fit_transform(X)
    assert ended._states[-1].standardizer.shape[1] == features.shape[1]
    model = ended.to_keras()
    found = np.asarray(model(X.astype(np.float32), training=False))
    np.testing.assert_allclose(found, ended.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
def test_the_head_sees_what_the_extractor_gives(tiny, X, y, pooling):
    classifier = fitted(FineTunedClassifier, tiny, X, y, freeze_depth="all", pooling=pooling)
    features = PretrainedFeatureExtractor(tiny, pooling=pooling).fit_transform(X)
    mean = classifier._states[-1].standardizer[0]
    np.testing.assert_allclose(mean, features.mean(axis=0), rtol=1e-5, atol=1e-5)


def test_a_grid_over_layers_and_poolings_runs(tiny, X, y):
    grid = {"layer": [None, "stem", "block"], "pooling": [None, "max"], "freeze_depth": ["all", 0]}
    search = GridSearchCV(FineTunedClassifier(tiny, epochs=1, random_state=0), grid, cv=2)
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


def test_a_layer_that_is_none_is_told_with_similar_names(tiny, X, y):
    with pytest.raises(ValueError, match="layer='blok' is not a layer of backbone='tiny'. Did you"):
        FineTunedClassifier(tiny, layer="blok").fit(X, y)
