"""What fine-tuning needs whatever it learns: where to cut, what is kept, how pictures get there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from skltransfer._sizes import as_ints, require_sizes
from skltransfer._warnings import warn_unreadable
from skltransfer.augmentation.policy import Views
from skltransfer.backbones.registry import resolve
from skltransfer.backbones.spec import BackboneSpec, read_only
from skltransfer.cache import open_cache
from skltransfer.estimators.base import BackboneEstimator
from skltransfer.frozen.content_digests import Contents
from skltransfer.frozen.prefetching import thread_count
from skltransfer.frozen.prefix import trunk_part
from skltransfer.inputs import ImageReadError, check_pixel_range
from skltransfer.inputs.images.recognition import is_missing
from skltransfer.network.stages import resolve_freeze_depth
from skltransfer.training.head import Head
from skltransfer.training.head_parameters import checked_activation, checked_units
from skltransfer.training.loop import TrainingState
from skltransfer.training.plan import Workload, measure
from skltransfer.training.train_step import Program, count, join
from skltransfer.training.train_steps import program_for


def _nothing(n_rows: int) -> None:
    """Tell nobody how many rows were done."""


def refuse_missing_labels(y: np.ndarray | Sequence) -> None:
    """Refuse None, NaN and NA in a list, of which NumPy makes text, or among objects."""
    labels = y if isinstance(y, (list, tuple)) or y.dtype == object else ()
    missing = [row for row, label in enumerate(labels) if is_missing(label)]
    if missing:
        raise ValueError(
            f"y has no label in row {missing[0]}: it is {labels[missing[0]]!r}. Of {len(y)} rows "
            f"{len(missing)} have none. Leave them out of X and y."
        )


class FineTunedBase(BackboneEstimator):
    """Base of the estimators that train the last layers of a network.

    What was learned is held in `_state`, for the cut `_cut`, the head `_head` and the two
    `_modes`, whatever the parameters have become since.
    """

    def _start(self, X, weights: np.ndarray):
        """Begin with the pretrained network; return the rows of X that have weight."""
        source = self._fit_backbone(X, weights)
        self._reading.check(source)
        self._choose_engine()
        self._origin = self._origin_of(self.backbone_)
        self._cut = self._wanted_cut()
        return source

    def _drawn_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _learned(self, keeper: str) -> TrainingState:
        """What was learned so far, for the cut that is wanted now; `keeper` is why it is kept.

        Layers that are frozen from now on become the backbone's own. Where only more layers are
        to learn, the backbone is still the one that was started from, and so are the activations
        in the cache.
        """
        self._refuse_another_origin(keeper)
        self._choose_engine()
        before, cut = self._program(), self._wanted_cut()
        self._refuse_another_head(before.head, keeper)
        if cut == before.cut:
            return replace(self._state)
        spec, state = self.backbone_, self._state
        tuned = before.tuned(spec.weights, state.theta, state.fixed)
        if cut is not None and (before.cut is None or cut > before.cut):
            self.backbone_ = replace(spec, weights=read_only(tuned), bundled=False, fingerprint="")
        self._cut = cut
        program = self._program()
        values = dict(zip(map(id, program.network.variables), tuned, strict=True))
        suffix = [values[id(variable)] for variable in program.trained]
        return TrainingState(
            theta=join([*suffix, *before.of_head(state.theta)]),
            fixed=join(values[id(variable)] for variable in program.fixed),
            standardizer=state.standardizer,
        )

    def _origin_of(self, spec: BackboneSpec) -> dict:
        """What a fit starts from, as far as a later one cannot change it; no Keras object."""
        require_sizes("image_shape", self.image_shape, (2, 3))
        require_sizes("input_size", self.input_size)
        network = spec.name if self.weights is None else spec.fingerprint
        pixel_range = self.pixel_range
        return {
            "backbone": network,
            "image_shape": as_ints(self.image_shape),
            "pixel_range": None if pixel_range is None else check_pixel_range(pixel_range),
            "input_size": as_ints(self.input_size),
            "resize": self.resize,
        }

    def _refuse_another_origin(self, keeper: str) -> None:
        now = self._origin_of(resolve(self.backbone, self.weights, 0))
        changed = [name for name, value in self._origin.items() if now[name] != value]
        if changed:
            name = "backbone or weights" if changed[0] == "backbone" else changed[0]
            raise ValueError(
                f"{keeper} goes on with the network and the reading of pictures that the first fit "
                f"began with, but {name} has changed since. Set it back, or set warm_start=False "
                "and call fit to start anew."
            )

    def _refuse_another_head(self, head: Head, keeper: str) -> None:
        wanted = checked_units(self.head_units), self.head_activation
        if wanted != (head.units, head.activation):
            raise ValueError(
                f"{keeper} keeps the head, which has head_units={head.units} and "
                f"head_activation={head.activation!r}; it cannot become {wanted[0]} and "
                f"{wanted[1]!r}. Set warm_start=False and call fit to start anew."
            )

    # what the parameters ask for, and what is kept for prediction ---------------------------

    def _wanted_cut(self) -> int | None:
        network = self._network()
        return resolve_freeze_depth(self.freeze_depth, network.features, network.stages)

    def _wanted_head(self, n_classes: int) -> Head:
        return Head(
            n_features=self._network().features.steps[-1].shape[-1],
            units=checked_units(self.head_units),
            activation=checked_activation(self.head_activation),
            n_classes=n_classes,
        )

    def _wanted_modes(self) -> tuple[bool, bool]:
        """Whether BatchNorm goes by the batch, and whether there is dropout."""
        return self.batch_norm == "train", self.head_dropout > 0

    def _program(self) -> Program:
        """The compiled program of the last fit."""
        return program_for(self._network(), self._cut, self._head, *self._modes)

    # reading -------------------------------------------------------------------------------

    def _first_look(self, source, advance: Callable):
        """Digests of what the pictures show, their activations, and what could not be read.

        There are no activations where every epoch draws views of its own.
        """
        contents = Contents(source, self._reading.rule, open_cache(self.cache))
        plain, failures = None, {}
        if self.augment is None or self.n_views is not None:
            plain, failures = self._activations(source, advance, observer=contents)
            advance = _nothing  # it is told of all rows
        unseen = [row for row in range(len(source)) if row not in failures]
        unread = contents.complete(unseen, self.n_jobs, self.on_error == "nan", advance)
        return contents.digests, plain, failures | unread

    def _readable(self, counted: np.ndarray, failures: dict, y: np.ndarray) -> np.ndarray:
        """Positions in the source of what was read; tells of the rest by positions in X."""
        failed = np.array(sorted(failures), dtype=np.intp)
        self.failed_rows_ = counted[failed]
        if len(failed) == len(counted):
            first = failures[0]
            message = f"None of {len(failed)} pictures could be read; the first: {first}"
            raise ImageReadError(message, first.row, first.source)
        read = np.delete(np.arange(len(counted)), failed)
        if len(failed):
            lost = np.setdiff1d(y[counted], y[counted[read]]).tolist()
            told = {int(counted[row]): failures[row] for row in failed}
            warn_unreadable(told, len(y), lost)
        return read

    def _workload(self, source, n_classes: int, n_epochs: int) -> Workload:
        """What a fit will take; short measurements are made."""
        network = self._network()
        modes = self._wanted_modes()
        program = program_for(network, self._cut, self._wanted_head(n_classes), *modes)
        threads = thread_count(self.n_jobs)
        part = trunk_part(self._frozen_network(), None, self._cut, self._engine_here())
        return Workload(
            n_rows=len(source),
            n_epochs=n_epochs,
            n_views=self.n_views if self.augment is not None else 1,
            n_weights=count(program.shapes),
            row_bytes=4 * math.prod(program.input_shape),
            costs=measure(program, part, source, self._reading.rule, self.batch_size, threads),
        )

    # activations ---------------------------------------------------------------------------

    def _activations(
        self, source, advance: Callable[[int], None] = _nothing, **options
    ) -> tuple[np.ndarray, dict[int, ImageReadError]]:
        """Activations at the cut, and what could not be read."""
        return self._activations_at(self._cut, source, advance, **options)

    def _activations_to_predict(self, source) -> tuple[np.ndarray, dict[int, ImageReadError]]:
        """As `_activations`; a cache is told what the pictures show, which a fit will ask for."""
        contents = Contents(source, self._reading.rule, open_cache(self.cache))
        if not contents.cache.keeps_rows:
            return self._activations(source)
        found = self._activations(source, observer=contents)
        contents.remember()
        return found

    def _views(self, seed: int) -> Views:
        """The views of `augment`, drawn from `seed`."""
        return Views(self.augment, self.n_views, seed, self._reading.rule.size)

    def _keeps_views(self) -> bool:
        """Whether the cache keeps what is trained on."""
        drawn_anew = self.augment is not None and self.n_views is None
        return open_cache(self.cache).keeps_rows and not drawn_anew

    def _pooled(self, source) -> np.ndarray:
        """Pooled features by the pretrained network of pictures that could be read before."""
        end = len(self._network().features.steps) - 1
        features, failures = self._activations_at(end, source, _nothing)
        if failures:
            raise failures[min(failures)]
        return features

    def _activations_or_raise(self, source, advance: Callable, kept: bool = True) -> np.ndarray:
        """Activations of pictures that could be read before; views drawn anew are not kept."""
        if kept:
            activations, failures = self._activations(source, advance)
        else:
            activations, failures = self._activations(source, keeps=False)
        if failures:
            raise failures[min(failures)]
        return activations
