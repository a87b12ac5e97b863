"""Metadata routing requests of an estimator as plain data: `set_fit_request` and the like."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

REQUESTED = "_requested_metadata"
"""The name of the requests in the state of an estimator."""

_OWN = "_metadata_request"


def take_requests(state: dict[str, Any]) -> None:
    """Replace scikit-learn's object in the `state` of an estimator by data."""
    requests = state.pop(_OWN, None)
    if requests is not None:
        state[REQUESTED] = requests._serialize()


def give_requests(estimator: BaseEstimator, requested: dict[str, dict[str, Any]]) -> None:
    """Set the requests of each method."""
    requests = estimator._get_metadata_request()
    for method, aliases in requested.items():
        for name, alias in aliases.items():
            getattr(requests, method).add_request(param=name, alias=alias)
    setattr(estimator, _OWN, requests)
