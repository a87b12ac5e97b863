"""Functions of one row, compiled by OpenVINO.

Several rows run at the same time, but each by itself on a single thread. The result of a row
therefore depends neither on other rows nor on the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skltransfer.backend import computing_threads, start, traced
from skltransfer.inputs._input import TensorSpec
from skltransfer.network.batch_invariance import MANY_ROWS, always, check_wanted

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, Model

    from skltransfer.inputs._input import Rows, RowSpec

INSTALL = "pip install 'skltransfer[openvino]'"
_VALUES_TRIED = 4096
_IN_FLIGHT = 2  # rows passed to OpenVINO at a time, for each of its threads
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class NotConvertible(ValueError):
    """OpenVINO does not support an operation of the function."""


@cache
def is_installed() -> bool:
    """Return whether OpenVINO is installed, without loading it."""
    return find_spec("openvino") is not None


@cache
def installed_version() -> str:
    """Return the version of the installed OpenVINO, read once."""
    return version("openvino")


class CompiledSegment:
    """A segment of a network (consecutive layers), compiled for one row of any length.

    Parameters
    ----------
    compute : callable
        A pure function that takes a tensor and returns a tensor. The variables that it reads become
        constants.
    spec : tuple of TensorSpec
        Specification of a row's only tensor, whose dtype is float32.
    precision : {"float32", "bfloat16", "float16"}
        Dtype in which OpenVINO computes; rows are float32 in any case.

    Attributes
    ----------
    shapes : list of tuple
        Shape of the result, with None for the number of rows.

    Raises
    ------
    NotConvertible
        If OpenVINO lacks one of the operations, or does not compute in `precision` on this machine.
    """

    def __init__(self, compute: Callable[..., Any], spec: RowSpec, precision: str) -> None:
        if len(spec) > 1:
            raise NotConvertible("OpenVINO is used for rows of one tensor only.")
        dtypes = [tensor.dtype for tensor in spec]
        graph = traced(compute, [(1, *tensor.shape) for tensor in spec], dtypes)
        self.shapes = [(None, *graph.outputs[0].shape[1:])]
        self._compiled = _compiled(graph.graph, graph.outputs[0].name, precision)
        self._own = threading.local()  # a request for each thread; none serves two at once

    def __call__(self, row: np.ndarray) -> np.ndarray:
        """Compute a row (1, ...); the next call in the same thread overwrites the result."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer({0: row}, share_inputs=True, share_outputs=True)
        result: np.ndarray = found[0]
        return result


class RowByRow:
    """A chain of segments. Several threads run it, each on one row at a time.

    It is called like `InvariantBatches`. Its first result is that of the last segment; the other
    results are the activations between the segments.

    Parameters
    ----------
    segments : sequence of CompiledSegment
        Each takes the result of the preceding one.
    whole : callable or None
        Returns a single segment that computes the same as the chain, in less time. Once many rows
        have been computed, this segment is tested on some of them. If it gives the same bits as the
        chain, it is used whenever no activations between segments are needed.
    """

    n_rows: ClassVar[int] = 1

    def __init__(
        self,
        segments: Sequence[CompiledSegment],
        whole: Callable[[], CompiledSegment] | None = None,
    ):
        self._segments = tuple(segments)
        self._whole = whole
        self._fastest: tuple[CompiledSegment, ...] | None = None
        self._n_seen = 0
        self._lock = threading.Lock()
        self.shapes = [segment.shapes[0] for segment in (self._segments[-1], *self._segments[:-1])]

    def __call__(
        self,
        rows: Rows,
        state: Sequence[Any] = (),
        chosen: Sequence[int] = (0,),
        is_wanted: Callable[[], bool] = always,
    ) -> list[np.ndarray]:
        """Compute any number of rows, each separately."""
        start()
        (given,) = rows
        results = {i: TensorSpec(self.shapes[i][1:]).empty(len(given)) for i in chosen}
        segments = self._found_fastest(given) if tuple(chosen) == (0,) else self._segments

        def run(index: int) -> None:
            check_wanted(is_wanted)
            row = np.ascontiguousarray(given[index])[np.newaxis]
            for number, segment in enumerate(segments, start=1):
                row = segment(row)
                place = number % len(segments)
                if place in results:
                    results[place][index] = row[0].copy()  # the next row is written over it

        for _ in _threads().map(run, range(len(given))):
            pass  # re-raises errors of the threads
        return [results[i] for i in chosen]

    def at_most(self, n_rows: int) -> RowByRow:
        """Return itself: its blocks have one row already."""
        return self

    def _found_fastest(self, rows: np.ndarray) -> tuple[CompiledSegment, ...]:
        """Return the single segment if it changes no bit, else the chain; this is tested once."""
        with self._lock:
            self._n_seen += len(rows)
            n_tried = max(4, _VALUES_TRIED // prod(side or 1 for side in self.shapes[0][1:]))
            are_enough = len(rows) >= min(n_tried, MANY_ROWS)
            if self._fastest is None and self._n_seen >= MANY_ROWS and are_enough:
                self._fastest = self._tried(rows[:n_tried])
            return self._fastest or self._segments

    def _tried(self, rows: np.ndarray) -> tuple[CompiledSegment, ...]:
        if self._whole is None:
            return self._segments
        whole = (self._whole(),)
        is_same = all(_bits(whole, row) == _bits(self._segments, row) for row in rows)
        return whole if is_same else self._segments


def _bits(segments: Sequence[CompiledSegment], row: np.ndarray) -> bytes:
    """Return the bits of the last segment's result for a row."""
    row = np.ascontiguousarray(row)[np.newaxis]
    for segment in segments:
        row = segment(row)
    return row.tobytes()


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    """Return the threads that pass the rows of all networks of the process to OpenVINO.

    They outnumber OpenVINO's own threads, because each waits while OpenVINO computes its row.
    """
    n_threads = _IN_FLIGHT * computing_threads()
    return ThreadPoolExecutor(n_threads, thread_name_prefix="skltransfer-openvino")


@lru_cache(maxsize=1)
def _core() -> Core:
    from openvino import Core

    return Core()


def converted(graph: object, output: str) -> Model:
    """Convert a function's graph from TensorFlow's to OpenVINO's; `output` names its result.

    ``openvino.convert_model`` does the same, but sends usage statistics.
    """
    from openvino import Model
    from openvino.frontend import FrontEndManager
    from openvino.frontend.tensorflow.graph_iterator import GraphIteratorTFGraph

    frontend = FrontEndManager().load_by_framework("tf")
    nodes = GraphIteratorTFGraph(graph, False)  # must live until everything is converted
    model = frontend.convert(frontend.load(nodes))
    # The frontend would also return outputs that no operation reads.
    return Model([model.output(output).node], model.get_parameters())


def _compiled(graph: object, output: str, precision: str) -> CompiledModel:
    """Compile a function's TensorFlow graph; `output` names its result."""
    options = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": computing_threads(),
        "NUM_STREAMS": computing_threads(),  # one thread for each request
        "ENABLE_CPU_PINNING": False,  # pinning would bind all worker processes to the same cores
    }
    try:
        compiled = _core().compile_model(converted(graph, output), "CPU", options)
    except Exception as error:  # OpenVINO's errors have no common base class
        reason = str(error).strip().splitlines()[-1]
        raise NotConvertible(f"OpenVINO cannot convert it: {reason:.200}") from error
    if compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() != _PRECISIONS[precision]:
        raise NotConvertible(f"OpenVINO does not compute in {precision} on this processor.")
    return compiled
