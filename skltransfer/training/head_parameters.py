"""Checks of the parameters `head_units` and `head_activation`."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from skltransfer._similar import did_you_mean

# The shape-preserving functions of keras.activations; the list avoids an import of Keras.
ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "mish"),
    *("sigmoid", "log_sigmoid", "hard_sigmoid", "hard_silu", "hard_swish", "sparse_sigmoid"),
    *("tanh", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink"),
    *("softplus", "softsign", "squareplus", "sparse_plus", "exponential", "linear"),
    *("softmax", "log_softmax", "sparsemax"),
)


def check_units(head_units: Any) -> tuple[int, ...]:
    """Return the widths of the hidden layers as a tuple; an int is one layer.

    Raises
    ------
    ValueError
        If it is anything but a positive int, or a list or tuple of them.
    """
    units = (head_units,) if _is_width(head_units) else head_units
    if not isinstance(units, (list, tuple)) or not all(map(_is_width, units)):
        raise ValueError(
            f"head_units={head_units!r} must be a positive int, or a tuple or list of them, one "
            "for each hidden layer, such as 64 or (128, 64); () is a head without hidden layers."
        )
    return tuple(int(width) for width in units)


def check_activation(head_activation: Any) -> str:
    """Return the name of an activation.

    Raises
    ------
    ValueError
        If it is not the name of an activation; the message suggests similar names.
    """
    if isinstance(head_activation, str) and head_activation in ACTIVATIONS:
        return head_activation
    wanted = str(getattr(head_activation, "__name__", head_activation)).lower()
    hint = did_you_mean(wanted, ACTIVATIONS)
    raise ValueError(
        f"head_activation={head_activation!r} is not the name of a Keras activation.{hint} Allowed "
        f"are {', '.join(map(repr, sorted(ACTIVATIONS)))}."
    )


def _is_width(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0
