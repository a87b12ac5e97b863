"""Frozen parts of networks, compiled by an engine: OpenVINO or Keras' backend.

Every part runs on blocks of a few rows, or row by row where blocks would change the bits of a row.
Short rows of different lengths may run in *packs*, that is, several joined into one, if this
changes no bit. So neither the number of rows nor their order affects the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skltransfer.backend import backend_name, compile_function, kernels, processor, versions
from skltransfer.frozen.openvino import (
    ChainOrWhole,
    CompiledSegment,
    RowByRow,
    RunChain,
    installed_version,
    results_of,
)
from skltransfer.inputs._input import Array, Rows, RowSpec, TensorSpec
from skltransfer.network.batch_invariance import most_block_rows
from skltransfer.network.packs import LENGTH, RowsInPacks, RunRows, in_packs, run_rows


@dataclass(frozen=True)
class FrozenPart:
    """A compiled, frozen part of a network.

    Attributes
    ----------
    run : InvariantBatches, RowsInPacks, RowByRow or ChainOrWhole
        Turns rows of `row_spec` into rows of `output`; can also return intermediate activations.
    row_spec : tuple of TensorSpec
        Tensors of an input row.
    output : TensorSpec
        Tensor of an output row.
    """

    run: RunRows | RowByRow | ChainOrWhole
    row_spec: RowSpec
    output: TensorSpec

    def __call__(self, rows: Array | Rows) -> Array:
        """Compute any number of rows, with one tensor or several."""
        return self.run(rows if isinstance(rows, tuple) else (rows,))[0]


def chained(
    segments: Sequence[CompiledSegment],
    spec: RowSpec,
    whole: Callable[[], CompiledSegment] | None = None,
    trial: Rows | None = None,
) -> FrozenPart:
    """Chain segments (consecutive layers) compiled by OpenVINO, starting from rows of `spec`.

    `whole` returns the same network as a single segment; see `ChainOrWhole`. `trial` are rows for
    testing whether rows may run in packs; None if the segments were not compiled for packs.
    """

    def run(chain: Sequence[CompiledSegment]) -> RunChain:
        return RowByRow(chain) if trial is None else _pack_by_pack(chain, spec, trial)

    chain = run(segments)
    either = chain if whole is None else ChainOrWhole(chain, lambda: run([whole()]))
    return FrozenPart(either, spec, chain.results[0])


def _pack_by_pack(segments: Sequence[CompiledSegment], spec: RowSpec, trial: Rows) -> RowsInPacks:
    """Chain segments that were compiled for packs, starting from rows of `spec`.

    The `trial` rows serve to find out whether rows may run in packs.
    """

    def compute(x: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, ...]:
        passed = []
        for segment in segments:
            x = segment(x, lengths).copy()  # the next pack is written over it
            passed.append(x)
        return (passed.pop(), *passed)

    return in_packs(RowsInPacks(compute, spec, results_of(segments)), (), trial)


def engine_key_fields(engine: str) -> dict[str, Any]:
    """Return what the results of a frozen part depend on besides the network and its input."""
    fields = {
        "engine": engine,
        "backend": backend_name(),
        "versions": versions(),
        "processor": processor(),
        "kernels": kernels(),
    }
    if engine == "openvino":
        return {**fields, "openvino": installed_version()}
    return {**fields, "block_rows": most_block_rows()}


def compile_part(
    compute: Callable[..., Any], spec: RowSpec, n_rows: int | None = None, trial: Rows | None = None
) -> FrozenPart:
    """Let the backend compile a function of rows of `spec`.

    The function returns a tensor, or a tuple of this tensor and intermediate activations. `n_rows`
    rows run together. If this number is None, the function is tested on the `trial` rows, to find
    out whether several rows may run together.

    If rows differ in length, the function has an option `lengths`: the lengths of the rows in a
    pack. Without `trial` rows, `lengths` is None, and every row runs alone.
    """
    if any(tensor.is_ragged for tensor in spec):
        return _compile_ragged(compute, spec, trial)
    shapes = [(None, *tensor.shape) for tensor in spec]
    function = compile_function(compute, shapes, [tensor.dtype for tensor in spec])
    together = most_block_rows() if n_rows is None else n_rows
    run = run_rows(function, spec, together, trial=trial if n_rows is None else None)
    return FrozenPart(run, spec, TensorSpec(tuple(function.shapes[0][1:])))


def _compile_ragged(compute: Callable[..., Any], spec: RowSpec, trial: Rows | None) -> FrozenPart:
    def of_pack(*arguments: Any) -> Any:
        *tensors, lengths = arguments
        return compute(*tensors, lengths=None if trial is None else lengths)

    inputs = (*spec, LENGTH)
    shapes = [(None, *tensor.shape) for tensor in inputs]
    function = compile_function(of_pack, shapes, [tensor.dtype for tensor in inputs])
    return FrozenPart(
        run_rows(function, spec, 1, trial=trial), spec, TensorSpec(tuple(function.shapes[0][1:]))
    )
