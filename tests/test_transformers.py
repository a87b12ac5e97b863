"""Networks of repeated blocks: where they are cut, and that all of the package takes them."""

from __future__ import annotations

from functools import cache, partial

import keras
import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV, cross_val_score

from conftest import rows_of_stretches
from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    cache_info,
    clear_cache,
    freeze_points,
    load,
    register_backbone,
)
from skltransfer.backbones.block_layers import with_blocks_apart
from skltransfer.backbones.building import build_model
from skltransfer.backend import as_array
from skltransfer.network.carried_input import row_shape, run_from
from skltransfer.network.execution import run_steps
from skltransfer.network.freeze_points import possible_freeze_points
from skltransfer.network.graph import graph_of
from skltransfer.network.runtime import network_of
from skltransfer.network.stages import find_stages
from toy_transformers import (
    SIDE,
    WIDTH,
    ConcreteEncoder,
    ScaledEncoder,
    bert,
    convnext,
    gpt,
    hybrid,
    isotropic_convnext,
    merging,
    mixer,
    of_encoder,
    parallel_block,
    post_norm_block,
    vit,
    without_positions,
)

RNG = np.random.default_rng(0)

BLOCKS = ["block0", "block1"]
STAGES = {
    "pre-norm": (vit, ["position", *BLOCKS, "final"]),
    "post-norm": (partial(vit, block=post_norm_block), ["position", *BLOCKS, "block2"]),
    "parallel": (partial(vit, block=parallel_block), ["position", *BLOCKS, "final"]),
    "mean of tokens": (partial(vit, has_class_token=False), ["position", *BLOCKS, "final"]),
    "without positions": (without_positions, ["tokens", *BLOCKS, "block2"]),
    "mixer": (mixer, ["tokens", *BLOCKS, "final"]),
    "isotropic ConvNeXt": (isotropic_convnext, ["stem", *BLOCKS, "final"]),
    "ConvNeXt": (convnext, ["wide1", "final"]),
    "hybrid": (hybrid, ["convolved4", "position", *BLOCKS, "final"]),
    "merging": (merging, ["position", "block0", "merged", "late0", "final"]),
    "BERT": (bert, ["embedded", *BLOCKS, "block2"]),
    "GPT": (gpt, ["words", *BLOCKS, "final"]),
    "masked BERT": (partial(bert, mask="layer"), ["embedded", *BLOCKS, "block2"]),
    "BERT with a mask": (partial(bert, mask="step"), ["embedded", *BLOCKS, "block2"]),
    "masked GPT": (partial(gpt, is_masked=True), ["words", *BLOCKS, "final"]),
}


@cache
def model_of(name):
    """A network of `STAGES`, built once for all tests of it."""
    return STAGES[name][0]()


def ends(model):
    return [stage.layer for stage in find_stages(graph_of(model))]


def rows_for(model):
    if model.inputs[0].dtype == "int32":
        return np.array([[7, 3, 0, 5, 0]], np.int32)
    return RNG.uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)


@pytest.mark.parametrize("name", STAGES)
def test_stages_are_the_embedding_and_one_for_each_block(name):
    assert ends(model_of(name)) == STAGES[name][1]


@pytest.mark.parametrize("name", STAGES)
def test_law_2_at_every_freeze_point_of_repeated_blocks(name):
    model = model_of(name)
    graph, x = graph_of(model), rows_for(model)
    expected = as_array(model(x, training=False))
    for point in possible_freeze_points(graph):
        (prefix,) = run_from(graph, None, [point], x)
        (found,) = run_from(graph, point, [len(graph.steps) - 1], prefix)
        assert np.abs(as_array(found) - expected).max() <= 1e-5 * np.abs(expected).max()
        assert prefix.ndim == 1 + len(row_shape(graph, point))


def test_blocks_within_one_layer_are_taken_apart(X, y, tmp_path):
    model = of_encoder()
    spec = register_backbone("of_encoder", model)
    found = network_of(spec, (SIDE, SIDE))
    assert [stage.layer for stage in found.stages] == ["position", *BLOCKS, "final"]
    x = rows_for(model)
    (features,) = run_steps(found.features, None, [found.end], x, found.arrays)
    assert_allclose(as_array(features), as_array(model(x)), rtol=1e-5, atol=1e-5)
    classifier = FineTunedClassifier(spec, freeze_depth=-1, epochs=1, random_state=0).fit(X, y)
    classifier.save(tmp_path / "model")
    assert_array_equal(load(tmp_path / "model").predict_proba(X), classifier.predict_proba(X))
    kept = as_array(classifier.to_keras()(X.astype(np.float32)))
    assert_allclose(kept, classifier.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("encoder", [ScaledEncoder, ConcreteEncoder])
def test_a_layer_that_does_more_than_call_its_blocks_stays_whole(encoder):
    model = of_encoder(encoder)
    assert with_blocks_apart(model) is model


@pytest.mark.parametrize("name", ["ViTBackbone", "DINOV2Backbone"])
def test_backbones_of_keras_hub_have_a_stage_for_each_block(name):
    hub = pytest.importorskip("keras_hub")
    options = {"num_layers": 3, "num_heads": 2, "hidden_dim": 16, "patch_size": 8}
    if name == "ViTBackbone":
        options["mlp_dim"] = 32
    else:
        options |= {"intermediate_dim": 32, "position_embedding_shape": (32, 32, 3)}
    model = getattr(hub.models, name)(image_shape=(32, 32, 3), **options)
    spec = register_backbone(name, model)
    points = freeze_points(spec, measure=False)
    assert len(points) == 4
    assert len({point.parameters for point in points[1:3]}) == 1
    images = RNG.uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
    found = PretrainedFeatureExtractor(spec, pooling="cls", pixel_range=(0, 255))
    expected = as_array(keras.Model(model.inputs[0], model.outputs[0])(images))[:, 0]
    assert_allclose(found.fit_transform(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["masked BERT", "BERT with a mask", "masked GPT"])
def test_masks_count_and_are_not_stored(name):
    model = model_of(name)
    graph, x = graph_of(model), rows_for(model)
    point = find_stages(graph)[0].stop
    (prefix,) = run_from(graph, None, [point], x)
    assert prefix.shape[1] == 1 + x.shape[1] * WIDTH + x.shape[1]  # a length, activations, words
    last = len(graph.steps) - 1
    (found,) = run_from(graph, point, [last], prefix)
    (unmasked,) = run_from(graph, point, [last], ops.concatenate([prefix[:, :-5], x * 0 + 1.0], 1))
    assert not np.allclose(as_array(found), as_array(unmasked), atol=1e-3)


def n_weights(model, first, last):
    """Weights of the layers from one to another, in the order of the model."""
    names = [layer.name for layer in model.layers]
    chosen = model.layers[names.index(first) + 1 : names.index(last) + 1]
    return sum(layer.count_params() for layer in chosen)


def test_a_transformer_of_twelve_blocks_has_thirteen_stages():
    model = vit(12, n_classes=5)
    points = freeze_points(model, measure=False)
    assert [point.layer for point in points[:3]] == ["position", "block0", "block1"]
    assert len(points) == 13
    assert points[-1].parameters == n_weights(model, "block10", "final")


@pytest.mark.parametrize("build", [bert, partial(vit, block=post_norm_block)])
def test_stages_by_name_end_behind_the_normalisation_too(build):
    stages = find_stages(graph_of(build()), r"^block(\d)")
    assert [stage.layer for stage in stages] in (
        ["embedded", *BLOCKS, "block2"],
        ["position", *BLOCKS, "block2"],
    )


def test_one_block_has_no_other_to_be_told_by():
    assert ends(vit(1)) == ["final"]


# Estimators -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def backbone():
    """A transformer with random weights."""
    model = vit(3, n_classes=5)
    model.set_weights([RNG.normal(0, 0.3, weight.shape) for weight in model.weights])
    return register_backbone("small_vit", model, preprocessing="tf")


def test_features_are_those_of_keras(backbone, X):
    model = build_model(backbone, (SIDE, SIDE))
    end = keras.Model(model.input, model.get_layer("final").output)
    tokens = as_array(end(X / np.float32(127.5) - 1))
    expected = {"avg": tokens.mean(axis=1), "max": tokens.max(axis=1), "cls": tokens[:, 0]}
    for pooling, features in expected.items():
        found = PretrainedFeatureExtractor(backbone, pooling=pooling).fit_transform(X)
        assert_allclose(found, features, rtol=1e-4, atol=1e-4)


def test_a_transformer_is_fitted_searched_cached_and_saved(backbone, X, y, tmp_path):
    clear_cache()
    settings = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "random_state": 0}
    depths = ["all", -1, 0]
    search = GridSearchCV(
        FineTunedClassifier(backbone, **settings), {"freeze_depth": depths}, cv=2, refit=False
    ).fit(X, y)
    computed = cache_info().rows_computed
    assert set(computed) >= {"small_vit:input:position", "small_vit:block1:final"}
    assert set(computed.values()) <= rows_of_stretches(len(X))
    uncached = FineTunedClassifier(backbone, **settings, cache=None)
    for depth, score in zip(depths, search.cv_results_["mean_test_score"], strict=True):
        uncached.set_params(freeze_depth=depth)
        assert cross_val_score(uncached, X, y, cv=2).mean() == score
    classifier = uncached.set_params(freeze_depth=-1).fit(X, y)
    expected = classifier.predict_proba(X)
    points = freeze_points(backbone, measure=False)
    assert classifier.n_trainable_params_ == points[-1].parameters + 2 * (WIDTH + 1)
    again = FineTunedClassifier(backbone, **settings, freeze_depth=-1).fit(X, y)
    assert_array_equal(again.predict_proba(X), expected)
    classifier.save(tmp_path / "vit.skltransfer")
    assert_array_equal(load(tmp_path / "vit.skltransfer").predict_proba(X), expected)
    kept = as_array(classifier.to_keras()(X.astype(np.float32)))
    assert_allclose(kept, expected, atol=1e-4)


def test_there_must_be_a_class_token_to_take(X, y, tiny):
    of_patches = vit(1, has_class_token=False)
    with pytest.raises(ValueError, match=r"has none: its 16 tokens are the 4 x 4 positions of 'pa"):
        PretrainedFeatureExtractor(of_patches, pooling="cls").fit(X)
    message = "the layer 'top' of backbone='tiny' makes 4 x 4 positions. Use 'avg' or 'max'."
    with pytest.raises(ValueError, match=message):
        PretrainedFeatureExtractor(tiny, pooling="cls").fit(X)
    with pytest.raises(ValueError, match=message):
        FineTunedClassifier(tiny, pooling="cls").fit(X, y)
