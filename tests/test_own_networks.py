"""Keras models of unusual make as backbones: all of them learn, and none is cut short."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal

from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    cache_info,
    clear_cache,
    freeze_points,
    register_backbone,
)
from skltransfer.backend import as_array, backend_name

X = np.random.default_rng(0).integers(0, 256, (8, 16, 20, 3), dtype=np.uint8)
Y = np.arange(8) % 2
IN_FLOAT64 = pytest.mark.skipif(backend_name() == "jax", reason="JAX shortens it, and warns")


def normalised(x, channels=6, **options):
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False, **options)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def convolutional(channels=6):
    inputs = layers.Input(X.shape[1:])
    x = layers.Rescaling(1 / 255)(inputs)
    x = normalised(x, channels, strides=2)
    return keras.Model(inputs, normalised(x, channels, strides=2))


def of_policy(policy):
    """The same network, all layers of which compute as the policy says."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return convolutional()
    finally:
        keras.config.set_dtype_policy(before)


def fitted(model, **settings):
    return FineTunedClassifier(model, epochs=1, random_state=0, **settings).fit(X, Y)


def assert_the_keras_model_agrees(classifier, atol):
    found = as_array(classifier.to_keras()(X.astype(np.float32)))
    assert_allclose(found, classifier.predict_proba(X), atol=atol)


# what was frozen in Keras ------------------------------------------------------------------


def frozen_whole(model):
    model.trainable = False
    return model


def frozen_by_layers(model):
    for layer in model.layers:
        layer.trainable = False
    return model


def frozen_base(model):
    inputs = layers.Input(X.shape[1:])
    model.trainable = False
    return keras.Model(inputs, model(inputs, training=False))


@pytest.mark.parametrize("frozen", [frozen_whole, frozen_by_layers, frozen_base])
def test_what_learns_is_said_by_the_freeze_depth_alone(frozen):
    def facts(model):
        counts = [fitted(model, freeze_depth=k).n_trainable_params_ for k in ("all", -1, 0)]
        return len(freeze_points(model, measure=False)), counts

    assert facts(frozen(convolutional())) == facts(convolutional())


# where the features end --------------------------------------------------------------------


def transformer():
    inputs = layers.Input(X.shape[1:])
    x = layers.Conv2D(8, 4, strides=4)(layers.Rescaling(1 / 255)(inputs))
    x = layers.Reshape((-1, 8))(x)
    z = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(z, z)])
    x = layers.LayerNormalization(name="tokens")(x)
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling1D()(x)))


def down_to_one_position():
    inputs = layers.Input(X.shape[1:])
    x = normalised(layers.Rescaling(1 / 255)(inputs), strides=4)
    x = layers.Conv2D(4, (4, 5), activation="relu", name="one_position")(x)
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(5, 1)(x)
    return keras.Model(inputs, layers.Flatten()(x))


@pytest.mark.parametrize(
    ("build", "end", "n_top"), [(transformer, "tokens", 45), (down_to_one_position, None, 25)]
)
def test_all_before_the_top_is_the_backbone(build, end, n_top):
    model = build()
    extractor = PretrainedFeatureExtractor(model).fit(X)
    end = end or "one_position"
    maps = keras.Model(model.input, model.get_layer(end).output)(X.astype(np.float32))
    expected = as_array(maps).reshape(len(X), -1, maps.shape[-1]).mean(axis=1)
    assert_allclose(extractor.transform(X), expected, rtol=1e-4, atol=1e-5)
    head = 2 * (expected.shape[1] + 1)
    learned = sum(int(np.prod(v.shape)) for v in model.trainable_weights) - n_top
    assert fitted(model, freeze_depth=0).n_trainable_params_ == learned + head


def test_classifiers_of_tokens_agree_with_their_keras_model():
    assert_the_keras_model_agrees(fitted(transformer(), freeze_depth=0), 1e-4)


# normalisation by the batch ----------------------------------------------------------------


def adapted(model):
    """BatchNorm's means and variances after one look at all images in one batch."""
    classifier = FineTunedClassifier(
        model, freeze_depth=0, batch_norm="adapt", epochs=0, batch_size=len(X), random_state=0
    )
    backbone = classifier.fit(X, Y).to_keras().get_layer("backbone")
    norms = [layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)]
    return [(as_array(n.moving_mean), as_array(n.moving_variance)) for n in norms]


def moments_of(maps):
    maps = maps.astype(float)
    return maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))


@pytest.mark.parametrize("channels", [3, 6, 8])
def test_statistics_are_the_moments_of_the_images_whatever_the_channels(channels):
    model = convolutional(channels)
    first = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
    maps = keras.Model(model.input, first.output)(X.astype(np.float32))
    expected = moments_of(as_array(maps))
    assert_allclose(adapted(model)[0], expected, rtol=1e-4, atol=1e-6)


def test_a_normalisation_that_is_called_twice_has_the_mean_of_both_calls():
    inputs = layers.Input(X.shape[1:])
    norm = layers.BatchNormalization()
    x = layers.Rescaling(1 / 255)(inputs)
    scaled = layers.Rescaling(3.0)(x)
    joined = layers.Concatenate()([norm(x), norm(scaled)])
    model = keras.Model(inputs, layers.Conv2D(4, 3)(joined))
    pixels = X / 255.0
    expected = np.mean([moments_of(pixels), moments_of(3 * pixels)], axis=0)
    assert_allclose(adapted(model)[0], expected, rtol=1e-4)


# number formats ----------------------------------------------------------------------------


@pytest.mark.parametrize("batch_norm", ["frozen", "train", "adapt"])
@pytest.mark.parametrize("policy", [pytest.param("float64", marks=IN_FLOAT64), "mixed_float16"])
def test_models_of_any_number_format_learn(policy, batch_norm):
    classifier = fitted(of_policy(policy), freeze_depth=0, batch_norm=batch_norm)
    assert np.isfinite(classifier.history_["loss"]).all()
    assert_the_keras_model_agrees(classifier, 1e-4 if policy == "float64" else 0.05)


def test_the_keras_model_pools_in_float32():
    """In float16, a sum over many positions overflows."""
    inputs = layers.Input((64, 64, 3))
    options = {"activation": "relu", "kernel_initializer": "ones", "dtype": "float16"}
    model = keras.Model(inputs, layers.Conv2D(2, 1, **options)(inputs))
    images = np.full((4, 64, 64, 3), 200, np.uint8)
    images[::2] //= 2
    settings = {"freeze_depth": "all", "epochs": 0, "random_state": 0}
    classifier = FineTunedClassifier(model, **settings).fit(images, [0, 1] * 2)
    found = as_array(classifier.to_keras()(images.astype(np.float32)))
    assert_allclose(found, classifier.predict_proba(images), atol=1e-3)


# variables that are neither trained nor moments ------------------------------------------------


def with_statistics_of_pixels():
    """A network that begins as EfficientNet does: Normalization counts what it was adapted to."""
    inputs = layers.Input(X.shape[1:])
    adapted_to_pixels = layers.Normalization()
    adapted_to_pixels.adapt(X.astype(np.float32))
    x = normalised(adapted_to_pixels(inputs), strides=2)
    return keras.Model(inputs, normalised(x, strides=2))


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_a_network_with_counters_learns_whole(batch_norm):
    classifier = fitted(with_statistics_of_pixels(), freeze_depth=0, batch_norm=batch_norm)
    assert classifier.n_trainable_params_ > 0
    assert_the_keras_model_agrees(classifier, atol=1e-5)


# names of layers ---------------------------------------------------------------------------


def unnamed():
    layers.Conv2D(1, 1)  # draws a number of its own
    inputs = layers.Input(X.shape[1:])
    x = layers.Conv2D(3, 3)(inputs)
    x = layers.Conv2D(4, 3)(x) + 1.0
    return keras.Model(inputs, layers.Conv2D(5, 3)(x))


def unnamed_sequence():
    layers.Conv2D(1, 1)
    return keras.Sequential([layers.Input(X.shape[1:]), layers.Conv2D(3, 3), layers.Conv2D(4, 3)])


def as_file(model, tmp_path):
    model.save(tmp_path / "own.keras")
    return tmp_path / "own.keras"


@pytest.mark.parametrize("build", [unnamed, unnamed_sequence])
@pytest.mark.parametrize("given_as", [lambda model, folder: model, as_file])
def test_layers_have_the_names_that_the_model_gives_them(build, given_as, tmp_path):
    model = build()
    for layer in model.layers[-2:]:
        part = keras.Model(model.inputs[0], layer.output)(X.astype(np.float32))
        extractor = PretrainedFeatureExtractor(given_as(model, tmp_path), layer=layer.name)
        expected = as_array(part).mean(axis=(1, 2))
        assert_allclose(extractor.fit_transform(X), expected, rtol=1e-4)
    stages = [stage.layer for stage in freeze_points(model, measure=False)]
    assert stages[-1] == model.layers[-1].name


def test_a_layer_may_be_named_like_those_that_keras_numbers():
    inputs = layers.Input(X.shape[1:])
    outputs = layers.Conv2D(4, 3, name="conv2d_7")(layers.Conv2D(3, 3, name="conv2d_9")(inputs))
    extractor = PretrainedFeatureExtractor(keras.Model(inputs, outputs), layer="conv2d_9")
    assert extractor.fit(X).layers_ == ("conv2d_9",)


def test_models_that_differ_in_numbers_of_layers_alone_share_what_is_computed():
    first, second = unnamed(), unnamed()
    second.set_weights(first.get_weights())
    clear_cache()
    features, twice = (
        PretrainedFeatureExtractor(model, layer=model.layers[1].name).fit_transform(X)
        for model in (first, second)
    )
    assert_array_equal(twice, features)
    assert sum(cache_info().rows_computed.values()) == len(X)
    with pytest.raises(ValueError, match="is not a layer of backbone"):
        PretrainedFeatureExtractor(second, layer=first.layers[1].name).fit(X)


def test_layers_of_a_builder_are_numbered_from_the_start():
    handle = register_backbone("unnamed", unnamed)
    assert [stage.layer for stage in freeze_points(handle)] == ["conv2d_2"]
    extractor = PretrainedFeatureExtractor(handle, layer=["conv2d", "conv2d_1"])
    assert extractor.fit(X).transform(X).shape == (len(X), 3 + 4)


def of_blocks():
    """Its blocks call their layers alike, one as Keras calls an input, and one is there twice."""

    def block(index, channels):
        inputs = layers.Input((None, None, channels), name="given")
        x = layers.Conv2D(4, 3, padding="same", name="input_layer")(inputs)
        return keras.Model(inputs, layers.ReLU(name="relu")(x), name=f"block{index}")

    inputs = layers.Input(X.shape[1:], name="pixels")
    x = layers.Rescaling(1 / 255, name="relu")(inputs)
    twice = block(0, 4)
    return keras.Model(inputs, twice(twice(block(1, 3)(x))))


def test_the_keras_model_tells_layers_of_one_name_apart(tmp_path):
    model = of_blocks()
    classifier = fitted(model, freeze_depth=0)
    expected = classifier.predict_proba(X)
    keras.utils.clear_session()  # so that the next input that nobody names is "input_layer"
    exported = classifier.to_keras()
    names = [layer.name for layer in exported.get_layer("backbone").layers[1:]]
    assert names == ["relu", "input_layer", "relu_1", "input_layer_1", "relu_2"]
    exported.save(tmp_path / "exported.keras")
    for made in exported, keras.saving.load_model(tmp_path / "exported.keras"):
        assert_allclose(as_array(made(X.astype(np.float32))), expected, atol=1e-4)


def of_equal_names():
    """Layers of several classes share a name; "relu" is a setting, too."""

    def block(x, layer):
        inputs = layers.Input((None, None, 4))
        convolution = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")
        return keras.Model(inputs, layer(convolution(inputs)), name=f"with_{layer.name}")(x)

    layers.Conv2D(1, 1)  # draws a number of its own
    inputs = layers.Input(X.shape[1:])
    unnamed = layers.Conv2D(4, 3, activation="relu")
    x = block(unnamed(inputs), layers.ReLU(name="relu"))
    x = layers.MaxPooling2D(name="relu")(block(x, layers.Activation("elu", name=unnamed.name)))
    return keras.Model(inputs, layers.Conv2D(4, 3)(x))


def test_a_builder_may_give_one_name_to_layers_of_several_classes():
    keras.utils.set_random_seed(0)
    model = of_equal_names()
    keras.utils.set_random_seed(0)
    handle = register_backbone("equal names", of_equal_names)
    names = ["conv2d", "relu", "relu_1", "conv2d_1"]
    extractor = PretrainedFeatureExtractor(handle, layer=names, cache=None)
    expected = as_array(model(X.astype(np.float32))).mean(axis=(1, 2))
    assert_allclose(extractor.fit_transform(X)[:, -4:], expected, rtol=1e-3)


# layers that are not what their kind says --------------------------------------------------


@keras.saving.register_keras_serializable("skltransfer tests")
class CentredConv2D(layers.Conv2D):
    """Its kernel has no mean."""

    def call(self, x):
        kernel = self.kernel - keras.ops.mean(self.kernel, axis=(0, 1, 2))
        return keras.ops.conv(x, kernel, self.strides, self.padding)


def with_norm(layer):
    inputs = layers.Input(X.shape[1:])
    x = layers.BatchNormalization()(layer(layers.Rescaling(1 / 255)(inputs)))
    return keras.Model(inputs, layers.Conv2D(5, 3, use_bias=False)(x))


def with_lora():
    """A convolution beside whose kernel a product of two small ones learns."""
    model = with_norm(convolution := layers.Conv2D(4, 3))
    convolution.enable_lora(2)
    convolution.lora_kernel_b.assign(np.ones(convolution.lora_kernel_b.shape, np.float32))
    return model


def normalised_in_float16():
    inputs = layers.Input(X.shape[1:])
    x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, layers.Conv2D(5, 3)(layers.LayerNormalization(dtype="float16")(x)))


@pytest.mark.parametrize(
    ("build", "rtol"),
    [
        (lambda: with_norm(CentredConv2D(4, 3)), 1e-5),
        (with_lora, 1e-5),
        (lambda: with_norm(layers.Conv2D(4, 3, dtype="bfloat16")), 0.05),
        (normalised_in_float16, 0.01),
    ],
)
def test_layers_compute_what_they_compute_in_keras(build, rtol):
    model = build()
    expected = as_array(model(X.astype(np.float32))).mean(axis=(1, 2))
    features = PretrainedFeatureExtractor(model, cache=None).fit_transform(X)
    assert_allclose(features, expected, rtol=0, atol=rtol * np.abs(expected).max())


def test_quantised_layers_keep_their_format():
    inputs = layers.Input(X.shape[1:])
    dense = layers.Dense(5)
    x = dense(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(inputs)))
    model = keras.Model(inputs, x)
    dense.quantize("int8")
    expected = as_array(model(X.astype(np.float32))).mean(axis=(1, 2))
    extractor = PretrainedFeatureExtractor(model, precision="bfloat16", cache=None)
    scale = np.abs(expected).max()
    assert_allclose(extractor.fit_transform(X), expected, rtol=0, atol=0.05 * scale)


def test_a_layer_of_several_tensors_gives_no_features():
    inputs = layers.Input(X.shape[1:])
    left, right = keras.ops.split(layers.Conv2D(4, 3)(inputs), 2, axis=-1)
    model = keras.Model(inputs, layers.Conv2D(2, 3)(left * right))
    name = next(made.name for made in model.operations if made.name.startswith("split"))
    with pytest.raises(ValueError, match="makes several tensors, but features come from one"):
        PretrainedFeatureExtractor(model, layer=name).fit(X)


# layers on both sides of a cut -------------------------------------------------------------


def called_twice():
    inputs = layers.Input(X.shape[1:])
    shared = layers.Conv2D(6, 3, padding="same", activation="relu", name="shared")
    x = normalised(layers.Rescaling(1 / 255)(inputs), strides=2)
    x = layers.MaxPooling2D(name="between")(shared(x))
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(shared(x))
    return keras.Model(inputs, x)


def test_what_is_frozen_stays_as_it_is_where_a_layer_is_called_twice():
    model = called_twice()
    n_stages = len(freeze_points(model, measure=False))
    for depth in range(n_stages + 1):
        classifier = fitted(model, freeze_depth=depth, learning_rate=0.05)
        assert_the_keras_model_agrees(classifier, 1e-4)
    frozen = freeze_points(model, measure=False)[-1].frozen_parameters
    assert frozen == model.count_params()
    with pytest.raises(
        ValueError, match="a layer is called both before and after it, so it cannot be the last"
    ):
        fitted(model, freeze_depth="between")


# models in models -----------------------------------------------------------------------------


def difference(inputs, first, second):
    """A model that takes its second tensor, called "a", from its first, called "z"."""
    return keras.Model(inputs, layers.Subtract()([first, second]), name="difference")


def two_inputs():
    return (keras.Input((16, 20, 4), name=name) for name in "za")


def of_list():
    z, a = two_inputs()
    return difference([z, a], z, a)


def of_dict():
    z, a = two_inputs()
    return difference({"z": z, "a": a}, z, a)


def of_nested():
    z, a = two_inputs()
    return difference([{"it": [z]}, a], z, a)


def of_sequence():
    return keras.Sequential([of_list(), layers.ReLU()])


def of_tensor():
    """It takes the second tensor from none."""
    tensor = keras.Input((16, 20, 4), name="a")
    return keras.Model(tensor, -tensor)


def of_sequence_with_an_input():
    return keras.Sequential([layers.Input((16, 20, 4), name="a"), layers.ReLU()])


def of_two_tensors_on_the_way():
    tensor = keras.Input((16, 20, 4))
    both = {"z": 2 * tensor, "a": layers.ReLU()(tensor)}
    return keras.Sequential([layers.ReLU(), keras.Model(tensor, both), of_list()])


@pytest.mark.parametrize(
    ("build", "call"),
    [
        (of_list, lambda model, z, a: model([z, a])),
        (of_list, lambda model, z, a: model((z, a))),
        (of_list, lambda model, z, a: model({"z": z, "a": a})),
        (of_list, lambda model, z, a: model(inputs={"a": a, "z": z, "besides": z + a})),
        (of_dict, lambda model, z, a: model({"z": z, "a": a})),
        (of_nested, lambda model, z, a: model([{"it": (z,)}, a])),
        (of_nested, lambda model, z, a: model(({"it": [z]}, a), training=False)),
        (of_sequence, lambda model, z, a: model([z, a])),
        (of_sequence, lambda model, z, a: model({"z": z, "a": a})),
        (of_tensor, lambda model, z, a: model({"a": a, "z": z})),
        (of_sequence_with_an_input, lambda model, z, a: model({"a": a, "Z": z})),
        (of_two_tensors_on_the_way, lambda model, z, a: model(a)),
    ],
)
def test_models_in_models_read_what_keras_gives_them(build, call):
    inputs = layers.Input(X.shape[1:])
    z = layers.Conv2D(4, 3, padding="same")(layers.Rescaling(1 / 255)(inputs))
    a = layers.Conv2D(4, 3, padding="same")(z)
    model = keras.Model(inputs, call(build(), z, a))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras tells of a dict for one tensor, and takes it
        expected = as_array(model(X.astype(np.float32))).mean(axis=(1, 2))
    features = PretrainedFeatureExtractor(model, cache=None).fit_transform(X)
    assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


# numbers that are too large, and statistics of few rows ------------------------------------


def test_a_row_for_which_the_network_overflows_is_named():
    inputs = layers.Input((16, 16, 3))
    options = {"activation": "relu", "kernel_initializer": "ones"}
    x = layers.Conv2D(2, 5, **options)(layers.Conv2D(2, 5, **options)(inputs))
    dark = np.random.default_rng(0).integers(0, 3, (6, 16, 16, 3), dtype=np.uint8)
    settings = {"freeze_depth": "all", "precision": "float16", "pixel_range": (0, 255)}
    classifier = FineTunedClassifier(keras.Model(inputs, x), cache=None, **settings)
    classifier.fit(dark, [0, 1] * 3)
    dark[4] = 250
    with pytest.raises(ValueError, match=r"gives NaN or infinity for row 4 of X, and for 1 of 6"):
        classifier.predict(dark)


def test_one_row_more_moves_the_statistics_by_its_share():
    settings = {"freeze_depth": 0, "batch_norm": "train", "random_state": 0}
    classifier = FineTunedClassifier(convolutional(), **settings)
    for _ in range(5):
        classifier.partial_fit(X, Y, [0, 1])
    before = classifier._states[-1].fixed
    classifier.set_params(learning_rate=1e-12).partial_fit(X[:1], Y[:1])
    moved = np.abs(classifier._states[-1].fixed - before)
    assert 0 < moved.max() < np.abs(before).max() / len(X)


# masks and number formats of the input -----------------------------------------------------------


BLACK_BELOW = X * (np.arange(16) < 8)[:, None, None].astype(np.uint8)
"""Images whose lower rows are masked out."""


def masked(*between):
    """Attention over the rows of an image, which looks at a mask that layers between hand on."""
    inputs = layers.Input(X.shape[1:])
    x = layers.Reshape((16, 60))(layers.Rescaling(1 / 255)(inputs))
    x = layers.Masking()(x)
    for layer in between:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(4)(layers.MultiHeadAttention(2, 3)(x, x)))


@pytest.mark.parametrize("between", [layers.LayerNormalization, layers.ReLU])
def test_masks_reach_the_layers_that_look_at_them(between):
    model = masked(between())
    extractor = PretrainedFeatureExtractor(model, pooling="flatten", pixel_range=(0, 255))
    found = extractor.fit_transform(BLACK_BELOW)
    expected = as_array(model(BLACK_BELOW.astype(np.float32))).reshape(len(X), -1)
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected, as_array(model(X.astype(np.float32))).reshape(len(X), -1))


def test_a_mask_is_computed_anew_at_every_freeze_point():
    model = masked(layers.Dense(6, activation="relu", name="masked"))
    for depth in ["masked", *range(len(freeze_points(model, measure=False)) + 1)]:
        settings = {"freeze_depth": depth, "pixel_range": (0, 255), "random_state": 0}
        classifier = FineTunedClassifier(model, epochs=1, **settings).fit(BLACK_BELOW, Y)
        found = as_array(classifier.to_keras()(BLACK_BELOW.astype(np.float32)))
        assert_allclose(found, classifier.predict_proba(BLACK_BELOW), atol=1e-4)


def test_no_cut_parts_a_mask_of_what_was_learned_from_the_layers_that_look_at_it():
    inputs = layers.Input(X.shape[1:])
    x = layers.Dense(6, activation="relu")(layers.Reshape((16, 60))(inputs))
    x = layers.Dense(6, activation="relu", name="masked")(layers.Masking()(x))
    model = keras.Model(inputs, layers.Dense(4)(layers.MultiHeadAttention(2, 3)(x, x)))
    with pytest.raises(
        ValueError, match="freeze_depth='masked' .* its output has a mask that is not"
    ):
        fitted(model, freeze_depth="masked")


def of_whole_numbers():
    """A network that computes with the bytes of an image, and ends at 255."""
    inputs = layers.Input(X.shape[1:], dtype="uint8")
    return keras.Model(inputs, layers.Conv2D(4, 3)(keras.ops.cast(inputs * 2, "float32") / 255))


def test_a_network_gets_the_number_format_that_it_takes():
    model = of_whole_numbers()
    extractor = PretrainedFeatureExtractor(model, pooling="flatten")
    expected = as_array(model(X)).reshape(len(X), -1)
    assert_allclose(extractor.fit_transform(X), expected, rtol=1e-5, atol=1e-5)
    assert_the_keras_model_agrees(fitted(model, freeze_depth=0), atol=1e-4)


@pytest.mark.parametrize("is_sequence", [False, True])
def test_a_network_within_gets_the_number_format_that_it_takes(is_sequence):
    inputs, within = layers.Input(X.shape[1:]), layers.Input(X.shape[1:], dtype="int32")
    layer = layers.Rescaling(1.0)
    cut_off = (
        keras.Sequential([within, layer]) if is_sequence else keras.Model(within, layer(within))
    )
    model = keras.Model(inputs, layers.Conv2D(4, 3)(cut_off(inputs / 20)))
    extractor = PretrainedFeatureExtractor(model, pooling="flatten", pixel_range=(0, 255))
    expected = as_array(model(X.astype(np.float32))).reshape(len(X), -1)
    assert_allclose(extractor.fit_transform(X), expected, rtol=1e-5, atol=1e-5)


def test_images_are_rounded_for_a_network_of_whole_numbers():
    images = np.random.default_rng(1).integers(0, 256, (8, 31, 37, 3), dtype=np.uint8)
    classifier = FineTunedClassifier(of_whole_numbers(), freeze_depth=0, epochs=1, random_state=0)
    found = as_array(classifier.fit(images, Y).to_keras()(images.astype(np.float32)))
    assert_allclose(found, classifier.predict_proba(images), atol=1e-4)


def test_a_network_of_whole_numbers_takes_no_fractions():
    with pytest.raises(
        ValueError, match="takes uint8, but preprocessing='tf' turns pixels into fractions"
    ):
        register_backbone("bytes", of_whole_numbers(), preprocessing="tf")


# what training does not keep ---------------------------------------------------------------------


def test_constraints_are_not_kept_and_that_is_told():
    inputs = layers.Input(X.shape[1:])
    x = layers.Conv2D(4, 3, kernel_constraint="non_neg", name="positive")(inputs)
    model = keras.Model(inputs, layers.ReLU()(x))
    with pytest.warns(UserWarning, match="constraints on weights, such as 'positive/kernel'"):
        fitted(model, freeze_depth=0)
    fitted(model, freeze_depth="all")
