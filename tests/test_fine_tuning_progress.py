"""What `verbose` shows: what a fit will take, one bar, and nothing when it is 0."""

from __future__ import annotations

import re

import numpy as np
import pytest

from skltransfer import cache_info
from skltransfer.training.plan import Costs, Workload

GIVEN = {"freeze_depth": -1, "layer_decay": 1.0, "label_smoothing": 0.0}
"""Nothing is "auto", which would be told, too."""

END = "fine-tuning: 100%"


@pytest.fixture
def shown(make, cats_and_dogs, capfd, monkeypatch):
    """What a call of a classifier writes to standard error."""
    monkeypatch.setenv("COLUMNS", "160")

    def text(call="fit", **settings):
        X, y = cats_and_dogs
        arguments = (X, y, ["cat", "dog"]) if call == "partial_fit" else (X, y)
        classifier = make(**{**GIVEN, "verbose": 1, **settings})
        capfd.readouterr()
        getattr(classifier, call)(*arguments)
        out, err = capfd.readouterr()
        assert out == ""
        return err

    return text


def without_engine(text):
    """Lines but for the one by which other backends tell why OpenVINO was not chosen."""
    return [line for line in text.splitlines() if "computes the frozen part" not in line]


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_silence_is_the_default(shown, call):
    assert shown(call, verbose=0) == ""


def test_a_plan_then_a_line_with_the_loss(shown):
    building, plan, end = without_engine(shown(epochs=3, cache=None))
    assert building == "skltransfer: building the network, and timing it on a few rows …"
    assert re.fullmatch(
        r"skltransfer: fine-tuning 24 rows, 3 epochs, 902 weights: about \d+ s; "
        r"activations 49\.2 KB",
        plan,
    )
    assert re.fullmatch(rf"skltransfer: {END}, 0:\d\d  epoch 3/3  loss \d+\.\d{{4}}", end)


def test_the_plan_knows_what_is_cached(shown, tmp_path):
    assert "cached" not in shown(cache=tmp_path)
    assert "; activations 49.2 KB, 100% of them cached" in shown(cache=tmp_path)
    views = {"augment": "flip", "n_views": 2}
    assert "cached" not in shown(cache=tmp_path, **views)
    assert "100% of them cached" in shown(cache=tmp_path, **views)


def test_the_last_line_tells_the_validation_score(shown):
    shown_last = shown(early_stopping=True, validation_fraction=0.3, epochs=20).splitlines()[-1]
    assert re.search(r"100%.* epoch \d+/20  loss .*  val_loss .*  val_accuracy \d", shown_last)


def test_partial_fit_shows_its_epoch(shown):
    _, plan, *_, last = without_engine(shown("partial_fit"))
    assert "1 epoch, " in plan
    assert "epoch 1/1  loss" in last


def test_fixed_views_count_and_views_drawn_anew_leave_the_cache_idle(shown, tmp_path):
    assert "activations 147.5 KB" in shown(augment="dihedral", n_views=3)
    text = shown(augment="dihedral", cache=tmp_path)
    assert "the cache is idle, as n_views=None draws new views every epoch" in text
    assert cache_info(tmp_path).entries == 0
    assert text.count(END) == 1


def test_measuring_changes_no_result(make, cats_and_dogs, capfd):
    X, y = cats_and_dogs
    for settings in ({}, {"augment": "standard"}, {"random_state": np.random.RandomState(0)}):
        quiet = make(**settings).fit(X, y).predict_proba(X)
        if "random_state" in settings:
            settings = {"random_state": np.random.RandomState(0)}
        np.testing.assert_array_equal(make(verbose=1, **settings).fit(X, y).predict_proba(X), quiet)
    capfd.readouterr()


def test_prediction_shows_one_line(make, cats_and_dogs, capfd, monkeypatch):
    X, y = cats_and_dogs
    classifier = make(augment="flip", tta=True).fit(X, y).set_params(verbose=1)
    monkeypatch.setattr("skltransfer.training.predictor._ROWS_TOGETHER", 5)
    classifier.predict(X)
    assert len(re.findall("predict, tiny: 24/24", capfd.readouterr().err)) == 1


def test_an_unreadable_first_image_is_measured_as_nothing(make, paths, tmp_path, capfd):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    with pytest.warns(UserWarning, match="1 of 9"):
        make(on_error="nan", verbose=1).fit([broken, *paths], ["a", *["a", "b"] * 4])
    assert "fine-tuning 9 rows" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (
            Workload(3068, 6, 1, 2_100_000, 360_000, Costs(3.5, 12.5)),
            "fine-tuning 3,068 rows, 6 epochs, 2.1 M weights: about 4 min; activations 1.1 GB",
        ),
        (
            Workload(1000, 1, 1, 12_300, 5120, Costs(3.0, 0.1)),
            "fine-tuning 1,000 rows, 1 epoch, 12 k weights: about 3 s; activations 5.1 MB",
        ),
        (
            Workload(100_000, 20, None, 3_400_000, 600_000, Costs(20.0, 17.0)),
            "fine-tuning 100,000 rows, 20 epochs, 3.4 M weights: about 21 h; the cache is "
            "idle, as n_views=None draws new views every epoch",
        ),
        (
            Workload(1000, 1, 1, 12_300, 5120, Costs(0.75, 0.1), 0.75),
            "fine-tuning 1,000 rows, 1 epoch, 12 k weights: about 1 s; activations 5.1 MB, 75% of "
            "them cached",
        ),
        (
            Workload(10_000, 10, 4, 3_400_000, 62_720, Costs(4.0, 55.0)),
            "fine-tuning 10,000 rows, 10 epochs, 3.4 M weights: about 1.6 h; activations 2.5 GB",
        ),
    ],
)
def test_plans_are_told_in_round_numbers(work, text):
    assert str(work) == text
