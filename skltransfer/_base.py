"""What both estimators share: parameters, their checks, and the way from X to activations."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from skltransfer._activation_cache import open_cache
from skltransfer._activations import ActivationPass
from skltransfer._progress import progress_bar
from skltransfer._reading import fit_reading
from skltransfer._warnings import warn_unreadable
from skltransfer.backbones._registry import adopt, is_keras_model, registered, resolve
from skltransfer.backbones._spec import BackboneSpec
from skltransfer.inputs import ImageReadError, decoder_fingerprint
from skltransfer.network.engines import FrozenPart, engine_facts
from skltransfer.network.runtime import Network, network_of

_CARRIED = "_carried_backbone"


class Number(Interval):
    """An interval of numbers; True and False are none."""

    def is_satisfied_by(self, val) -> bool:
        """Whether `val` is a number within the interval."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


class BackboneEstimator(BaseEstimator):
    """Base of the estimators that run a pretrained network."""

    _parameter_constraints: ClassVar[dict] = {
        "backbone": "no_validation",
        "weights": [str, os.PathLike, None],
        "image_shape": "no_validation",
        "pixel_range": "no_validation",
        "input_size": "no_validation",
        "resize": [StrOptions({"stretch", "crop", "pad"})],
        "batch_size": [Number(Integral, 1, None, closed="left")],
        "precision": [StrOptions({"float32"})],
        "engine": [StrOptions({"auto", "tensorflow"})],
        "cache": [str, os.PathLike, None],
        "on_error": [StrOptions({"raise", "nan"})],
        "n_jobs": [Number(Integral, None, None, closed="neither"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _fit_backbone(self, X, weights: np.ndarray | None = None) -> None:
        """Choose the network and decide how X is read; set the attributes both are known by."""
        _require_sizes("input_size", self.input_size, (2,))
        _require_sizes("image_shape", self.image_shape, (2, 3))
        self.backbone_ = self._resolve_spec()
        self.engine_ = "tensorflow"
        native = self.backbone_.input_size
        self._reading = fit_reading(self, X, native, self._accepts, weights)

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
        return network_of(self.backbone_, self._reading.rule.size)

    def _run_frozen(self, part: FrozenPart, source, what: list, names: list[str]) -> np.ndarray:
        """Run all rows of `source` through `part`, what is cached excepted.

        Parameters
        ----------
        part : FrozenPart
            From pixels to rows of numbers.
        source : ImageSource or RowSource
            The pictures.
        what : list
            What `part` computes, in JSON's types.
        names : list of str
            Backbone, start and end of the part, under which its work is counted.
        """
        with progress_bar(names[0], len(source), self.verbose) as advance:
            rows, failures = self._run_frozen_or_tell(
                part, source, what, names, self.cache, advance
            )
        if failures:
            warn_unreadable(failures, len(source))
        return rows

    def _run_frozen_or_tell(
        self,
        part: FrozenPart,
        source,
        what: list,
        names: list[str],
        cache,
        advance: Callable[[int], None],
    ) -> tuple[np.ndarray, dict[int, ImageReadError]]:
        """As `_run_frozen`, and what could not be read instead of a warning."""
        one_pass = ActivationPass(
            source=source,
            part=part,
            rule=self._reading.rule,
            cache=open_cache(cache),
            group=self._group(what, part),
            segment=":".join(names),
            n_threads=_decoding_threads(self.n_jobs),
            rows_in_flight=self.batch_size,
            keep_going=self.on_error == "nan",
            advance=advance,
        )
        return one_pass.run(), one_pass.failures

    def _group(self, what: list, part: FrozenPart) -> bytes:
        """Name of all that an activation depends on but the picture."""
        rule = self._reading.rule
        described = json.dumps(
            [
                what,
                self.backbone_.fingerprint,
                [rule.size, rule.resize, rule.pixel_range, decoder_fingerprint()],
                [engine_facts(self.engine_, part), self.precision],
            ],
            sort_keys=True,
        )
        return hashlib.sha256(described.encode()).digest()

    @contextmanager
    def _unchanged_on_failure(self):
        """Give the estimator its state back when a fit is interrupted or fails."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def __sklearn_clone__(self):
        """Clone without copying a live Keras model, which no estimator ever changes."""
        if not is_keras_model(self.backbone):
            return super().__sklearn_clone__()
        shell = object.__new__(type(self))
        shell.__dict__.update(self.__dict__, backbone=None)
        twin = BaseEstimator.__sklearn_clone__(shell)
        twin.backbone = self.backbone
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Plain data: a live model becomes its content, a registered name takes its handle along.

        Left out is nothing: the fitted state holds no Keras object.
        """
        state = dict(super().__getstate__())
        if is_keras_model(self.backbone):
            state["backbone"] = resolve(self.backbone)
        elif registered(self.backbone) is not None:
            state[_CARRIED] = registered(self.backbone)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore, and register the handle that came along."""
        state = dict(state)
        carried = state.pop(_CARRIED, None)
        if carried is not None:
            adopt(carried)
        super().__setstate__(state)


def _require_sizes(name: str, value, lengths: tuple[int, ...]) -> None:
    if value is None:
        return
    fits = (
        isinstance(value, (tuple, list))
        and len(value) in lengths
        and all(isinstance(v, Integral) and not isinstance(v, bool) and v > 0 for v in value)
    )
    if not fits:
        shapes = " or ".join(
            {2: "(height, width)", 3: "(height, width, channels)"}[n] for n in lengths
        )
        raise ValueError(f"{name}={value!r} must be None or positive ints {shapes}.")


def _decoding_threads(n_jobs: int | None) -> int:
    """Threads for reading pictures: one for each core unless told otherwise."""
    return effective_n_jobs(-1 if n_jobs is None else n_jobs)
