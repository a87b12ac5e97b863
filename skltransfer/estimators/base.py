"""What both estimators share: parameters, their checks, and the way from X to activations."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from numbers import Integral
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

import skltransfer
from skltransfer._progress import tell
from skltransfer._sizes import require_sizes
from skltransfer.backbones.registry import adopt, is_keras_model, registered, resolve
from skltransfer.backbones.spec import BackboneSpec
from skltransfer.backend import backend_names
from skltransfer.cache import open_cache
from skltransfer.estimators.documentation import Documented
from skltransfer.frozen.activation_pass import ActivationPass, Observer
from skltransfer.frozen.engine_selection import chosen_engine, engine_here
from skltransfer.frozen.prefix import (
    Station,
    facts,
    is_end,
    name_of,
    row_shape,
    stations_before,
)
from skltransfer.frozen.resume import Way, explained, ways_to
from skltransfer.inputs import ImageReadError, decoder_fingerprint
from skltransfer.inputs.reading import fit_reading
from skltransfer.network.batch_invariance import rows_together
from skltransfer.network.runtime import Network, network_of
from skltransfer.persistence import CARRIED, write_state
from skltransfer.persistence.metadata_requests import REQUESTED, give_requests, take_requests

_NOBODY = Observer()
_EXPLAINS = 2
"""From this `verbose` on it is told what is kept, and why."""


_Fit = TypeVar("_Fit", bound=Callable[..., Any])


def with_checked_parameters(fit: _Fit) -> _Fit:
    """Let scikit-learn check the parameters before `fit` runs, which keeps its type."""
    return cast(_Fit, _fit_context(prefer_skip_nested_validation=True)(fit))


class Number(Interval):
    """An interval of numbers; True and False are none."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether `val` is a number within the interval."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


class BackboneEstimator(Documented, BaseEstimator):
    """Base of the estimators that run a pretrained network."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "backbone": "no_validation",
        "weights": [str, os.PathLike, None],
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

    def _fit_backbone(self, X: Any, weights: np.ndarray | None = None) -> Any:
        """Choose the network and decide how X is read; set the attributes both are known by.

        Returns
        -------
        ImageSource or RowSource
            The rows of X that have weight.
        """
        require_sizes("input_size", self.input_size)
        require_sizes("image_shape", self.image_shape, (2, 3))
        open_cache(self.cache)  # refuses what names no directory
        self.backbone_ = self._resolve_spec()
        native = self.backbone_.input_size
        self._reading, source = fit_reading(self, X, native, self._accepts, weights)
        return source

    def _resolve_spec(self) -> BackboneSpec:
        seed = 0
        if self.weights is None:
            seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        return resolve(self.backbone, self.weights, seed)

    def _accepts(self, size: tuple[int, int]) -> bool:
        """Whether the backbone can be built for pictures of (height, width)."""
        try:
            network_of(self.backbone_, size)
        except ValueError:
            return False
        return True

    def _network(self) -> Network:
        """The backbone in float32."""
        return network_of(self.backbone_, self._reading.rule.size)

    def _frozen_network(self) -> Network:
        """The backbone in the number format of the frozen part."""
        return network_of(self.backbone_, self._reading.rule.size, self.precision)

    def _choose_engine(self) -> None:
        """Set `engine_`, when it is known what is to be computed."""
        told = tell if self.verbose else lambda line: None
        self.engine_ = chosen_engine(self.engine, self._frozen_network(), *self._computed(), told)

    def _engine_here(self) -> str:
        """`engine_`, or the backend where that is missing."""
        return engine_here(self.engine_, self._frozen_network(), *self._computed())

    def _computed(self) -> tuple[tuple[str, ...], str]:
        """Layers whose outputs are computed (none: the features' end), and their pooling."""
        return (), "avg"

    def _activations_at(
        self,
        cut: int | None,
        source: Any,
        advance: Callable[[int], None],
        *,
        wanted: Collection[int] = (),
        foresees: bool = True,
        keeps: bool = True,
        observer: Observer = _NOBODY,
    ) -> tuple[np.ndarray, dict[int, ImageReadError]]:
        """Activations at `cut`, and what could not be read.

        Parameters
        ----------
        cut : int or None
            Last frozen step; None: pixels.
        source : ImageSource, RowSource or ViewedSource
            The pictures.
        advance : callable
            Told how many rows were done.
        wanted : collection of int
            Steps on the way whose outputs are kept too.
        foresees : bool, default=True
            Whether to keep also what passes on the way and saves work if other cuts follow.
        keeps : bool, default=True
            Whether the cache is used at all.
        observer : Observer, optional
            Told digests and pixels.
        """
        network = self._frozen_network()
        engine = self._engine_here()
        foresees = foresees and keeps and open_cache(self.cache).keeps_rows
        stations = stations_before(network, cut, engine)

        @cache  # asked for where rows are missing, as the cache's folder is looked through
        def kept() -> set[int]:
            ahead = self._kept_ahead(stations, len(source)) if foresees else set()
            return ahead | set(wanted)

        def find_ways() -> Sequence[Way]:
            return ways_to(network, cut, cache(self._group_at), engine, kept())

        shape, group, claims = row_shape(network, cut), self._group_at(cut), self._group(["trunk"])
        one_pass = self._pass(
            source, find_ways, shape, group, claims, advance, keeps=keeps, observer=observer
        )
        rows = one_pass.run()
        if self.verbose >= _EXPLAINS and keeps:
            considered = [s for s in stations if foresees or s.stop in wanted]
            name = name_of(network, cut)
            tell(explained(name, len(source), one_pass.computed, considered, kept()))
        return rows, one_pass.failures

    def _kept_ahead(self, stations: list[Station], n_rows: int) -> set[int]:
        """Steps whose outputs are kept unasked, if half of the cache is left for what is asked."""
        chosen = [station for station in stations if station.worth_keeping]
        n_bytes = n_rows * sum(station.n_bytes for station in chosen)
        has_room = open_cache(self.cache).has_room_to_spare(n_bytes)
        return {station.stop for station in chosen} if has_room else set()  # type: ignore[misc]

    def _pass(
        self,
        source: Any,
        find_ways: Callable[[], Sequence[Way]],
        shape: tuple[int, ...],
        group: bytes,
        claims: bytes,
        advance: Callable[[int], None],
        *,
        keeps: bool = True,
        observer: Observer = _NOBODY,
    ) -> ActivationPass:
        """One pass with the estimator's settings; see `ActivationPass`."""
        return ActivationPass(
            source=source,
            find_ways=find_ways,
            output_shape=shape,
            block_rows=rows_together(),
            rule=self._reading.rule,
            cache=open_cache(self.cache if keeps else None),
            group=group,
            claims=claims,
            n_jobs=self.n_jobs,
            rows_in_flight=self.batch_size,
            keep_going=self.on_error == "nan",
            advance=advance,
            observer=observer,
        )

    def _group_at(self, cut: int | None) -> bytes:
        """Group of the activations at `cut`; the pooled features are those of the extractor."""
        is_pooled = is_end(self._network(), cut)
        return self._group(["features", (cut,), "avg"] if is_pooled else ["cut", cut])

    def _group(self, what: list[Any]) -> bytes:
        """Name of all that an activation depends on but the picture."""
        rule = self._reading.rule
        described = json.dumps(
            [
                what,
                skltransfer.__version__,
                self.backbone_.fingerprint,
                [rule.size, rule.resize, rule.pixel_range, decoder_fingerprint()],
                [facts(self._frozen_network(), self._engine_here()), self.precision],
            ],
            sort_keys=True,
        )
        return hashlib.sha256(described.encode()).digest()

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Give the estimator its state back when a fit is interrupted or fails."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def __sklearn_clone__(self) -> Any:
        """Clone without copying a live Keras model, which no estimator ever changes."""
        if not is_keras_model(self.backbone):
            return super().__sklearn_clone__()
        shell = object.__new__(type(self))
        shell.__dict__.update(self.__dict__, backbone=None)
        twin = BaseEstimator.__sklearn_clone__(shell)
        twin.backbone = self.backbone
        return twin

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator, fitted or not, to a file without pickle.

        The file holds JSON, arrays and a checksum of both, and ``skltransfer.load`` opens it. Of
        the bundled network it holds the name and the fingerprint, of others the weights. It is
        written whole or not at all: an older file of that name stays until the new one is done.

        Parameters
        ----------
        path : str or Path
            The file; one that exists is replaced. Any suffix will do.

        Raises
        ------
        TypeError
            When a parameter is an object that is neither data nor a Keras layer, and for classes
            made of this one. ``joblib.dump`` keeps such estimators.
        ValueError
            When it would not be opened again: a ``Lambda`` layer in it, attributes set by hand.
        OSError
            When the file cannot be written.

        See Also
        --------
        skltransfer.load : Opens the file, with an example.
        """
        write_state(path, type(self), self.__getstate__(), self._get_param_names())

    def __getstate__(self) -> dict[str, Any]:
        """Plain data: a live model becomes its content, a registered name takes its handle along.

        Left out is nothing: the fitted state holds no Keras object. What was requested of metadata
        routing becomes a dict.
        """
        state = dict(super().__getstate__())
        if is_keras_model(self.backbone):
            state["backbone"] = resolve(self.backbone)
        elif registered(self.backbone) is not None:
            state[CARRIED] = registered(self.backbone)
        take_requests(state)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore, and register the handle that came along."""
        state = dict(state)
        carried, requested = state.pop(CARRIED, None), state.pop(REQUESTED, None)
        if carried is not None:
            state["backbone"] = adopt(carried)
        super().__setstate__(state)
        if requested is not None:
            give_requests(self, requested)
