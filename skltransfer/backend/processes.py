"""One backend for each process: none after a fork, and in a worker only its share of threads."""

from __future__ import annotations

import multiprocessing
import os
from types import ModuleType

import joblib

from skltransfer.backend.modules import backend_name, backend_names, load_keras, module, module_of
from skltransfer.backend.start_up import hushed

_SHARE = "OMP_NUM_THREADS"

_started = False
_ran_before_fork: frozenset[str] = frozenset()


def import_keras() -> ModuleType:
    """Import Keras, and start its backend without TensorFlow's lines about its start.

    Raises
    ------
    RuntimeError
        In a process that was forked after TensorFlow had run.
    """
    keras = load_keras()
    start()
    return keras


def start() -> None:
    """Record that the backend runs in this process; called before anything runs.

    Raises
    ------
    RuntimeError
        In a process forked from one in which it had run: a fork does not copy threads, and waiting
        for them would take forever.
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
    share = share_of_cores()
    if share is not None:
        module().take_threads(share)
    _started = True


def share_of_cores() -> int | None:
    """Return the number of threads that joblib assigned to this worker; None if it assigned none.

    joblib sets environment variables that linear algebra libraries read.
    """
    share = os.environ.get(_SHARE, "")
    if multiprocessing.parent_process() is None or not share.isdecimal():
        return None
    return int(share) or None


def computing_threads() -> int:
    """Return the number of computing threads of this process: its share of the cores, or all."""
    return share_of_cores() or joblib.cpu_count()


def _after_fork() -> None:
    """Record what had run before the fork, here or in the user's own code."""
    global _started, _ran_before_fork
    ran = {name for name in backend_names() if module_of(name).has_run()}
    if _started:
        ran.add(backend_name())
    _started, _ran_before_fork = False, _ran_before_fork | ran


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
