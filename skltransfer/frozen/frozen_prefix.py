"""The only path from a source of rows to activations: through the frozen layers and the cache.

The *prefix* is the network up to the freeze point, the last frozen step. Its outputs are the
*activations* of the rows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from skltransfer._numerics import NUMERICS_VERSION
from skltransfer.cache import ActivationCache, NullCache, open_cache
from skltransfer.frozen.activation_pass import ActivationPass, Observer
from skltransfer.frozen.content_digests import ContentDigests
from skltransfer.frozen.layer_features import feature_part
from skltransfer.frozen.planning import cached_on_the_way, explained, in_order, resume_plans
from skltransfer.frozen.prefix import (
    CachePoint,
    cache_key_fields,
    cache_points_before,
    is_cache_point,
    is_end,
    name_of,
    position_of,
    prefix_part,
    row_spec,
)
from skltransfer.frozen.resume_plan import ResumePlan
from skltransfer.inputs._input import Array, Encoding, Source, TensorSpec
from skltransfer.inputs.errors import ReadError
from skltransfer.network.batch_invariance import rows_together
from skltransfer.progress import tell

if TYPE_CHECKING:
    from skltransfer.frozen.engines import FrozenPart
    from skltransfer.network.runtime import Network

_NOBODY = Observer()
_ROWS_LOOKED_UP = 16

Activations: TypeAlias = dict[int | None, Array]
"""Activations of the same rows at several freeze points; the key is the freeze point."""


def _nothing(n_rows: int) -> None:
    """Ignore the number of rows done."""


@dataclass(frozen=True)
class FrozenPrefix:
    """The frozen layers of a network, with everything that decides how rows run through them.

    Attributes
    ----------
    network : Network
        The backbone up to the end of its features, in the precision of its frozen part.
    encoding : Encoding
        How X is read.
    engine : str
        What computes the frozen layers: "openvino", or the name of Keras' backend.
    cache : str, Path or None
        Where activations are cached, as in the estimators' parameter.
    n_jobs : int or None, default=None
        Number of threads that read rows.
    rows_in_flight : int, default=32
        Maximum number of rows that have been read and are still in memory. If three blocks have
        more rows than this, the maximum is three blocks.
    keep_going : bool, default=False
        Whether rows that cannot be read are returned as failures, instead of raising an error.
    explains : bool, default=False
        Whether to report on standard error what was computed and cached.
    """

    network: Network
    encoding: Encoding
    engine: str
    cache: str | os.PathLike[str] | None
    n_jobs: int | None = None
    rows_in_flight: int = 32
    keep_going: bool = False
    explains: bool = False

    def activations(
        self,
        source: Source,
        freeze_point: int | None,
        advance: Callable[[int], None] = _nothing,
        *,
        also_cache: Collection[int] = (),
        cache_ahead: bool = True,
        use_cache: bool = True,
        observer: Observer = _NOBODY,
    ) -> tuple[Array, dict[int, ReadError]]:
        """Compute activations at a freeze point; also return the rows that could not be read.

        Parameters
        ----------
        source : Source
            The rows.
        freeze_point : int or None
            The last frozen step; None means that the activations are the rows themselves.
        advance : callable, optional
            Called with the number of further rows that are done.
        also_cache : collection of int
            Earlier steps whose outputs are also cached.
        cache_ahead : bool, default=True
            Whether to also cache intermediate activations that may save work at other freeze
            points.
        use_cache : bool, default=True
            Whether the cache is used at all.
        observer : Observer, optional
            Receives the digests and tensors of rows.
        """
        one_pass, explain = self._pass(
            source,
            freeze_point,
            advance,
            also_cache=also_cache,
            cache_ahead=cache_ahead,
            use_cache=use_cache,
            observer=observer,
        )
        rows = one_pass.run()
        explain()
        return rows, one_pass.failures

    def activations_at(
        self,
        source: Source,
        freeze_points: Sequence[int | None],
        advance: Callable[[int], None] = _nothing,
        *,
        use_cache: bool = True,
        observer: Observer = _NOBODY,
    ) -> tuple[Activations, dict[int, ReadError]]:
        """Compute activations at several freeze points; if the cache has room, no layer runs twice.

        Parameters
        ----------
        source : Source
            The rows.
        freeze_points : sequence of int or None
            The last frozen steps; None means that the activations are the rows themselves.
        advance : callable, optional
            Called with the number of further rows that are done.
        use_cache : bool, default=True
            Whether the cache is used at all.
        observer : Observer, optional
            Receives the digests and tensors of rows.
        """
        if not open_cache(self.cache if use_cache else None).keeps_rows:
            compute = partial(self.activations, source, use_cache=use_cache, observer=observer)
            return self._one_after_another(compute, freeze_points, advance)
        found: Activations = {}
        failures: dict[int, ReadError] = {}
        ordered = in_order(freeze_points)
        on_the_way = cached_on_the_way(self.network, ordered[1:], self.engine)
        for point in ordered:
            count = _nothing if found else advance
            one_pass, explain = self._pass(
                source, point, count, also_cache=on_the_way, observer=observer
            )
            found[point] = one_pass.run()
            explain()
            failures.update(one_pass.failures)
        return found, failures

    def _pass(
        self,
        source: Source,
        freeze_point: int | None,
        advance: Callable[[int], None],
        *,
        also_cache: Collection[int] = (),
        cache_ahead: bool = True,
        use_cache: bool = True,
        observer: Observer = _NOBODY,
    ) -> tuple[ActivationPass, Callable[[], None]]:
        """Prepare a pass (see `activations`) and a function that afterwards reports on it."""
        store = open_cache(self.cache if use_cache else None)
        cache_ahead = cache_ahead and store.keeps_rows
        points = cache_points_before(self.network, freeze_point, self.engine)

        @cache  # at most once for each pass, because `_kept_ahead` searches the cache's folder
        def kept() -> set[int]:
            ahead = _kept_ahead(store, points, len(source)) if cache_ahead else set()
            return ahead | set(also_cache)

        def find_plans() -> Sequence[ResumePlan]:
            namespace_of = cache(self.namespace_at)
            return resume_plans(self.network, freeze_point, namespace_of, self.engine, kept())

        one_pass = ActivationPass(
            source=source,
            find_plans=find_plans,
            output=row_spec(self.network, freeze_point)[0],
            block_rows=rows_together(),
            cache=store,
            namespace=self.namespace_at(freeze_point),
            locks=self.namespace(["prefix"]),
            n_jobs=self.n_jobs,
            rows_in_flight=self.rows_in_flight,
            keep_going=self.keep_going,
            advance=advance,
            observer=observer,
        )

        def explain() -> None:
            if self.explains and use_cache:
                considered = [p for p in points if cache_ahead or p.step in also_cache]
                name = name_of(self.network, freeze_point)
                tell(explained(name, len(source), one_pass.computed, considered, kept()))

        return one_pass, explain

    def _one_after_another(
        self,
        compute: Callable[..., tuple[Array, dict[int, ReadError]]],
        freeze_points: Sequence[int | None],
        advance: Callable[[int], None],
    ) -> tuple[Activations, dict[int, ReadError]]:
        """Compute activations without a cache.

        The computation for each freeze point starts at the preceding one, if this changes no bit.
        """
        before, *others = sorted({*freeze_points}, key=_from_the_input)
        rows, failures = compute(before, advance)
        found = {before: rows}
        for point in others:
            if self.begins_at(before):
                found[point] = self.part(before, point)(found[before])
            else:
                found[point] = compute(point)[0]
            before = point
        return found, failures

    def features(
        self, source: Source, advance: Callable[[int], None] = _nothing
    ) -> tuple[Array, dict[int, ReadError]]:
        """Compute pooled features, without caching intermediate activations."""
        return self.activations(source, self.network.end, advance, cache_ahead=False)

    def layer_features(
        self,
        source: Source,
        layers: tuple[str, ...],
        pooling: str,
        width: int,
        advance: Callable[[int], None] = _nothing,
    ) -> tuple[Array, dict[int, ReadError]]:
        """Compute pooled outputs of layers, concatenated to rows of `width` numbers.

        Also return the rows that could not be read.
        """
        part = partial(feature_part, self.network, layers, pooling, self.engine)
        segment = ":".join([self.network.spec.name, "input", *layers])
        namespace = self.namespace(self.described(layers, pooling))
        one_pass = ActivationPass(
            source=source,
            find_plans=lambda: [ResumePlan("X", part, (segment,))],
            output=TensorSpec((width,)),
            block_rows=rows_together(),
            cache=open_cache(self.cache),
            namespace=namespace,
            locks=namespace,
            n_jobs=self.n_jobs,
            rows_in_flight=self.rows_in_flight,
            keep_going=self.keep_going,
            advance=advance,
        )
        return one_pass.run(), one_pass.failures

    def described(self, layers: tuple[str, ...], pooling: str) -> list[object]:
        """Describe pooled outputs of `layers` for the cache key; () is the last feature layer."""
        if not layers:
            end = self.network.end
            return ["features", [position_of(self.network, end)], self.network.pooling]
        return ["features", [self.network.position_of(name) for name in layers], pooling]

    def cached_share(self, source: Source, freeze_point: int | None) -> float:
        """Estimate from a few rows what share of the activations is cached."""
        store = open_cache(self.cache)
        if not store.keeps_rows:
            return 0.0
        keys = []
        for row in np.unique(np.linspace(0, len(source) - 1, _ROWS_LOOKED_UP, dtype=np.intp)):
            with suppress(ReadError):
                keys.append(source.digest(int(row)))
        found = store.contains(self.namespace_at(freeze_point), keys)
        return float(found.mean()) if keys else 0.0

    def digests(self, source: Source) -> ContentDigests:
        """Return `ContentDigests` of the rows of a source, none of them known yet."""
        return ContentDigests(source, self.encoding, open_cache(self.cache))

    def part(self, start: int | None, freeze_point: int | None) -> FrozenPart:
        """Return the compiled part from one step to another."""
        return prefix_part(self.network, start, freeze_point, self.engine)

    def begins_at(self, freeze_point: int | None) -> bool:
        """Return whether features can be computed from the activations at a freeze point."""
        return is_cache_point(self.network, freeze_point, self.engine)

    def namespace_at(self, freeze_point: int | None) -> bytes:
        """Return the namespace of activations at a freeze point.

        If the whole network is frozen, the activations are pooled features. Their namespace is the
        one that `PretrainedFeatureExtractor` uses for the same features.
        """
        position = position_of(self.network, freeze_point)
        if is_end(self.network, freeze_point):
            return self.namespace(self.described((), ""))
        return self.namespace(["activations", position])

    def namespace(self, what: list[object]) -> bytes:
        """Return a digest of everything that an activation depends on except the row."""
        fingerprint = self.network.spec.fingerprint
        return _digest([what, NUMERICS_VERSION, fingerprint, *self._numerics_fields()])

    def numerics(self) -> str:
        """Return a digest of what the last bits depend on, such as engine, versions, processor."""
        return _digest([NUMERICS_VERSION, *self._numerics_fields()]).hex()

    def _numerics_fields(self) -> list[object]:
        computed = [cache_key_fields(self.network, self.engine), self.network.precision]
        return [self.encoding.cache_key_fields(), computed]


def _digest(described: list[object]) -> bytes:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).digest()


def _kept_ahead(
    store: ActivationCache | NullCache, points: list[CachePoint], n_rows: int
) -> set[int]:
    """Return the steps whose outputs are cached although nobody requested them.

    If less than half of the cache would then stay free, there are none.
    """
    if not store.keeps_rows:
        return set()
    chosen = [point for point in points if point.worth_keeping]
    n_bytes = n_rows * sum(point.n_bytes for point in chosen)
    return {point.step for point in chosen} if store.has_room_to_spare(n_bytes) else set()


def _from_the_input(freeze_point: int | None) -> int:
    return -1 if freeze_point is None else freeze_point
