"""One TensorFlow a process: none in a fork, and in a worker no more threads than its share."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys

_SHARE = "OMP_NUM_THREADS"
_CHOSEN = {"TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"}

_started = False
_forked = False


def start() -> None:
    """Note that TensorFlow runs in this process from now on; called before anything runs.

    Raises
    ------
    RuntimeError
        In a process forked from one in which it ran: its threads were not copied, and whoever
        waits for them waits for ever.
    """
    global _started
    if _forked:
        raise RuntimeError(
            "This process was forked from one in which TensorFlow had already run, and would wait "
            "for ever for threads that a fork does not copy. Start workers in another way: "
            "joblib's own (backend='loky'), joblib.parallel_config(backend='threading'), or "
            "multiprocessing.get_context('spawn'); or fork before skltransfer is used."
        )
    if not _started:
        _take_share()
        _started = True


def share_of_cores() -> int | None:
    """Threads that joblib meant for this worker; None: this is none, or joblib said nothing.

    joblib tells its workers by the variables that libraries for linear algebra read.
    """
    share = os.environ.get(_SHARE, "")
    if multiprocessing.parent_process() is None or not share.isdecimal():
        return None
    return int(share) or None


def _take_share() -> None:
    """Give TensorFlow the worker's share; it reads other variables, which are the user's."""
    share = share_of_cores()
    if share is None or _CHOSEN & set(os.environ):
        return
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # somebody else has run TensorFlow here before
        tf.config.threading.set_intra_op_parallelism_threads(share)
        tf.config.threading.set_inter_op_parallelism_threads(share)


def _after_fork() -> None:
    global _forked
    _forked = _forked or _started or _others_started()


def _others_started() -> bool:
    """Whether the user's own code has run TensorFlow."""
    context = sys.modules.get("tensorflow.python.eager.context")
    return getattr(getattr(context, "_context", None), "_initialized", False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
