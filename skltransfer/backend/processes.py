"""Starting the backend in a process.

In a process that was forked after the backend had run, starting it is refused. In a worker, the
backend gets the worker's share of threads.
"""

from __future__ import annotations

import os
from types import ModuleType

import joblib

from skltransfer._processes import origin
from skltransfer.backend.modules import backend_name, backend_names, load_keras, module, module_of
from skltransfer.backend.start_up import hushed

_CHOSEN = "SKLTRANSFER_NUM_THREADS"
_SHARE = "OMP_NUM_THREADS"
"""Environment variable that joblib, Dask, Ray and Spark set in their workers; libraries that
compute read it."""

_started = False
_ran_before_fork: frozenset[str] = frozenset()


def import_keras() -> ModuleType:
    """Import Keras, and start its backend without TensorFlow's start-up messages.

    Raises
    ------
    RuntimeError
        In a process that was forked after the backend had run.
    """
    keras = load_keras()
    start()
    return keras


def start() -> None:
    """Set up the backend of this process; called before anything runs on it.

    Raises
    ------
    RuntimeError
        In a process that was forked after the backend had run. A fork does not copy the backend's
        threads, so the process would wait for them forever.
    """
    global _started
    if _started:
        return
    if backend_name() in _ran_before_fork:
        raise RuntimeError(
            f"This process was forked from one in which {module().TITLE} had already run, and "
            "would wait forever for threads that a fork does not copy. Start workers in another "
            "way: joblib's own (backend='loky'), joblib.parallel_config(backend='threading'), or "
            "multiprocessing.get_context('spawn'); or fork before skltransfer is used."
        )
    with hushed():
        module().share_gpus()
    threads = _chosen_threads()
    if threads is not None:
        module().take_threads(threads, overrides=_CHOSEN in os.environ)
    _started = True


def computing_threads() -> int:
    """Return the number of threads that compute in this process.

    The environment variable SKLTRANSFER_NUM_THREADS decides, if it is set. Otherwise a worker of
    joblib, Dask, Ray or Spark uses the share that these have set for it, and any other process uses
    all cores.

    Raises
    ------
    ValueError
        If SKLTRANSFER_NUM_THREADS is not a positive integer.
    """
    return _chosen_threads() or joblib.cpu_count()


def _chosen_threads() -> int | None:
    """Return the number of threads that the user or, in a worker, its starter set; else None."""
    chosen = os.environ.get(_CHOSEN)
    if chosen is not None:
        if not chosen.isdecimal() or not int(chosen):
            raise ValueError(
                f"The environment variable {_CHOSEN}={chosen!r} must be a positive integer, the "
                "number of threads of each process. If you unset it, a process uses all cores, "
                "and a worker uses its share of them."
            )
        return int(chosen)
    share = os.environ.get(_SHARE, "")
    return int(share) or None if share.isdecimal() and origin().is_worker else None


def _after_fork() -> None:
    """Record which backends had run before the fork, here or in the user's own code."""
    global _started, _ran_before_fork
    ran = {name for name in backend_names() if module_of(name).has_run()}
    if _started:
        ran.add(backend_name())
    _started, _ran_before_fork = False, _ran_before_fork | ran


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
