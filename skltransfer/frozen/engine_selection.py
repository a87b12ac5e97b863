"""Choosing the engine for the frozen part: the requested one, if it works here."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from skltransfer._warnings import warn_user
from skltransfer.backend import (
    backend_name,
    backend_title,
    evaluated,
    kernels,
    refuses_openvino,
    start,
)
from skltransfer.frozen.layer_features import feature_function, feature_part
from skltransfer.frozen.openvino import INSTALL, NotConvertible, is_installed
from skltransfer.frozen.prefix import prefix_part
from skltransfer.inputs._input import Array, each_row, part_of
from skltransfer.network.packs import RowsInPacks
from skltransfer.network.runtime import Network, in_float32

if TYPE_CHECKING:
    from skltransfer.frozen.engines import FrozenPart

_MOST_DIFFERENT = {"float32": 1e-5, "bfloat16": 0.3, "float16": 0.05}
"""Largest accepted difference between engines, as a share of the largest feature. In float32,
another order of summation alone gives 1e-6; in other formats, rounding adds up over the layers."""

_HALVES = {"float16", "bfloat16"}


def chosen_engine(
    asked: str,
    network: Network,
    layers: tuple[str, ...] = (),
    pooling: str = "avg",
    tell: Callable[[str], None] = lambda line: None,
) -> str:
    """Choose the engine that computes the pooled outputs of `layers`.

    Parameters
    ----------
    asked : {"auto", "openvino", "tensorflow", "jax", "torch"}
        The user's request.
    network : Network
        The backbone.
    layers : tuple of str, default=()
        Layers whose outputs are needed; () is the end of the features.
    pooling : {"avg", "max", "flatten", "cls", "last", "avg_std"}, default="avg"
        How these outputs become rows.
    tell : callable, optional
        Called with the reason if "auto" would choose OpenVINO, but OpenVINO cannot compute the
        network.

    Returns
    -------
    {"openvino", "tensorflow", "jax", "torch"}
        OpenVINO, or Keras' backend.

    Raises
    ------
    ImportError
        If OpenVINO is requested and not installed.
    ValueError
        If OpenVINO is requested and cannot compute this network, or if a backend is requested other
        than the one that Keras uses.
    """
    own = backend_name()
    if asked not in ("auto", "openvino", own):
        raise ValueError(_other_backend(asked))
    if asked == own or (asked == "auto" and not (is_installed() and _without_gpu())):
        return own
    if asked == "auto" and _runs_in_packs(network, layers, pooling):
        return own
    reason = refusal(network, layers, pooling)
    if reason is None:
        return "openvino"
    if asked == "openvino":
        kind = ValueError if is_installed() else ImportError
        raise kind(
            f"engine='openvino' cannot compute backbone={network.spec.name!r}: {reason} "
            f"engine='auto' uses {backend_title()} instead."
        )
    tell(f"{network.spec.name}: {backend_title()} computes the frozen part. {reason}")
    return own


def _other_backend(asked: str) -> str:
    own = backend_name()
    return (
        f"engine={asked!r} is set, but here Keras runs on {backend_title()}. A process has one "
        f"backend: set KERAS_BACKEND={asked} in the environment before Keras is imported, or set "
        f"engine={own!r} or 'auto'."
    )


def engine_here(fitted: str, network: Network, layers: tuple[str, ...], pooling: str) -> str:
    """Choose the engine in this process for an estimator fitted with the engine `fitted`."""
    own = backend_name()
    if fitted == own:
        return fitted
    if fitted == "openvino":
        reason = refusal(network, layers, pooling)
    else:
        reason = f"Keras does not run on {backend_title(fitted)} in this process."
    if reason is None:
        return fitted
    _warn_of_another_engine(fitted, reason)
    return own


@lru_cache(maxsize=8)  # each reason is reported once
def _warn_of_another_engine(fitted: str, reason: str) -> None:
    warn_user(
        f"This estimator was fitted with engine={fitted!r}, but here {backend_title()} computes: "
        f"{reason} Results agree to about 1e-6, not bit for bit."
    )


def refusal(network: Network, layers: tuple[str, ...], pooling: str) -> str | None:
    """Return why OpenVINO cannot compute these features in this process; None if it can."""
    if not is_installed():
        return f"OpenVINO is not installed ({INSTALL})."
    if refuses_openvino():
        return refuses_openvino()
    key = ("openvino's refusal", layers, pooling)
    return network.part(key, lambda: _refusal_on_trial(network, layers, pooling))


def _without_gpu() -> bool:
    start()
    return kernels() != "gpu"


def _runs_in_packs(network: Network, layers: tuple[str, ...], pooling: str) -> bool:
    """Return whether the backend runs short rows in packs.

    A pack is several rows of different lengths, joined into one. OpenVINO runs packs a little
    faster than TensorFlow, but takes longer to compile, and needs more memory.
    """
    if not network.takes_packs:
        return False
    run = _part(network, layers, pooling, backend_name()).run
    return isinstance(run, RowsInPacks) and run.n_positions > 0


def _refusal_on_trial(network: Network, layers: tuple[str, ...], pooling: str) -> str | None:
    """Compile with OpenVINO, and compare the results with TensorFlow's on rows of noise."""
    if network.precision == "float32" and (own := _half_precision_layer(network)):
        return f"its layer {own!r} computes in half precision, but OpenVINO would not."
    rows = part_of(network.trial_rows(), slice(2))
    try:
        found = _part(network, layers, pooling, "openvino")(rows)
    except NotConvertible as error:
        return str(error)
    compute = feature_function(in_float32(network), layers, pooling)
    each = each_row(rows) if any(map(_is_ragged, rows)) else [rows]
    expected = np.concatenate([evaluated(compute, *some) for some in each])
    with np.errstate(invalid="ignore"):  # infinities are reported where features are used
        off = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
    if off <= _MOST_DIFFERENT[network.precision]:
        return None
    return f"OpenVINO's results differ from TensorFlow's by {off:.0e} of the largest value."


def _is_ragged(array: Array) -> bool:
    return array.dtype == object


def _half_precision_layer(network: Network) -> str | None:
    """Return the name of a layer that itself asks for half precision; None if there is none."""
    halves = (s.name for s in network.graph.steps if _compute_dtype(s.operation) in _HALVES)
    return next(halves, None)


def _compute_dtype(operation: Any) -> str | None:
    return getattr(operation, "compute_dtype", None)


def _part(network: Network, layers: tuple[str, ...], pooling: str, engine: str) -> FrozenPart:
    if layers:
        return feature_part(network, layers, pooling, engine)
    return prefix_part(network, None, network.end, engine)
