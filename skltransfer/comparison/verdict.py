"""The result of a comparison, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skltransfer.comparison.learning_curve import Scores

_ERRORS_OF_A_DIFFERENCE = 2.0
"""A difference is clear if it is larger than this many times its standard error."""


@dataclass(frozen=True)
class Contestant:
    """A candidate or a baseline, with its learning curve.

    Attributes
    ----------
    backbone : str
        Name of the network, or of the baseline.
    layer : str or None
        Layer at which the network ends; None is its last layer.
    input_size : tuple of int or None
        Height and width at which the network sees images; None is the size it was trained at.
    curve : list of Scores
        Scores for each number of labels; the last ones are the scores with all labels.
    seconds : float
        Time to compute the features.
    """

    backbone: str
    layer: str | None
    input_size: tuple[int, int] | None
    curve: list[Scores]
    seconds: float

    @property
    def full(self) -> Scores:
        """Scores with all labels."""
        return self.curve[-1]

    def __str__(self) -> str:
        """Return its name for use in a sentence."""
        size = "" if self.input_size is None else f" at {self.input_size[0]} x {self.input_size[1]}"
        return self.backbone + ("" if self.layer is None else f" up to {self.layer}") + size


def verdict(
    candidates: Sequence[Contestant], baselines: Sequence[Contestant], sizes: Sequence[int]
) -> str:
    """Return sentences on transfer, labels, layers and other networks.

    The best of `candidates` comes first.
    """
    best = candidates[0]
    sentences = [_on_transfer(best, baselines[0]) if baselines else _on_best(best)]
    if baselines and sizes:
        sentences.append(_on_few_labels(best, baselines[0], sizes[0]))
    if sizes:
        sentences.append(_on_labels(best, sizes[-1]))
    sentences.extend(_on_layers(best, candidates))
    sentences.extend(_on_other_backbones(best, candidates))
    return " ".join(sentences)


def _on_best(best: Contestant) -> str:
    return f"The best candidate is {best}, which scores {best.full.mean:.3f}."


def _on_transfer(best: Contestant, baseline: Contestant) -> str:
    gain = best.full - baseline.full
    scores = (
        f"{best} scores {best.full.mean:.3f}, {baseline} without a network {baseline.full.mean:.3f}"
    )
    if gain.mean <= 0:
        return f"Transfer does not pay here: {scores}."
    if not _is_clear(gain):
        return (
            f"Transfer does not clearly pay here: {scores}, and the gain of {_told(gain)} could be "
            "due to chance."
        )
    return f"Transfer pays here: {scores}, a gain of {_told(gain)}."


def _on_few_labels(best: Contestant, baseline: Contestant, size: int) -> str:
    return f"With {size} labels the gain is {_told(best.curve[0] - baseline.curve[0])}."


def _on_labels(best: Contestant, size: int) -> str:
    rise = best.full - best.curve[-2]
    what = f"from {size} labels to all of them the score rose by {_told(rise)}"
    if _is_clear(rise):
        return f"More labels would probably help: {what}."
    return f"It is not clear that more labels would help: {what}."


def _on_layers(best: Contestant, candidates: Sequence[Contestant]) -> list[str]:
    """Compare the best candidate with the end of the same network, if that was tried."""
    if best.layer is None:
        return []
    same = best.backbone, best.input_size
    ends = [c for c in candidates if (c.backbone, c.input_size) == same and c.layer is None]
    if not ends:
        return []
    gain = best.full - ends[0].full
    scores = f"better than the end of the network: by {_told(gain)}"
    if _is_clear(gain):
        return [f"An earlier layer is clearly {scores}."]
    return [f"An earlier layer is {scores}, which could be due to chance."]


def _on_other_backbones(best: Contestant, candidates: Sequence[Contestant]) -> list[str]:
    """Compare the best candidate with the best one of another network, if any was tried."""
    others = [c for c in candidates if c.backbone != best.backbone]
    if not others:
        return []
    lead = best.full - others[0].full
    certainty = "clearly lower" if _is_clear(lead) else "lower, which could be due to chance"
    return [
        f"The best candidate of another backbone is {others[0]}, which scores "
        f"{others[0].full.mean:.3f}: by {_told(lead)} {certainty}."
    ]


def _is_clear(difference: Scores) -> bool:
    return difference.mean > _ERRORS_OF_A_DIFFERENCE * difference.error


def _told(difference: Scores) -> str:
    return f"{difference.mean:.3f} ± {difference.error:.3f}"
