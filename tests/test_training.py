"""Training: compiled once for a shape, and a schedule that starts and ends gently."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skltransfer import FineTunedClassifier
from skltransfer.training import train_step as training
from skltransfer.training.loop import Schedule


@pytest.mark.parametrize("freeze_depth", ["all", -1, 0])
def test_fits_of_the_same_shape_compile_once(tiny, images, freeze_depth, monkeypatch):
    labels = [0, 1] * 4
    first = FineTunedClassifier(tiny, freeze_depth=freeze_depth, epochs=2, random_state=0)
    first.fit(images, labels).predict(images)
    monkeypatch.setattr(training, "compile_function", None)
    for seed in range(3):
        again = FineTunedClassifier(
            tiny, freeze_depth=freeze_depth, epochs=3, learning_rate=1e-2, random_state=seed
        )
        again.fit(255 - images, labels).predict(images)


def test_the_rate_rises_for_a_tenth_of_the_steps_and_falls_to_nothing():
    rates = [Schedule(1.0, 100)(step) for step in range(100)]
    assert np.argmax(rates) == 10
    assert rates[10] == 1.0
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert 0 < rates[-1] < 1e-3
    assert rates[55] == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))


def test_a_constant_rate_stays():
    assert {Schedule(0.1, 10, "constant")(step) for step in range(10)} == {0.1}
