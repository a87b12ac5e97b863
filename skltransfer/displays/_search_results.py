"""The results of a search as a table by freeze depth and head size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np

from skltransfer._types import FreezeDepth
from skltransfer.training.head_parameters import check_units

Place: TypeAlias = tuple[FreezeDepth, tuple[int, ...]]
"""Freeze depth and head of a candidate."""
Candidates: TypeAlias = Sequence[dict[str, Any]]

_DEPTH, _UNITS = "freeze_depth", "head_units"


@dataclass(frozen=True)
class DepthTable:
    """Scores and times by freeze depth (rows) and head (columns); NaN for untried combinations.

    Attributes
    ----------
    depths : list of str, int or float
        Freeze depths, in the order of `depth_order`.
    heads : list of tuple of int
        Widths of the hidden layers of each head.
    scores, score_sds, times, time_sds : ndarray of float64, shape (n_depths, n_heads)
        Mean and standard deviation over the folds.
    best_over : list of str
        Names of the other parameters that differ between candidates of one depth and head.
    """

    depths: list[FreezeDepth]
    heads: list[tuple[int, ...]]
    scores: np.ndarray
    score_sds: np.ndarray
    times: np.ndarray
    time_sds: np.ndarray
    best_over: list[str]


def depth_table(search: Any, metric: str) -> DepthTable:
    """Find the best candidate of each freeze depth and head, by the mean of `metric`.

    In a halving search, only the last round of each depth and head counts, because rounds use
    different numbers of rows.
    """
    results = search.cv_results_
    places = _places(search, results["params"])
    depths = sorted({depth for depth, _ in places}, key=_depth_key(places))
    heads = sorted({head for _, head in places}, key=lambda head: (len(head), head))
    best = _best_rows(places, results, metric)
    columns = (f"mean_test_{metric}", f"std_test_{metric}", "mean_fit_time", "std_fit_time")
    scores, score_sds, times, time_sds = tables = [
        np.full((len(depths), len(heads)), np.nan) for _ in columns
    ]
    for (depth, head), row in best.items():
        for table, column in zip(tables, columns, strict=True):
            table[depths.index(depth), heads.index(head)] = results[column][row]
    best_over = _best_over(places, results["params"])
    return DepthTable(depths, heads, scores, score_sds, times, time_sds, best_over)


def depth_order(depth: FreezeDepth) -> tuple[int, float]:
    """Return the sort key of a depth: "all", -1, -2, ..., names, fractions, then counts down to 0.

    Names keep the order of the search. "auto", which stands for several depths, comes first.
    """
    if isinstance(depth, str):
        return {"auto": (-1, 0.0), "all": (0, 0.0)}.get(depth, (2, 0.0))
    if depth < 0:
        return (1, -float(depth))
    return (3 if 0 < depth < 1 else 4, -float(depth))


def searched_metric(search: Any, metric: str | None) -> str:
    """Return the name of the requested scores in ``cv_results_``."""
    names: list[str] = [
        key.removeprefix("mean_test_") for key in search.cv_results_ if _is_score(key)
    ]
    if metric is None and len(names) > 1 and isinstance(search.refit, str):
        refit: str = search.refit
        return refit
    if metric is None and len(names) == 1:
        return names[0]
    if metric is None or metric not in names:
        raise ValueError(
            f"metric={metric!r} does not name a score of the search, which has "
            f"{', '.join(map(repr, names))}. Pass one of these as metric."
        )
    return metric


def _is_score(key: str) -> bool:
    return key.startswith("mean_test_")


def _places(search: Any, candidates: Candidates) -> list[Place]:
    """Return freeze depth and head of every candidate; the estimator's if it sets none."""
    name = _depth_parameter(candidates)
    units_name = name.removesuffix(_DEPTH) + _UNITS
    given = search.estimator.get_params()
    return [
        (
            _plain(candidate.get(name, given.get(name))),
            check_units(candidate.get(units_name, given.get(units_name, ()))),
        )
        for candidate in candidates
    ]


def _best_over(places: list[Place], candidates: Candidates) -> list[str]:
    """Return names, without the step's prefix, of parameters that differ within one place."""
    names = {name for candidate in candidates for name in candidate}
    values: dict[tuple[str, Place], set[str]] = {}
    for place, candidate in zip(places, candidates, strict=True):
        for name in names:
            values.setdefault((name, place), set()).add(repr(candidate.get(name)))
    prefix = _depth_parameter(candidates).removesuffix(_DEPTH)
    varied = {name.removeprefix(prefix) for (name, _), found in values.items() if len(found) > 1}
    return sorted(varied - {_DEPTH, _UNITS})


def _depth_parameter(candidates: Candidates) -> str:
    names = sorted({name for candidate in candidates for name in candidate})
    found = [name for name in names if name == _DEPTH or name.endswith(f"__{_DEPTH}")]
    if not found:
        raise ValueError(
            f"The search tried no freeze depths: its parameters are {', '.join(names)}. Search "
            "over freeze_depth of a FineTunedClassifier, as in {'freeze_depth': ['all', -1, -2]}, "
            "or over 'step__freeze_depth' if it is a step of a pipeline."
        )
    if len(found) > 1:
        raise ValueError(
            f"The search varies {' and '.join(found)}, but the axis shows one of them. Search "
            "over one at a time."
        )
    return found[0]


def _plain(depth: Any) -> FreezeDepth:
    """Return a depth as a Python number, so that equal depths compare equal."""
    if isinstance(depth, Integral):
        return int(depth)
    return float(depth) if isinstance(depth, Real) else str(depth)


def _depth_key(places: list[Place]) -> Callable[[FreezeDepth], Any]:
    came = {depth: index for index, (depth, _) in reversed(list(enumerate(places)))}
    return lambda depth: (depth_order(depth), came[depth])


def _best_rows(places: list[Place], results: dict[str, Any], metric: str) -> dict[Place, int]:
    """Return the row of the best candidate of each depth and head; failed ones do not count."""
    scores = np.asarray(results[f"mean_test_{metric}"], np.float64)
    rounds = np.asarray(results.get("iter", np.zeros(len(scores))))
    best: dict[Place, int] = {}
    for row, place in enumerate(places):
        if np.isnan(scores[row]):
            continue
        other = best.get(place)
        if other is None or (rounds[row], scores[row]) > (rounds[other], scores[other]):
            best[place] = row
    return best
