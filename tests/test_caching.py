"""cache_info() and clear_cache(): the work that was done, and how to start anew."""

from __future__ import annotations

import numpy as np

from skltransfer import PretrainedFeatureExtractor, cache_info, clear_cache
from skltransfer.frozen import engines

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


def test_each_image_is_computed_once(tiny, tmp_path):
    for _ in range(2):
        extractor = PretrainedFeatureExtractor(tiny, cache=tmp_path).fit(IMAGES)
        extractor.transform(np.concatenate([IMAGES, IMAGES[:2]]))
        extractor.transform(IMAGES[::-1])
    assert set(cache_info(tmp_path).rows_computed.values()) == {len(IMAGES)}
    assert cache_info(tmp_path).entries == len(IMAGES)


def test_rows_that_another_kind_of_processor_computed_are_not_taken(tiny, tmp_path, monkeypatch):
    """It rounds in another way, and a directory may be shared."""
    extractor = PretrainedFeatureExtractor(tiny, cache=tmp_path).fit(IMAGES)
    extractor.transform(IMAGES)
    monkeypatch.setattr(engines, "processor", lambda: "another")
    extractor.transform(IMAGES)
    assert set(cache_info(tmp_path).rows_computed.values()) == {2 * len(IMAGES)}


def test_clearing_forgets_rows_and_counts_but_not_other_files(tiny, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("mine")
    extractor = PretrainedFeatureExtractor(tiny, cache=tmp_path)
    before = extractor.fit_transform(IMAGES)
    clear_cache(tmp_path)
    assert cache_info(tmp_path).entries == 0
    assert cache_info(tmp_path).rows_computed == {}
    np.testing.assert_array_equal(extractor.transform(IMAGES), before)
    assert note.read_text() == "mine"
