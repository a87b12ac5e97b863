"""The package stays as flat as benchmarks/structure.py wants it."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPT = BENCHMARKS / "structure.py"


@pytest.fixture(scope="module")
def structure():
    spec = importlib.util.spec_from_file_location("structure", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_few_private_modules_are_at_the_top(structure):
    assert list(structure.exceeding_modules()) == []


def test_chains_of_imports_are_short_and_without_circles(structure):
    assert list(structure.exceeding_imports(structure.import_graph())) == []


def test_a_fit_reaches_the_cache_in_few_frames(structure):
    assert list(structure.exceeding_frames(structure.calls_of_a_fit())) == []


def test_the_drawing_of_the_house_shows_all_folders_each_above_what_it_imports(
    structure, monkeypatch
):
    monkeypatch.syspath_prepend(BENCHMARKS)
    house = importlib.import_module("house")
    assert list(house.missing_rooms()) == []
    assert list(house.upward_imports(structure.import_graph())) == []
    assert house.FILE.read_text(encoding="utf-8") == house.drawing()
