"""Base of all estimators: the parameters of the backbone, their checks, and saving."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import numpy as np
from scipy.sparse import issparse, vstack
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from skltransfer.backbones.registry import (
    adopt,
    input_of,
    is_keras_model,
    preprocessing_told,
    registered,
    resolve,
)
from skltransfer.backend import backend_names
from skltransfer.cache import open_cache
from skltransfer.estimators.documentation import Documented
from skltransfer.frozen.engine_selection import chosen_engine, engine_here
from skltransfer.frozen.frozen_prefix import FrozenPrefix
from skltransfer.inputs._input import blocks_of, empty_rows
from skltransfer.inputs.kinds import parameters_of_kinds
from skltransfer.network.runtime import Network, network_of
from skltransfer.persistence import CARRIED, write_state
from skltransfer.persistence.metadata_requests import REQUESTED, give_requests, take_requests
from skltransfer.persistence.portable_paths import from_portable, to_portable
from skltransfer.progress import tell, tell_of_start

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from skltransfer.backbones.spec import BackboneSpec
    from skltransfer.inputs._input import Array, Encoding, Size, Source

_ROWS_TOGETHER = 64
_EXPLAINS = 2
"""Smallest value of `verbose` at which messages say what is cached, and why."""

ACTING_AT_ONCE = frozenset(
    {"n_jobs", "batch_size", "cache", "verbose", "on_error", "tta", "augment", "n_views"}
)
"""Parameters that take effect at once, even on a fitted estimator. The first five do not change the
result of a readable row; the last three choose the views that a prediction averages."""

_Fit = TypeVar("_Fit", bound=Callable[..., Any])


def with_checked_parameters(fit: _Fit) -> _Fit:
    """Let scikit-learn check the parameters before `fit` runs; keep the type of `fit`."""
    return cast(_Fit, _fit_context(prefer_skip_nested_validation=True)(fit))


class Number(Interval):
    """An interval of numbers that excludes True and False."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether `val` is a number within the interval."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


class BackboneEstimator(Documented, BaseEstimator):
    """Base of the estimators that run a pretrained network.

    `fit` fixes everything that results depend on: the network `backbone_`, where its features end
    and how they are pooled (`_layer` and `_pooling`), how X is read (`_encoding`), the engine
    (`engine_`) and its dtype (`_precision`). Parameters that are set later take effect in the next
    fit; only those in `ACTING_AT_ONCE` act on a fitted estimator.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "backbone": "no_validation",
        "weights": [str, os.PathLike, None],
        "pooling": [StrOptions({"avg", "avg_std", "cls", "flatten", "last", "max"}), None],
        "max_tokens": [Number(Integral, 1, None, closed="left"), None],
        "sample_rate": [Number(Integral, 1_000, 768_000, closed="both"), None],
        "max_seconds": [Number(Real, 0, None, closed="neither"), None],
        "image_shape": "no_validation",
        "pixel_range": "no_validation",
        "input_size": "no_validation",
        "resize": [StrOptions({"stretch", "crop", "pad"})],
        "batch_size": [Number(Integral, 1, None, closed="left")],
        "precision": [StrOptions({"float32", "bfloat16", "float16"})],
        "engine": [StrOptions({"auto", "openvino", *backend_names()})],
        "cache": [str, os.PathLike, None],
        "on_error": [StrOptions({"raise", "nan"})],
        "n_jobs": [
            Number(Integral, None, -1, closed="right"),
            Number(Integral, 1, None, closed="left"),
            None,
        ],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _begin(self, X: Any, weights: np.ndarray | None = None) -> Source:
        """Choose the network and how X is read; return the rows of X with positive weight."""
        open_cache(self.cache)  # raises unless it names a directory
        tell_of_start(self.verbose)
        self.backbone_ = self._resolve_spec()
        if self.verbose and (line := preprocessing_told(self.backbone, self.backbone_)):
            tell(line)
        self._check_parameters_apply()
        kind = self.backbone_.input
        self._pooling = self.pooling or kind.pooling
        self._precision = self.precision
        self._encoding, source = kind.fit(self, X, weights, self._accepts)
        return source

    def _resolve_spec(self) -> BackboneSpec:
        seed = 0
        if self.weights is None:
            seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        return resolve(self.backbone, self.weights, seed)

    def _check_parameters_apply(self) -> None:
        """Refuse parameters that do not apply to the backbone's kind of input."""
        kind = self.backbone_.input
        if self.pooling is not None and self.pooling not in kind.poolings:
            allowed = ", ".join(map(repr, sorted(kind.poolings)))
            raise ValueError(
                f"pooling={self.pooling!r} is not for backbone={self.backbone_.name!r}, which "
                f"reads {kind.name}s. Allowed are {allowed} and None, which means the "
                "backbone's own pooling."
            )
        defaults = {name: p.default for name, p in signature(type(self)).parameters.items()}
        for name in sorted(parameters_of_kinds() - kind.parameters):
            value = getattr(self, name, defaults.get(name))
            if name in defaults and value is not defaults[name] and value != defaults[name]:
                raise ValueError(
                    f"{name}={value!r} does not apply to backbone={self.backbone_.name!r}, which "
                    f"reads {kind.name}s. Leave it at {defaults[name]!r}."
                )

    def _accepts(self, size: Size) -> bool:
        """Return whether the backbone can be built for rows of this size."""
        try:
            network_of(self.backbone_, size)
        except ValueError:
            return False
        return True

    def _network(self, precision: str = "float32") -> Network:
        """Return the backbone up to the end of its features."""
        return network_of(self.backbone_, self._encoding.size, precision)

    def _choose_engine(self) -> None:
        """Set `engine_`, once the layers to compute are known."""
        told = tell if self.verbose else lambda line: None
        network = self._network(self._precision)
        self.engine_ = chosen_engine(self.engine, network, *self._computed(), told)

    def _computed(self) -> tuple[tuple[str, ...], str]:
        """Return the layers to compute (empty: the end of the features), and their pooling."""
        return (), self._pooling

    def _prefix(self) -> FrozenPrefix:
        """Return the frozen part, ready to run rows through it."""
        tell_of_start(self.verbose)
        network = self._network(self._precision)
        return FrozenPrefix(
            network=network,
            encoding=self._encoding,
            engine=engine_here(self.engine_, network, *self._computed()),
            cache=self.cache,
            n_jobs=self.n_jobs,
            rows_in_flight=self.batch_size,
            keep_going=self.on_error == "nan",
            explains=self.verbose >= _EXPLAINS,
        )

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Restore the estimator's state if a fit fails or is interrupted."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        input_of(self.backbone).adapt_tags(tags)
        return tags

    def __sklearn_clone__(self) -> Any:
        """Clone, but share a live Keras model, which estimators never modify."""
        if not is_keras_model(self.backbone):
            return super().__sklearn_clone__()
        shell = object.__new__(type(self))
        shell.__dict__.update(self.__dict__, backbone=None)
        twin = BaseEstimator.__sklearn_clone__(shell)
        twin.backbone = self.backbone
        return twin

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the estimator, fitted or not, to a file without pickle.

        The file holds JSON, arrays and a checksum of both; ``skltransfer.load`` loads it. A network
        that comes with the package or with a companion distribution is stored as a name and a
        fingerprint, any other network with its weights. Writing is atomic: an older file of the
        same name stays until the new one is complete.

        Parameters
        ----------
        path : str or Path
            The file to write; an existing file is replaced. Any suffix is allowed.

        Raises
        ------
        TypeError
            If a parameter holds something other than data or a Keras layer, such as a transformer
            for `tabular`, or if the estimator is an instance of a subclass. ``joblib.dump`` can
            save such estimators.
        ValueError
            If the file could not be loaded again, for example because the network has a ``Lambda``
            layer, or because attributes were set by hand.
        OSError
            If the file cannot be written.

        See Also
        --------
        skltransfer.load : Loads the file, with an example.
        """
        self._check_savable()
        write_state(path, type(self), self._plain_state(), self._get_param_names())

    def _check_savable(self) -> None:
        """Refuse an estimator that cannot be saved without pickle."""

    def __getstate__(self) -> dict[str, Any]:
        """Return plain data for a pickle, which loads on any system."""
        return to_portable(self._plain_state())

    def _plain_state(self) -> dict[str, Any]:
        """Return plain data: a live model becomes its content; a registered name brings its handle.

        The fitted state holds no Keras object, so nothing is left out. Metadata routing requests
        become a dict.
        """
        state = dict(super().__getstate__())
        if is_keras_model(self.backbone):
            state["backbone"] = resolve(self.backbone)
        elif registered(self.backbone) is not None:
            state[CARRIED] = registered(self.backbone)
        take_requests(state)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state, and register the handle that it contains, if any."""
        state = from_portable(state)
        carried, requested = state.pop(CARRIED, None), state.pop(REQUESTED, None)
        if carried is not None:
            state["backbone"] = adopt(carried)
        super().__setstate__(state)
        if requested is not None:
            give_requests(self, requested)


def begin(estimator: BackboneEstimator, X: Any) -> tuple[FrozenPrefix, Source]:
    """Choose the engine and how X is read, as in `fit`; return the frozen part and the rows."""
    source = estimator._begin(X)
    estimator._choose_engine()
    return estimator._prefix(), source


def plain_rows_of(estimator: BackboneEstimator, X: Any) -> Array | csr_array:
    """Return rows of X for a baseline without a network, such as small images or token counts."""
    kind, source = estimator.backbone_.input, estimator._encoding.source(estimator, X)
    parts = []
    for _, some in blocks_of(source, _ROWS_TOGETHER):
        rows = empty_rows(estimator._encoding.row_spec, len(some))
        some.load(range(len(some)), rows)
        parts.append(kind.plain_rows(rows))
    return vstack(parts).tocsr() if issparse(parts[0]) else np.concatenate(parts)


def network_in(estimator: BackboneEstimator) -> Network:
    """Return the network of a fitted estimator, in float32."""
    return estimator._network()


def encoding_of(estimator: object) -> Encoding | None:
    """Return how a fitted estimator reads X; None for other kinds of estimators."""
    found: Encoding | None = getattr(estimator, "_encoding", None)
    return found
