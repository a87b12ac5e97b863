"""Fixed views: each once, none that repeats another, all of them where there are so many."""

from __future__ import annotations

import numpy as np
import pytest

from skltransfer.augmentation.policy import Views
from skltransfer.inputs.images.encoding import EncodedImages
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.taking import read_images
from skltransfer.inputs.images.views import VIEWS

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)


def images(size):
    """The source of the images at a size."""
    return EncodedImages(read_images(IMAGES), ImagePreprocessing(size))


def seen(sources, size):
    """What the sources show, and by what name, once each."""
    shown, names = set(), set()
    for source in sources:
        out = np.empty((len(source), *size, 3), np.float32)
        source.load(range(len(source)), (out,))
        shown.add(out.tobytes())
        names.add(source.digest(0))
    return len(shown), len(names)


@pytest.mark.parametrize(
    ("augment", "size", "n_distinct"),
    [("flip", (8, 8), 2), ("dihedral", (8, 8), 8), ("dihedral", (8, 6), 4)],
)
@pytest.mark.parametrize("n_views", [1, 2, 3, 20])
def test_views_do_not_repeat_and_a_prediction_takes_all(augment, size, n_distinct, n_views):
    views, source = Views(augment, n_views, 0, size, VIEWS), images(size)
    n_trained = min(n_views, n_distinct)
    assert len(views.trained_on(source)) == n_trained
    assert seen(views.trained_on(source), size) == (n_trained, n_trained)
    assert len(views.averaged(source)) == n_distinct
    assert seen(views.averaged(source), size) == (n_distinct, n_distinct)


@pytest.mark.parametrize(("n_views", "n_averaged"), [(None, 4), (3, 3), (9, 9)])
def test_of_random_views_there_are_as_many_as_are_wanted(n_views, n_averaged):
    views, source = Views("standard", n_views, 0, (8, 8), VIEWS), images((8, 8))
    assert seen(views.averaged(source), (8, 8)) == (n_averaged, n_averaged)
    assert len(views.trained_on(source)) == (n_views or 1)
