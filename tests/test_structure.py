"""The package stays as flat as benchmarks/structure.py wants it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "structure.py"


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
