"""Refused parameters of FineTunedClassifier: messages name them, values and what is allowed."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest

from skltransfer import FineTunedClassifier
from skltransfer.estimators.base import BackboneEstimator
from skltransfer.training.head_parameters import ACTIVATIONS

BAD_NUMBERS = {
    "freeze_depth": [None, np.nan, [1]],
    "head_dropout": [1.0, -0.1, True, "0.2", np.nan],
    "epochs": [-1, 1.5, True, None],
    "batch_size": [0, -1, 2.0, True],
    "learning_rate": [0, -1e-3, np.inf, np.nan, True],
    "head_learning_rate": [0.0, np.inf, False],
    "layer_decay": [0.0, 1.1, True],
    "weight_decay": [-1e-4, np.inf, False],
    "n_views": [0, True],
    "label_smoothing": [1.0, -0.1, False],
    "validation_fraction": [0.0, 1.0, True],
    "n_iter_no_change": [0, True],
}
BAD_CHOICES = {
    "layer": ["stem", "top"],
    "head_init": "zeros",
    "schedule": "step",
    "batch_norm": True,
    "class_weight": "balance",
    "early_stopping": "yes",
    "warm_start": None,
    "tta": 3,
    "tabular": "price",
    "input_column": 1.5,
}


@pytest.fixture
def refusal(make, cats_and_dogs):
    """The message with which settings are refused, by fit and by partial_fit."""

    def message(**settings):
        X, y = cats_and_dogs
        with pytest.raises((ValueError, TypeError)) as caught:
            make(**settings).fit(X, y)
        with pytest.raises((ValueError, TypeError)) as again:
            make(**settings).partial_fit(X, y, classes=["cat", "dog"])
        assert str(again.value) == str(caught.value)
        return str(caught.value)

    return message


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_NUMBERS.items() for value in values]
)
def test_a_bad_number_is_named_with_its_value(refusal, name, value):
    message = refusal(**{name: value})
    assert name in message and repr(value) in message


@pytest.mark.parametrize(("name", "value"), BAD_CHOICES.items())
def test_a_bad_choice_is_named_with_its_value(refusal, name, value):
    message = refusal(**{name: value})
    assert f"{name!r} parameter of FineTunedClassifier" in message and repr(value) in message


@pytest.mark.parametrize("depth", [True, False, 1.0, 0.0, -0.5, 99, -99, "nowhere", "typo"])
def test_a_freeze_depth_that_fits_no_stage_is_refused_with_the_stages(refusal, depth):
    message = refusal(freeze_depth=depth)
    assert message.startswith(f"freeze_depth={depth!r} fits no freeze point")
    assert message.endswith("Frozen stages and their last layers: 1: 'block', 2: 'top'.")


def test_a_mistyped_layer_gets_a_proposal(refusal):
    assert "did you mean 'block'?" in refusal(freeze_depth="blok")


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_missing_label_is_named_by_its_row(make, cats_and_dogs, missing):
    X, y = cats_and_dogs
    y = [*y[:3], missing, *y[4:]]
    for labels in (y, np.array(y, dtype=object), pd.Series(y, index=range(7, 31))):
        with pytest.raises(
            ValueError, match="y has no label in row 3: it is .* This holds for 1 of 24"
        ):
            make().fit(X, labels)


@pytest.mark.parametrize("units", [0, -1, "a", (8, 0), True, ((8, 8), 4), 8.0, None, (8, True)])
def test_head_units_are_positive_ints(refusal, units):
    message = refusal(head_units=units)
    assert message.startswith(f"head_units={units!r} must be a positive int, or a tuple or list")
    assert "() is a head without hidden layers" in message


@pytest.mark.parametrize("units", [4, np.int64(4), (4,), [4]])
def test_one_hidden_layer_has_many_spellings(make, cats_and_dogs, units):
    fitted = make(head_units=units, epochs=0).fit(*cats_and_dogs)
    assert fitted._train_steps()[-1].head.units == (4,)


@pytest.mark.parametrize(
    ("activation", "proposal"),
    [("rleu", "'relu'"), ("Sigmoid", "'sigmoid'"), ("tahn", "'tanh'"), (np.tanh, "'tanh'")],
)
def test_a_mistyped_activation_gets_a_proposal(refusal, activation, proposal):
    message = refusal(head_activation=activation)
    assert f"head_activation={activation!r} is not the name of a Keras activation." in message
    assert f"Did you mean {proposal}" in message


@pytest.mark.parametrize("activation", [None, 3, "", "zzz"])
def test_activations_are_listed_where_none_is_similar(refusal, activation):
    message = refusal(head_activation=activation)
    assert "Did you mean" not in message
    assert all(repr(name) in message for name in ACTIVATIONS)


def test_activations_are_those_of_keras_and_keep_the_shape():
    import keras

    x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    for name in ACTIVATIONS:
        assert keras.activations.get(name)(x).shape == x.shape


def test_a_bad_activation_is_refused_before_keras_is_loaded(in_fresh_process):
    in_fresh_process(
        "import sys, numpy as np\n"
        "from skltransfer import FineTunedClassifier\n"
        "try:\n"
        "    FineTunedClassifier(head_activation='rleu').fit(np.eye(4), [0, 0, 1, 1])\n"
        "except ValueError as error:\n"
        "    assert 'relu' in str(error)\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    )


@pytest.mark.parametrize("factor", [-1.0, np.nan, np.inf, "2", None, True])
def test_factors_of_classes_are_finite_numbers(refusal, factor):
    message = refusal(class_weight={"cat": factor})
    assert f"gives class 'cat' the factor {factor!r}" in message
    assert "finite numbers, 0 or more" in message


def test_a_factor_for_what_is_no_class_is_refused(refusal):
    message = refusal(class_weight={"cat": 1.0, "dgo": 2.0})
    assert "class_weight has factors for ['dgo'], which are not among the classes" in message
    assert "['cat', 'dog'] of y, but no factor for ['dog']" in message


def test_a_fold_may_lack_a_class_that_has_a_factor(make, cats_and_dogs):
    factors = {"cat": 1.0, "dog": 2.0, "emu": 3.0}
    make(class_weight=factors, epochs=0).fit(*cats_and_dogs)


def test_factors_that_are_all_0_are_refused(refusal):
    assert "gives every class the factor 0" in refusal(class_weight={"cat": 0, "dog": 0.0})


def test_views_need_to_be_asked_for(refusal):
    assert "tta=True needs views" in refusal(tta=True)
    assert "n_views=2 needs views" in refusal(n_views=2)
    assert "augment='spin' is not one of" in refusal(augment="spin")
    assert "augment=['flip'] is not one of" in refusal(augment=["flip"])


def test_views_of_predictions_may_be_asked_for_after_fit(make, cats_and_dogs):
    X, y = cats_and_dogs
    settings = {"augment": "flip", "n_views": 2, "epochs": 1}
    expected = make(tta=True, **settings).fit(X, y).predict_proba(X)
    classifier = make(**settings).fit(X, y).set_params(tta=True)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    with pytest.raises(ValueError, match="tta=True needs views"):
        classifier.set_params(augment=None, n_views=None).predict(X)


def test_no_parameter_is_left_out():
    tested = {*BAD_NUMBERS, *BAD_CHOICES, "head_units", "head_activation", "augment", "adaptation"}
    of_the_base = set(BackboneEstimator._parameter_constraints)
    assert set(FineTunedClassifier._parameter_constraints) - of_the_base <= tested


def test_an_augmentation_that_rescales_is_refused(make, cats_and_dogs):
    layer = keras.Sequential([keras.layers.RandomFlip(), keras.layers.Rescaling(1 / 255)])
    with pytest.raises(
        ValueError, match=r"turned an image with values .* The layer must keep .* because the b"
    ):
        make(augment=layer, n_views=2).fit(*cats_and_dogs)
