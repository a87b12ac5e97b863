"""Which engine computes the frozen part: what was asked for, and what works here."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from skltransfer._warnings import warn_user
from skltransfer.backbones._processes import start
from skltransfer.network._openvino import INSTALL, NotConvertible, is_installed
from skltransfer.network._places import trial_rows
from skltransfer.network._tensorflow_graphs import evaluated, kernels
from skltransfer.network.engines import FrozenPart, feature_function, feature_part
from skltransfer.network.runtime import Network
from skltransfer.network.trunk import trunk_part

_MOST_DIFFERENT = 1e-4
"""Of the largest feature; engines that sum in another order differ by 1e-6."""


def chosen_engine(
    asked: str,
    network: Network,
    layers: tuple[str, ...] = (),
    pooling: str = "avg",
    tell: Callable[[str], None] = lambda line: None,
) -> str:
    """Who computes the pooled outputs of `layers` (none: the features' end).

    Parameters
    ----------
    asked : {"auto", "tensorflow", "openvino"}
        What the user wants.
    network : Network
        The backbone.
    layers : tuple of str, default=()
        Layers whose outputs are wanted.
    pooling : {"avg", "max", "flatten"}, default="avg"
        How they become rows.
    tell : callable, optional
        Told why OpenVINO, though it is there, was not chosen by "auto".

    Returns
    -------
    {"tensorflow", "openvino"}

    Raises
    ------
    ImportError
        When OpenVINO is asked for and not installed.
    ValueError
        When it is asked for and cannot compute this network.
    """
    if asked == "tensorflow" or (asked == "auto" and not (is_installed() and _without_gpu())):
        return "tensorflow"
    reason = refusal(network, layers, pooling)
    if reason is None:
        return "openvino"
    if asked == "openvino":
        kind = ValueError if is_installed() else ImportError
        raise kind(
            f"engine='openvino' cannot compute backbone={network.spec.name!r}: {reason} "
            "engine='auto' takes TensorFlow where OpenVINO does not serve."
        )
    tell(f"{network.spec.name}: TensorFlow computes the frozen part. {reason}")
    return "tensorflow"


def engine_here(fitted: str, network: Network, layers: tuple[str, ...], pooling: str) -> str:
    """Who computes in this process what another engine may have computed when fitted."""
    if fitted == "tensorflow":
        return fitted
    reason = refusal(network, layers, pooling)
    if reason is None:
        return fitted
    _warn_of_another_engine(reason)
    return "tensorflow"


@lru_cache(maxsize=8)  # a reason is told once
def _warn_of_another_engine(reason: str) -> None:
    warn_user(
        f"This estimator was fitted with engine='openvino', and here TensorFlow computes: {reason} "
        "Results agree to about 1e-6, not to the bit."
    )


def refusal(network: Network, layers: tuple[str, ...], pooling: str) -> str | None:
    """Why OpenVINO cannot compute something here; None: it can."""
    if not is_installed():
        return f"OpenVINO is not installed ({INSTALL})."
    key = ("openvino's refusal", layers, pooling)
    return network.part(key, lambda: _tried(network, layers, pooling))


def _without_gpu() -> bool:
    start()
    return kernels() != "gpu"


def _tried(network: Network, layers: tuple[str, ...], pooling: str) -> str | None:
    """Compile, and compare with TensorFlow on pictures of noise."""
    rows = trial_rows((*network.input_size, 3), 0.0, 255.0)[:2]
    try:
        found = _part(network, layers, pooling)(rows)
    except NotConvertible as error:
        return str(error)
    expected = evaluated(feature_function(network, layers, pooling), rows)
    off = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
    if off <= _MOST_DIFFERENT:
        return None
    return f"OpenVINO's results differ from TensorFlow's by {off:.0e} of the largest."


def _part(network: Network, layers: tuple[str, ...], pooling: str) -> FrozenPart:
    if layers or pooling != "avg":
        return feature_part(network, layers, pooling, "openvino")
    return trunk_part(network, None, len(network.features.steps) - 1, "openvino")
