"""Every kind of X: read with the right pixels, or refused with the documented message.

Expected grey levels are worked out in the table, without the code under test; those of lossy files
are what Pillow decodes.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from input_kinds import loaded, opened, read
from kinds_of_arrays import ARRAYS
from kinds_of_files import FILES
from kinds_of_images import IMAGES
from kinds_of_paths import READ, REFUSED
from kinds_refused import NO_IMAGES, UNREADABLE
from skltransfer.inputs.errors import ImageReadError

ACCEPTED = {**FILES, **IMAGES, **ARRAYS, **READ}
UNREADABLE_ROWS = {**UNREADABLE, **REFUSED}


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Make the X of a kind; its files lie in the current folder, which is the home too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return lambda kind: kind.X(tmp_path) if callable(kind.X) else kind.X


def warns_of(pattern):
    return contextlib.nullcontext() if pattern is None else pytest.warns(UserWarning, match=pattern)


def test_the_table_is_as_long_as_promised():
    assert len({**ACCEPTED, **UNREADABLE_ROWS, **NO_IMAGES}) >= 400


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_with_the_right_pixels(name, given):
    kind = ACCEPTED[name]
    sizes = [levels.shape[:2] for levels in kind.levels]
    with warns_of(kind.warning):
        images = read(given(kind), sizes=sizes, **kind.settings)
    for image, levels in zip(images, kind.levels, strict=True):
        np.testing.assert_allclose(image, levels, atol=kind.atol, rtol=0)


@pytest.mark.parametrize("name", UNREADABLE_ROWS)
def test_the_row_that_cannot_be_read_is_named_with_a_way_out(name, given):
    kind = UNREADABLE_ROWS[name]
    with pytest.raises(ImageReadError, match=kind.message) as caught:
        read(given(kind), **kind.settings)
    assert caught.value.row == 1
    message = str(caught.value)
    assert message.startswith("row 1 (")
    assert message.endswith(".")
    assert len(message) < 500


@pytest.mark.parametrize("name", UNREADABLE_ROWS)
def test_one_bad_row_costs_no_other(name, given):
    kind = UNREADABLE_ROWS[name]
    source = opened(given(kind), on_error="nan")
    assert np.isfinite(loaded(source, 0)).all()
    with pytest.raises(ImageReadError, match=kind.message):
        loaded(source, 1)


@pytest.mark.parametrize("name", NO_IMAGES)
def test_refused_before_anything_is_read(name, given):
    kind = NO_IMAGES[name]
    with pytest.raises(kind.error, match=kind.message) as caught:
        read(given(kind), **kind.settings)
    assert not isinstance(caught.value, ImageReadError)  # which on_error="nan" would pass over
