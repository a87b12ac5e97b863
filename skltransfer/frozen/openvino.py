"""Functions of one row or of one pack, compiled by OpenVINO.

Several rows or packs run at the same time, but each by itself on a single thread. The result of a
row therefore does not depend on the number of threads, nor on rows outside of its pack.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from skltransfer.backend import computing_threads, start, traced
from skltransfer.inputs._input import TensorSpec, part_of
from skltransfer.network.batch_invariance import MANY_ROWS, always, check_wanted

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, Model

    from skltransfer.inputs._input import Rows, RowSpec
    from skltransfer.network.packs import RowsInPacks

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
        Specification of a row's only tensor.
    precision : {"float32", "bfloat16", "float16"}
        Dtype in which OpenVINO computes; activations are float32 in any case.
    in_packs : bool, default=False
        Whether the tensor holds a pack (several rows joined into one). `compute` then takes the
        lengths of these rows as well.

    Attributes
    ----------
    result : TensorSpec
        The tensor of a row that it returns.

    Raises
    ------
    NotConvertible
        If OpenVINO lacks one of the operations, or does not compute in `precision` on this machine.
    """

    def __init__(
        self, compute: Callable[..., Any], spec: RowSpec, precision: str, in_packs: bool = False
    ) -> None:
        if len(spec) > 1:
            raise NotConvertible("OpenVINO is used for rows of one tensor only.")
        inputs = [((1, *tensor.shape), tensor.dtype) for tensor in spec]
        if in_packs:
            inputs.append(((None,), "int32"))
        graph = traced(compute, *zip(*inputs, strict=True))
        self.result = TensorSpec(tuple(graph.outputs[0].shape[1:]))
        self._compiled = _compiled(graph.graph, graph.outputs[0].name, precision)
        self._own = threading.local()  # a request for each thread; none serves two at once

    def __call__(self, *tensors: np.ndarray) -> np.ndarray:
        """Compute a row (1, ...), or a pack and the lengths of its rows.

        The next call in the same thread overwrites the result.
        """
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        given = dict(enumerate(tensors))
        found = self._own.request.infer(given, share_inputs=True, share_outputs=True)
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
    """

    n_rows: ClassVar[int] = 1

    def __init__(self, segments: Sequence[CompiledSegment]) -> None:
        self._segments = tuple(segments)
        self.results = results_of(segments)

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
        results = {i: self.results[i].empty(len(given)) for i in chosen}

        def run(index: int) -> None:
            check_wanted(is_wanted)
            row = np.ascontiguousarray(given[index])[np.newaxis]
            for number, segment in enumerate(self._segments, start=1):
                row = segment(row)
                place = number % len(self._segments)
                if place in results:
                    results[place][index] = row[0].copy()  # the next row is written over it

        for _ in _threads().map(run, range(len(given))):
            pass  # re-raises errors of the threads
        return [results[i] for i in chosen]

    def at_most(self, n_rows: int) -> RowByRow:
        """Return itself: its blocks have one row already."""
        return self


def results_of(segments: Sequence[CompiledSegment]) -> RowSpec:
    """Return the results of a chain: that of the last segment, then those of the others."""
    return tuple(segment.result for segment in (segments[-1], *segments[:-1]))


RunChain: TypeAlias = "RowByRow | RowsInPacks"


class ChainOrWhole:
    """A chain of segments that is replaced by a single segment if this changes no bit.

    It is called like `InvariantBatches`. Once many rows have been computed, the single segment,
    which takes less time, is tested on some of them. If it gives the same bits as the chain, it is
    used whenever no activations between segments are needed.

    Parameters
    ----------
    chain : RowByRow or RowsInPacks
        Runs the chain.
    whole : callable
        Compiles the single segment, and returns an object that runs it like `chain`.
    """

    n_rows: ClassVar[int] = 1

    def __init__(self, chain: RunChain, whole: Callable[[], RunChain]) -> None:
        self._chain = chain
        self._whole = whole
        self._fastest: RunChain | None = None
        self._n_seen = 0
        self._lock = threading.Lock()

    def __call__(
        self,
        rows: Rows,
        state: Sequence[Any] = (),
        chosen: Sequence[int] = (0,),
        is_wanted: Callable[[], bool] = always,
    ) -> list[np.ndarray]:
        """Compute any number of rows."""
        run = self._found_fastest(rows) if tuple(chosen) == (0,) else self._chain
        return run(rows, state, chosen, is_wanted)

    def at_most(self, n_rows: int) -> ChainOrWhole:
        """Return itself: its blocks have one row, or are packs."""
        return self

    def _found_fastest(self, rows: Rows) -> RunChain:
        """Return the single segment if it changes no bit, else the chain; this is tested once."""
        n_rows = len(rows[0])
        with self._lock:
            self._n_seen += n_rows
            n_values = prod(side or 1 for side in self._chain.results[0].shape)
            n_tried = max(4, _VALUES_TRIED // n_values)
            are_enough = n_rows >= min(n_tried, MANY_ROWS)
            if self._fastest is None and self._n_seen >= MANY_ROWS and are_enough:
                self._fastest = self._tried(part_of(rows, slice(n_tried)))
            return self._fastest or self._chain

    def _tried(self, rows: Rows) -> RunChain:
        whole = self._whole()
        return whole if _bits(whole, rows) == _bits(self._chain, rows) else self._chain


def _bits(run: RunChain, rows: Rows) -> list[bytes]:
    """Return the bits of each row's result."""
    return [np.asarray(result).tobytes() for result in run(rows)[0]]


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
