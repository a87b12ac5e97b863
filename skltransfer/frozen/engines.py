"""Frozen parts of networks, compiled by an engine: OpenVINO or Keras' backend.

Every part runs on blocks of a few rows, or row by row where blocks would change the bits of a row.
Short rows of different lengths may run in *packs*, that is, several joined into one, if this
changes no bit. So neither the number of rows nor their order affects the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from skltransfer.backend import backend_name, compile_function, kernels, processor, versions
from skltransfer.frozen.openvino import CompiledSegment, RowByRow, installed_version
from skltransfer.inputs._input import Array, Rows, RowSpec, TensorSpec
from skltransfer.network.batch_invariance import most_block_rows
from skltransfer.network.packs import LENGTH, RunRows, run_rows


@dataclass(frozen=True)
class FrozenPart:
    """A compiled, frozen part of a network.

    Attributes
    ----------
    run : InvariantBatches, RowsInPacks or RowByRow
        Turns rows of `row_spec` into rows of `output`; can also return intermediate activations.
    row_spec : tuple of TensorSpec
        Tensors of an input row.
    output : TensorSpec
        Tensor of an output row.
    """

    run: RunRows | RowByRow
    row_spec: RowSpec
    output: TensorSpec

    def __call__(self, rows: Array | Rows) -> Array:
        """Compute any number of rows, with one tensor or several."""
        return self.run(rows if isinstance(rows, tuple) else (rows,))[0]


def chained(
    segments: Sequence[CompiledSegment],
    spec: RowSpec,
    whole: Callable[[], CompiledSegment] | None = None,
) -> FrozenPart:
    """Chain segments (consecutive layers) compiled by OpenVINO, starting from rows of `spec`.

    `whole` returns the same network as a single segment; see `RowByRow`.
    """
    rows = RowByRow(segments, whole)
    return FrozenPart(rows, spec, TensorSpec(rows.shapes[0][1:]))


def engine_key_fields(engine: str) -> dict[str, Any]:
    """Return what the results of a frozen part depend on besides the network and its input."""
    fields = {
        "engine": engine,
        "backend": backend_name(),
        "versions": versions(),
        "processor": processor(),
    }
    if engine == "openvino":
        return {**fields, "openvino": installed_version()}
    return {**fields, "kernels": kernels(), "block_rows": most_block_rows()}


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
