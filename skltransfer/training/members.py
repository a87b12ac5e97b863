"""The members of an estimator: copies of a network, trained with different freeze depths.

Their outputs are averaged, because no depth suits all images. Training many layers gains most on
drawings, but loses accuracy on images like those of the pretraining. With few images, averaging
over depths is better than choosing a depth by held-out images (FEWTRANS, arXiv 2603.00478, 2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from skltransfer._tables import column
from skltransfer.network.stages import resolve_freeze_depth

if TYPE_CHECKING:
    from skltransfer._types import Auto, FreezeDepth
    from skltransfer.network.runtime import Network
    from skltransfer.tasks._task import Singles

AUTO = "auto"
ALL = "all"

_GENTLE_RATE = 3e-4
_FIRM_RATE = 1e-3
_STEPS_AT_FIRM_RATE = 60
_DEEP_DECAY = 0.7
_SMOOTHING = 0.1
_WEIGHT_IF_UNFROZEN = 1.5


@dataclass(frozen=True)
class Member:
    """A row of `members_`: how one member was trained.

    Attributes
    ----------
    freeze_depth : int, float or str
        What stayed frozen, as a value of the parameter of the same name.
    learning_rate, layer_decay, label_smoothing : float
        Values of the parameters of the same names, with "auto" resolved.
    """

    freeze_depth: int | float | str = column("freeze_depth")
    learning_rate: float = column("learning_rate")
    layer_decay: float = column("layer_decay")
    label_smoothing: float = column("label_smoothing")


@dataclass(frozen=True)
class Rates:
    """Parameters for which "auto" means a value that depends on the freeze depth; see `Member`."""

    learning_rate: float | Auto
    layer_decay: float | Auto
    label_smoothing: float | Auto

    @property
    def are_open(self) -> bool:
        """Whether any of these parameters is "auto"."""
        return AUTO in (self.learning_rate, self.layer_decay, self.label_smoothing)

    def member(self, freeze_depth: FreezeDepth, network: Network) -> Member:
        """Return the member at a freeze depth, with the learning rate for a long training."""
        usual = _usual_rates(freeze_depth, network)
        given = self.learning_rate, self.layer_decay, self.label_smoothing
        return Member(
            freeze_depth,
            *(float(u if g == AUTO else g) for g, u in zip(given, usual, strict=True)),
        )

    def paced(self, member: Member, n_steps: int) -> Member:
        """Return the member with the learning rate for a training of `n_steps` steps.

        A short training gets a lower rate: AdamW's first steps are as large as the rate, whatever
        the gradient, and a short training cannot repair the damage of large first steps.
        """
        if self.learning_rate != AUTO or member.learning_rate <= _GENTLE_RATE:
            return member
        share = min(1.0, n_steps / _STEPS_AT_FIRM_RATE)
        return replace(member, learning_rate=share * member.learning_rate)


Depths: TypeAlias = "tuple[FreezeDepth, ...]"


def depths_of(freeze_depth: FreezeDepth, network: Network, is_foreign: bool = False) -> Depths:
    """Return the freeze depths of all members, from most to least frozen.

    Parameters
    ----------
    freeze_depth : int, float or str
        The parameter. With "auto", one member trains only the head, one also the last quarter of
        the stages, and one also the last half of them.
    network : Network
        The backbone.
    is_foreign : bool, default=False
        Whether the rows are of a kind that the backbone was not trained for, such as plain numbers;
        "auto" then trains only the head.
    """
    if not isinstance(freeze_depth, str) or freeze_depth != AUTO:
        return (freeze_depth,)
    n_stages = len(network.stages)
    trained = {max(1, n_stages // 4), n_stages // 2} - {0, n_stages}
    return (ALL, *(() if is_foreign else [-k for k in sorted(trained)]))


def freeze_point_of(freeze_depth: FreezeDepth, network: Network) -> int | None:
    """Return the last frozen step at a freeze depth; None if nothing is frozen."""
    return resolve_freeze_depth(freeze_depth, network.features, network.stages)


def member_weights(n_members: int) -> tuple[float, ...]:
    """Return the weights of members, from most to least frozen, which add up to 1.

    If there are several members, the first trains only the head. Its logits are larger, because it
    is trained without label smoothing, so it would dominate an unweighted mean.
    """
    weights = (1.0, *(n_members - 1) * (_WEIGHT_IF_UNFROZEN,))
    return tuple(weight / sum(weights) for weight in weights)


def mean_of_members(values: Sequence[Singles]) -> Singles:
    """Return the weighted mean of the members' values, such as their outputs for the same rows.

    The mean of logits gives the normalised geometric mean of the probabilities (log-linear pooling;
    Genest and Zidek, "Combining Probability Distributions", 1986).
    """
    if len(values) == 1:
        return values[0]
    weights = np.array(member_weights(len(values)), np.float32)
    mean: Singles = sum(weight * one for weight, one in zip(weights, values, strict=True))
    return mean


def told(members: Sequence[Member], freeze_depth: FreezeDepth, rates: Rates) -> str:
    """Describe in one line the values that replace "auto"; leave out values that users gave."""
    trained = [_resolved(member, rates) for member in members]
    if freeze_depth != AUTO:
        return f"auto: {trained[0]}"
    parts = [
        f"freeze_depth={member.freeze_depth!r}{f' ({of_rates})' if of_rates else ''}"
        for member, of_rates in zip(members, trained, strict=True)
    ]
    return f"auto: {'the mean of ' if parts[1:] else ''}{', '.join(parts)}"


def _resolved(member: Member, rates: Rates) -> str:
    """Describe the values that a member has for the rates that are "auto"."""
    names = [name for name, given in vars(rates).items() if given == AUTO]
    return ", ".join(f"{name}={getattr(member, name):g}" for name in names)


def _usual_rates(freeze_depth: FreezeDepth, network: Network) -> tuple[float, float, float]:
    """Return the learning rate, layer decay and label smoothing that "auto" means at a depth."""
    point = freeze_point_of(freeze_depth, network)
    n_trained = sum(point is None or stage.stop > point for stage in network.stages)
    if not n_trained:
        return _GENTLE_RATE, 1.0, 0.0
    ends_in_map = len(network.features.steps[network.end].shape) == 3
    is_deep = n_trained > max(1, len(network.stages) // 4)
    return (
        _FIRM_RATE if ends_in_map else _GENTLE_RATE,
        _DEEP_DECAY if is_deep else 1.0,
        _SMOOTHING,
    )
