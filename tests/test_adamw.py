"""Steps of AdamW: those of the paper, and the same on both kinds of devices."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skltransfer.training.adamw import _step_on_device, _step_on_host, adamw

RATE = 0.01


def vectors(n, scale=1.0):
    """Weights, moments of zero, factors on the rate, decays; and a gradient for each of 5 steps."""
    rng = np.random.default_rng(0)
    params, rates, decays = rng.normal(size=(3, n)).astype(np.float32)
    gradients = (scale * rng.normal(size=(5, n)) / np.sqrt(n)).astype(np.float32)
    return params, np.zeros((2, n), np.float32), np.abs(rates), np.abs(decays), gradients


def stepped(update, params, moments, rates, decays, gradients):
    state = (params.copy(), *moments.copy())
    for number, gradient in enumerate(gradients, 1):
        state = update(*state, gradient, rates, decays, RATE, number)
    return [np.asarray(array) for array in state]


def of_the_paper(params, moments, rates, decays, gradients):
    params, (first, second) = params.astype(float), moments.astype(float)
    for number, gradient in enumerate(gradients.astype(float), 1):
        gradient = gradient / max(1.0, np.sqrt((gradient**2).sum()))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        of_first, of_second = first / (1 - 0.9**number), second / (1 - 0.999**number)
        direction = of_first / (np.sqrt(of_second) + 1e-7) + decays * params
        params = params - RATE * rates * direction
    return params, first, second


@pytest.mark.parametrize("scale", [0.1, 30.0], ids=["short gradients", "long gradients"])
@pytest.mark.parametrize("n", [1, 7, 32768, 80000])
def test_a_step_is_that_of_the_paper(n, scale):
    found = stepped(adamw(n), *vectors(n, scale))
    for array, expected in zip(found, of_the_paper(*vectors(n, scale)), strict=True):
        assert_allclose(array, expected, rtol=2e-5, atol=1e-6)


def test_both_kinds_of_devices_agree():
    n = 40000
    on_host = stepped(_step_on_host, *vectors(n))
    on_device = stepped(_step_on_device(n), *vectors(n))
    for array, expected in zip(on_device, on_host, strict=True):
        assert_allclose(array, expected, rtol=2e-5, atol=1e-6)


def test_the_gradient_is_left_alone():
    params, moments, rates, decays, gradients = vectors(40000)
    gradients.flags.writeable = False
    stepped(_step_on_host, params, moments, rates, decays, gradients)
