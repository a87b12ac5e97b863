"""Calls that go on from earlier ones, and calls that fail: `partial_fit`, `warm_start`, state."""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from conftest import make_tiny_model
from skltransfer import cache_info, load
from skltransfer._warnings import UnreadableImagesWarning
from skltransfer.training.train_step import TrainStep

CLASSES = ["cat", "dog"]


# partial_fit ------------------------------------------------------------------------------------


def epochs_seen(monkeypatch):
    """The numbers of the epochs that are trained from now on."""
    from skltransfer.training import trainer

    numbers, run_epoch = [], trainer.run_epoch

    def note(step, state, data, how, schedule, epoch, *more):
        numbers.append(epoch)
        return run_epoch(step, state, data, how, schedule, epoch, *more)

    monkeypatch.setattr(trainer, "run_epoch", note)
    return numbers


def test_partial_fit_numbers_its_epochs(make, X, y, monkeypatch):
    numbers = epochs_seen(monkeypatch)
    classifier = make(epochs=2, freeze_depth=-1)
    classifier.partial_fit(X, y, CLASSES).partial_fit(X, y)
    assert numbers == [0, 1]
    classifier.fit(X, y).partial_fit(X, y)
    assert numbers == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("batch_size", [8, 24])
def test_partial_fit_takes_another_fixed_view_each_time(make, X, y, batch_size, monkeypatch):
    """Also where the steps of an epoch are a multiple of the views."""
    taken = []
    gradient = TrainStep.batch_gradient

    def note(step, rows):
        run = gradient(step, rows)
        return lambda *given: (taken.append(given[3]), run(*given))[1]

    monkeypatch.setattr(TrainStep, "batch_gradient", note)
    classifier = make(augment="flip", freeze_depth=0, batch_size=batch_size, n_views=2)
    for _ in range(3):
        classifier.partial_fit(X[:1], y[:1], CLASSES)
    first, second, third = taken
    assert_array_equal(first, second[:, :, ::-1])
    assert_array_equal(first, third)


def test_partial_fit_equals_the_epochs_of_a_fit_at_a_constant_rate(make, X, y):
    fitted = make(epochs=3, schedule="constant").fit(X, y)
    partial = make()
    for _ in range(3):
        partial.partial_fit(X, y, CLASSES)
    assert_array_equal(partial.predict_proba(X), fitted.predict_proba(X))
    assert partial.history_ == fitted.history_
    assert partial.n_iter_ == fitted.n_iter_ == 3


def test_partial_fit_goes_on_after_fit_as_elsewhere_in_scikit_learn(make, X, y):
    classifier = make(early_stopping=True, validation_fraction=0.3).fit(X, y)
    before = classifier._states[-1].params.copy()
    classifier.partial_fit(X, y)  # the classes are known
    assert classifier.n_iter_ == 3
    assert {name: len(values) for name, values in classifier.history_.items()} == {"loss": 3}
    assert 0 < np.abs(classifier._states[-1].params - before).max() < 0.5
    with pytest.raises(ValueError, match="not the same as on last call"):
        classifier.partial_fit(X, y, ["cat", "cow"])


def test_fit_forgets_what_partial_fit_learned(make, X, y):
    partial = make().partial_fit(X, np.roll(y, 1), ["cat", "cow", "dog"])
    again = partial.fit(X, y)
    assert_array_equal(again.predict_proba(X), make().fit(X, y).predict_proba(X))
    assert again.classes_.tolist() == CLASSES
    assert again.n_iter_ == 2


def test_a_warm_fit_goes_on_from_partial_fit(make, X, y):
    classifier = make(warm_start=True, epochs=0)
    for _ in range(3):
        classifier.partial_fit(X, y, CLASSES)
    before = classifier.predict_proba(X)
    assert_array_equal(classifier.fit(X, y).predict_proba(X), before)


def test_partial_fit_may_free_more_layers(make, X, y):
    classifier = make(freeze_depth="all").partial_fit(X, y, CLASSES)
    before = classifier.predict_proba(X)
    classifier.set_params(freeze_depth=0, learning_rate=1e-9).partial_fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), before, atol=1e-5)
    classifier.set_params(head_activation="tanh")
    with pytest.raises(ValueError, match="partial_fit keeps the head"):
        classifier.partial_fit(X, y)


def test_the_most_frequent_class_is_that_of_all_calls(make, paths, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    classifier = make(on_error="nan")
    classifier.partial_fit(paths[:6], ["cat"] * 5 + ["dog"], CLASSES)
    classifier.partial_fit(paths[6:], ["dog"] * 2)
    assert classifier._task.totals.tolist() == [5, 3]
    with pytest.warns(UnreadableImagesWarning):
        assert classifier.predict([broken]) == ["cat"]
    classifier.partial_fit(paths[6:], ["dog"] * 2, sample_weight=[2, 2])
    with pytest.warns(UnreadableImagesWarning):
        assert classifier.predict([broken]) == ["dog"]


@pytest.mark.parametrize("freeze_depth", ["all", -1])
@pytest.mark.parametrize("head_units", [(), (8,)])
def test_a_class_that_the_first_call_lacks_is_soon_learned(make, X, y, freeze_depth, head_units):
    classifier = make(freeze_depth=freeze_depth, head_units=head_units, head_dropout=0)
    cats, dogs = y == "cat", y == "dog"
    classifier.partial_fit(X[cats], y[cats], [*CLASSES, "eel"])
    assert (classifier.predict(X) == "cat").all()
    for _ in range(6):
        classifier.partial_fit(X, y)
    assert classifier.score(X[dogs], y[dogs]) > 0.8
    assert classifier.score(X[cats], y[cats]) > 0.8


def test_a_generator_is_drawn_from_in_the_first_call_alone(make, X, y):
    generator = np.random.RandomState(0)
    classifier = make(random_state=generator).partial_fit(X, y, CLASSES)
    state = generator.get_state()[1].tolist()
    seed = classifier._seed
    assert classifier.partial_fit(X, y)._seed == seed
    assert generator.get_state()[1].tolist() == state


# warm_start -------------------------------------------------------------------------------------


def rows_computed(cache):
    return dict(cache_info(cache).rows_computed)


@pytest.mark.parametrize("depth", ["all", -1, 0])
def test_a_warm_start_at_the_same_cut_keeps_network_and_cache(make, X, y, depth, tmp_path):
    classifier = make(warm_start=True, freeze_depth=depth, cache=tmp_path).fit(X, y)
    spec, computed = classifier.backbone_, rows_computed(tmp_path)
    (step,) = classifier._train_steps()
    before = classifier._states[-1].params.copy()
    classifier.fit(X, y)
    assert classifier.backbone_ is spec
    assert classifier._train_steps() == [step]
    assert rows_computed(tmp_path) == computed
    assert not np.array_equal(classifier._states[-1].params, before)


def test_freeing_more_layers_keeps_the_backbone_that_was_started_from(make, X, y, tmp_path):
    classifier = make(warm_start=True, freeze_depth="all", cache=tmp_path).fit(X, y)
    make(freeze_depth=-1, cache=tmp_path).fit(X, y)
    spec, computed = classifier.backbone_, rows_computed(tmp_path)
    classifier.set_params(freeze_depth=-1).fit(X, y)
    assert classifier.backbone_ is spec
    assert rows_computed(tmp_path) == computed


def test_freezing_what_was_learned_makes_it_the_backbones_own(make, X, y):
    classifier = make(warm_start=True, freeze_depth=0).fit(X, y)
    before, spec = classifier.predict_proba(X), classifier.backbone_
    classifier.set_params(freeze_depth="all", epochs=0).fit(X, y)
    assert classifier.backbone_ != spec
    np.testing.assert_allclose(classifier.predict_proba(X), before, atol=1e-5)
    classifier.set_params(freeze_depth=-1).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), before, atol=1e-5)


def test_a_warm_start_refuses_another_head(make, X, y):
    classifier = make(warm_start=True, head_units=(4,), epochs=0).fit(X, y)
    message = r"warm_start=True keeps the head, which has head_units=\(4,\).*cannot become "
    with pytest.raises(ValueError, match=message + r"\(\) and 'relu'"):
        classifier.set_params(head_units=()).fit(X, y)
    with pytest.raises(ValueError, match=message + r"\(4,\) and 'tanh'"):
        classifier.set_params(head_units=4, head_activation="tanh").fit(X, y)
    classifier.set_params(head_activation="relu").fit(X, y)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"weights": None}, "backbone or weights has"),
        ({"backbone": "efficientnet_lite0"}, "backbone or weights has"),
        ({"input_size": (24, 24)}, "input_size has"),
        ({"resize": "pad"}, "resize has"),
        ({"pixel_range": (0, 255)}, "pixel_range has"),
    ],
)
def test_a_warm_start_refuses_another_beginning(make, X, y, changed, named):
    classifier = make(warm_start=True, epochs=0).fit(X, y)
    before = classifier.predict_proba(X)
    with pytest.raises(ValueError, match=f"warm_start=True continues with.*but {named} changed"):
        classifier.set_params(**changed).fit(X, y)
    assert_array_equal(classifier.predict_proba(X), before)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"pixel_range": np.array([0, 255])}, {}),
        ({"pixel_range": (0, 255)}, {"pixel_range": [0.0, 255.0]}),
        ({"input_size": (24, 24)}, {"input_size": [24, np.int64(24)]}),
        ({"image_shape": [16, 16, 3]}, {"image_shape": (16, 16, 3)}),
    ],
)
@pytest.mark.parametrize("keep", ["as it is", "saved and loaded"])
def test_the_same_beginning_in_other_words_is_the_same(make, X, y, first, then, keep, tmp_path):
    classifier = make(warm_start=True, **first).fit(X, y)
    if keep == "saved and loaded":
        classifier.save(tmp_path / "classifier")
        classifier = load(tmp_path / "classifier")
    once, twice = copy.deepcopy(classifier), copy.deepcopy(classifier)
    once.fit(X, y)
    twice.set_params(**then).fit(X, y)
    assert_array_equal(twice.predict_proba(X), once.predict_proba(X))
    twice.partial_fit(X, y)
    with pytest.raises(ValueError, match=f"{next(iter(first))} has changed since"):
        twice.set_params(**dict.fromkeys(first)).fit(X, y)


def test_a_warm_start_refuses_another_beginning_of_random_weights(make, X, y):
    classifier = make(warm_start=True, epochs=0, weights=None).fit(X, y)
    classifier.fit(X, y)
    with pytest.raises(ValueError, match="backbone or weights has changed"):
        classifier.set_params(weights="imagenet").fit(X, y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_warm_start_may_lack_a_class(make, X, y, early_stopping):
    settings = {"class_weight": "balanced", "early_stopping": early_stopping}
    classifier = make(warm_start=True, **settings).fit(X, y)
    classifier.fit(X[y == "cat"], y[y == "cat"])
    assert classifier.classes_.tolist() == CLASSES


# Calls that fail --------------------------------------------------------------------------------


def state_of(classifier):
    """All that an estimator holds, as bytes that do not change while it does not."""
    return {name: pickle.dumps(value) for name, value in vars(classifier).items()}


def calls(X, y):
    return {
        "fit": lambda classifier: classifier.fit(X, y[::-1]),
        "partial_fit": lambda classifier: classifier.partial_fit(X, y[::-1], CLASSES),
    }


@pytest.fixture(params=["unfitted", "fitted", "partially fitted", "warm"])
def classifier(request, make, X, y):
    classifier = make(warm_start=request.param == "warm", batch_norm="train", freeze_depth=0)
    if request.param == "partially fitted":
        return classifier.partial_fit(X, y, CLASSES)
    return classifier if request.param == "unfitted" else classifier.fit(X, y)


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_amid_the_epochs_changes_nothing(
    classifier, X, y, call, interruption, monkeypatch
):
    before, n_calls = state_of(classifier), 0
    gradient = TrainStep.batch_gradient

    def fail_in_the_second_step(step, rows):
        run = gradient(step, rows)

        def counted(*given):
            nonlocal n_calls
            n_calls += 1
            if n_calls == 2:
                raise interruption
            return run(*given)

        return counted

    monkeypatch.setattr(TrainStep, "batch_gradient", fail_in_the_second_step)
    with pytest.raises(interruption):
        calls(X, y)[call](classifier)
    assert n_calls == 2
    assert state_of(classifier) == before


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("n_views", [None, 2])
def test_an_error_in_a_layer_that_makes_views_changes_nothing(classifier, X, y, call, n_views):
    import keras

    class Broken(keras.layers.Layer):
        def call(self, pixels, training=False):
            raise RuntimeError("out of colours")

    classifier.set_params(augment=Broken(), n_views=n_views)
    before = copy.copy(vars(classifier))
    state = {k: v for k, v in state_of_arrays(classifier)}
    with pytest.raises(RuntimeError, match="out of colours"):
        calls(X, y)[call](classifier)
    assert vars(classifier) == before
    assert all(np.array_equal(state[name], now) for name, now in state_of_arrays(classifier))


def state_of_arrays(classifier):
    states = getattr(classifier, "_states", ())
    return [(k, copy.copy(v)) for state in states for k, v in vars(state).items()]


@pytest.mark.parametrize("freeze_depth", ["all", -1])
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_training_that_diverges_is_an_error_and_changes_nothing(
    classifier, X, y, call, freeze_depth
):
    classifier.set_params(learning_rate=1e30, freeze_depth=freeze_depth)
    before = state_of(classifier)
    with pytest.raises(ValueError, match=r"training diverged with learning_rate=1e\+30.*Lower"):
        for _ in range(3):
            calls(X, y)[call](classifier)
            before = state_of(classifier)
    assert state_of(classifier) == before


@pytest.mark.parametrize("freeze_depth", ["all", -1, 0])
def test_features_that_are_not_finite_are_no_divergence(make, X, y, freeze_depth):
    tiny = make_tiny_model()
    model = keras.Model(tiny.input, keras.ops.log(-1 - tiny.output), name="log")
    classifier = make(freeze_depth=freeze_depth).set_params(backbone=model)
    with pytest.raises(ValueError, match="backbone='log' gives features of NaN or .* 24 of 24"):
        classifier.fit(X, y)


def test_rows_without_weight_are_refused(make, X, y):
    classifier = make(class_weight={"cat": 0.0, "dog": 1.0}).partial_fit(X, y, CLASSES)
    with pytest.raises(ValueError, match="leaves no weight to any row"):
        classifier.partial_fit(X[y == "cat"], y[y == "cat"])


def test_weights_without_a_finite_sum_are_refused(make, X, y):
    with pytest.raises(ValueError, match=r"sample_weight, up to 1e\+308, have no finite sum\. Div"):
        make().fit(X, y, sample_weight=np.full(len(y), 1e308))
    make().fit(X, y, sample_weight=np.full(len(y), 1e300))


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize("class_weight", ["balanced", {"cat": 1e10, "dog": 1.0}])
def test_weights_of_rows_and_classes_without_a_finite_sum_are_refused(
    make, X, y, epochs, class_weight
):
    weights = np.where(y == "cat", 1e-310, 1.0) if class_weight == "balanced" else 1e306
    message = r"sample_weight, up to .*, times those of class_weight=.* no finite sum. Give values"
    with pytest.raises(ValueError, match=message):
        make(epochs=epochs, class_weight=class_weight).fit(X, y, np.broadcast_to(weights, len(y)))
