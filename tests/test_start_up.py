"""The backend starts without TensorFlow's lines, and leaves the process as it was (law 6)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from skltransfer.backend.start_up import hushed

LINES = b"""WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1.2 3 cudart_stub.cc:31] Could not find cuda drivers on your machine.
E0000 00:00:1.2 3 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)
E0000 00:00:1.2 3 something_else.cc:1] this matters
a line of another library
"""


@pytest.fixture
def log_level(monkeypatch):
    """As of a user who has set none."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    return monkeypatch


def test_only_harmless_lines_are_left_out(log_level, capfd):
    with hushed():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "1"
        os.write(2, LINES)
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err.splitlines() == [
        "E0000 00:00:1.2 3 something_else.cc:1] this matters",
        "a line of another library",
    ]
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ


def test_an_error_restores_standard_error_too(log_level, capfd):
    with pytest.raises(ImportError, match="no backend"), hushed():
        os.write(2, b"why\n")
        raise ImportError("no backend")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "why\nafterwards\n"


def test_a_level_of_the_user_stands(log_level, capfd):
    log_level.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with hushed():
        os.write(2, LINES)
    assert capfd.readouterr().err == LINES.decode()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


FRESH = """
import os
import numpy as np
from skltransfer import PretrainedFeatureExtractor
before = dict(os.environ), os.fstat(2)
X = np.zeros((1, 32, 32, 3), np.uint8)
PretrainedFeatureExtractor(input_size=(32, 32), engine="auto", cache=None, verbose=1).fit(X)
assert (dict(os.environ), os.fstat(2)) == before
"""


@pytest.mark.about("tensorflow", reason="the lines are TensorFlow's")
def test_a_fresh_process_tells_that_it_starts_and_nothing_else(log_level):
    result = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "skltransfer: starting TensorFlow …\n"
