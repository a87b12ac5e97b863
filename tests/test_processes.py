"""Processes: a clear error where a fork would hang, and a worker that takes its share of cores."""

from __future__ import annotations

import json
import os

import joblib
import numpy as np
import pytest

from skltransfer.backend import backend_name, backend_title, computing_threads
from skltransfer.backend import jax as on_jax
from skltransfer.frozen.prefetcher import thread_count

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork to test")

FORKS = """
import json, os, sys, warnings
warnings.simplefilter("ignore")  # newer Pythons and JAX warn of forks with threads
import numpy as np
from skltransfer import PretrainedFeatureExtractor

images = np.zeros((9, 32, 32, 3), np.uint8)  # several blocks

def fitted():
    extractor = PretrainedFeatureExtractor(input_size=(32, 32), cache=None).fit(images)
    extractor.transform(images)
    return extractor

def in_a_fork(run):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            told = run()
        except Exception as error:
            told = str(error)
        os.write(writing, json.dumps(told, default=repr).encode())
        os._exit(0)
    os.close(writing)
    return json.load(os.fdopen(reading))

def forks_of_one_that_ran():
    extractor = fitted()  # in a fork of a process that has not run the backend
    return {
        "that of a process that did not": "fine",
        "the same estimator": in_a_fork(lambda: extractor.transform(images)),
        "another one": in_a_fork(fitted),
    }

told = in_a_fork(forks_of_one_that_ran)
if sys.argv[1] == "tensorflow":
    import tensorflow as tf
    tf.ones(1)
    told["after other use of the backend"] = in_a_fork(fitted)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def forks(in_fresh_process):
    """What is told of the backend in forks of a process."""
    return json.loads(in_fresh_process(FORKS, backend_name())[0])


@needs_fork
@pytest.mark.parametrize(
    "use",
    [
        "the same estimator",
        "another one",
        pytest.param(
            "after other use of the backend",
            marks=pytest.mark.about("tensorflow", reason="it is run by hand"),
        ),
    ],
)
def test_a_fork_of_a_process_that_ran_the_backend_says_so(forks, use):
    assert f"forked from one in which {backend_title()} had already run" in forks[use]
    assert "backend='loky'" in forks[use]


@needs_fork
def test_a_fork_of_a_process_that_did_not_works(forks):
    assert forks["that of a process that did not"] == "fine"


def threads_of_tensorflow():
    import tensorflow as tf

    from skltransfer import PretrainedFeatureExtractor

    extractor = PretrainedFeatureExtractor(input_size=(32, 32), engine="tensorflow", cache=None)
    extractor.fit_transform(np.zeros((1, 32, 32, 3), np.uint8))
    return tf.config.threading.get_intra_op_parallelism_threads()


def test_a_worker_reads_images_with_its_share_of_the_cores():
    with joblib.parallel_config(backend="loky", inner_max_num_threads=3):
        counts = joblib.Parallel(2)(joblib.delayed(thread_count)(None) for _ in range(2))
    assert counts == [3, 3]


IN_WORKERS = """
import joblib, sys
sys.path.insert(0, sys.argv[1])
from test_processes import threads_of_tensorflow
with joblib.parallel_config(backend="loky", inner_max_num_threads=3):
    print(joblib.Parallel(2)(joblib.delayed(threads_of_tensorflow)() for _ in range(2)))
print(threads_of_tensorflow())
"""


@pytest.mark.about("tensorflow", reason="it alone tells its number of threads")
@pytest.mark.parametrize(
    ("variables", "in_workers"),
    [({}, 3), ({"TF_NUM_INTRAOP_THREADS": "2"}, 0)],
    ids=["joblib's share", "the user's choice"],
)
def test_a_worker_takes_its_share_of_the_cores(in_fresh_process, variables, in_workers):
    """0 is TensorFlow's own: the user's variable, or all cores."""
    told, _ = in_fresh_process(IN_WORKERS, os.path.dirname(__file__), **variables)
    assert told.split("\n")[:2] == [str([in_workers] * 2), "0"]


HERE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_processes import threads_of_tensorflow
print(threads_of_tensorflow())
"""

COUNTED = """
from skltransfer.backend import computing_threads
print(computing_threads())
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="ancestors are looked up in /proc")
@pytest.mark.parametrize("mark", ["-m pyspark.daemon", "ray::work"])
def test_a_worker_of_an_engine_takes_its_share(in_fresh_process, mark):
    told, _ = in_fresh_process(COUNTED, mark, OMP_NUM_THREADS="3")
    assert told.strip() == "3"


def test_other_processes_take_all_cores(in_fresh_process):
    told, _ = in_fresh_process(COUNTED, OMP_NUM_THREADS="3")
    assert told.strip() == str(joblib.cpu_count())


@pytest.mark.about("tensorflow", reason="it alone tells its number of threads")
def test_the_user_s_number_of_threads_stands_above_all(in_fresh_process):
    given = {"SKLTRANSFER_NUM_THREADS": "5", "TF_NUM_INTRAOP_THREADS": "2"}
    told, _ = in_fresh_process(HERE, os.path.dirname(__file__), **given)
    assert told.strip() == "5"


@pytest.mark.parametrize("given", ["7", None])
def test_jax_starts_with_a_number_of_threads_and_leaves_the_environment_alone(monkeypatch, given):
    jax = pytest.importorskip("jax")
    seen = []
    monkeypatch.setattr(jax, "devices", lambda: seen.append(os.environ["PJRT_NPROC"]))
    monkeypatch.setattr(on_jax, "has_run", lambda: False)
    if given is None:
        monkeypatch.delenv("PJRT_NPROC", raising=False)
    else:
        monkeypatch.setenv("PJRT_NPROC", given)
    on_jax.take_threads(5, overrides=True)
    assert seen == ["5"]
    assert os.environ.get("PJRT_NPROC") == given


@pytest.mark.parametrize("value", ["0", "two", "-1", ""])
def test_other_numbers_of_threads_are_refused(monkeypatch, value):
    monkeypatch.setenv("SKLTRANSFER_NUM_THREADS", value)
    with pytest.raises(
        ValueError, match=f"SKLTRANSFER_NUM_THREADS='{value}' must be a positive .* a worker uses"
    ):
        computing_threads()
