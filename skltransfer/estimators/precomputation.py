"""Filling the activation cache before a search."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from skltransfer._progress import progress_bar
from skltransfer._warnings import warn_unreadable, warn_user
from skltransfer.augmentation.policy import Views
from skltransfer.cache import CacheInfo, open_cache
from skltransfer.cache.inspection import cache_info
from skltransfer.estimators.classifier import FineTunedClassifier
from skltransfer.frozen.content_digests import Contents
from skltransfer.frozen.prefix import is_station, stations_before
from skltransfer.inputs import ImageReadError
from skltransfer.network.runtime import Network
from skltransfer.network.stages import resolve_freeze_depth

if TYPE_CHECKING:
    from skltransfer._types import FreezeDepth, Images, Path

_ROWS_TOGETHER = 256


def precompute(
    X: Images, freeze_depths: FreezeDepth | Iterable[FreezeDepth], **settings: Any
) -> CacheInfo:
    """Run pictures through the frozen layers once, for all depths that a search will try.

    Every picture is read once and runs through each layer once; what is kept are the entries that
    later fits, predictions and searches with the same settings look up, bit for bit. A search
    does this by itself as it goes. Calling it first shows how long it takes, and lets many
    workers start with everything there.

    Parameters
    ----------
    X : array-like
        All pictures of the search, as :class:`FineTunedClassifier` takes them: an array, or a
        list or column of paths, bytes, PIL images and arrays, or flattened pictures with
        ``image_shape``. Rows of plain numbers are refused, since each training set scales them
        in its own way.
    freeze_depths : list of int, float and str
        Values of ``freeze_depth``; a single one is taken as a list of one. For 0 the decoded
        pixels are kept. The pooled features, from which heads start, are always computed.
    **settings
        Parameters of :class:`FineTunedClassifier`. What counts are ``backbone``, ``weights``,
        ``input_size``, ``resize``, ``pixel_range``, ``image_shape``, ``precision``, ``engine``,
        ``augment``, ``n_views``, ``tta``, ``random_state``, ``cache``, ``batch_size``,
        ``n_jobs``, ``on_error`` and ``verbose``; others change nothing. With ``n_views`` (or
        ``tta``) the fixed views are computed too, and ``random_state`` must be an int, by which
        they are drawn, as for ``weights=None``. Views that are drawn anew in every epoch cannot
        be computed ahead.

    Returns
    -------
    CacheInfo
        What the cache holds and has done since it was cleared, see `cache_info`.

    Raises
    ------
    TypeError
        For a setting that :class:`FineTunedClassifier` does not have, and for depths that are
        neither one nor a list.
    ValueError
        When nothing would be kept (``cache=None``), no depth is given, a depth fits no freeze
        point, a setting or a picture is refused, or views or weights follow from no seed.

    Warns
    -----
    UserWarning
        When not all rows found room in the cache. Searches then give the same results, and
        compute those rows when they need them.

    See Also
    --------
    cache_info : What a cache holds.
    freeze_points : Bytes that a picture takes at each depth.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import clear_cache, precompute
    >>> pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    >>> clear_cache()
    >>> precompute(pictures, ["all", -1], input_size=(64, 64)).entries
    6
    """
    classifier = _classifier(settings)
    depths = _listed(freeze_depths)
    classifier._validate_params()
    Views.check(classifier.augment, classifier.n_views, classifier.tta)
    _require_seed(classifier)
    source = classifier._fit_backbone(X)
    classifier._choose_engine()
    if classifier._reading.layout is not None:
        raise ValueError(
            "X holds rows of plain numbers, which every training set scales in its own way, so "
            "nothing can be computed ahead. If the rows are flattened pictures, set image_shape."
        )
    classifier._reading.check(source)
    cache = cast("Path", classifier.cache)  # None was refused
    refused = cache_info(cache).refused
    failures = _fill(classifier, source, depths)
    if failures:
        warn_unreadable(failures, len(source))
    info = cache_info(cache)
    _warn_of_little_room(info, info.refused - refused)
    return info


def _classifier(settings: dict[str, Any]) -> FineTunedClassifier:
    """Check the names of `settings`, and that what is computed would be kept."""
    known = FineTunedClassifier().get_params(deep=False)
    if "freeze_depth" in settings:
        raise TypeError("precompute() takes freeze_depths, a list, and no freeze_depth beside it.")
    unknown = [name for name in settings if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise TypeError(
            f"precompute() got {unknown[0]!r}, which is no parameter of FineTunedClassifier.{hint}"
        )
    if settings.get("cache", "memory") is None:
        raise ValueError(
            "cache=None keeps nothing, so that there is nothing to compute ahead. Give 'memory' "
            "or the path of a directory, and the same to the estimator."
        )
    return FineTunedClassifier(**settings)


def _listed(freeze_depths: Any) -> list[FreezeDepth]:
    if isinstance(freeze_depths, (str, Integral, Real)):
        return [cast("FreezeDepth", freeze_depths)]
    if not isinstance(freeze_depths, Iterable):
        raise TypeError(
            f"freeze_depths={freeze_depths!r} is no list of values of freeze_depth, as in "
            "['all', -1, -2]; freeze_points() tells what there is to freeze."
        )
    depths = list(freeze_depths)
    if not depths:
        raise ValueError("freeze_depths is empty; give the values of freeze_depth to prepare for.")
    return depths


def _require_seed(classifier: FineTunedClassifier) -> None:
    """Refuse what every fit would draw anew, so that it found nothing of what was computed."""
    if isinstance(classifier.random_state, Integral):
        return
    drawn = "weights" if classifier.weights is None else "views"
    if drawn == "weights" or classifier.n_views or classifier.tta:
        way_out = {"weights": "give pretrained weights", "views": "leave augment=None"}[drawn]
        raise ValueError(
            f"random_state={classifier.random_state!r} draws other {drawn} in every fit. Pass an "
            f"int to precompute and to the estimator, or {way_out}."
        )


def _views_of(source: Any, classifier: FineTunedClassifier) -> list[Any]:
    """Sources of what fits and predictions will use: the pictures, and their fixed views."""
    if not (classifier.n_views or classifier.tta):
        return [source]
    views = classifier._views(classifier._drawn_seed())
    of_fit = views.trained_on(source) if classifier.n_views else [source]
    of_prediction = views.averaged(source) if classifier.tta else [source]
    return max(of_fit, of_prediction, key=len)


def _fill(
    classifier: FineTunedClassifier, source: Any, depths: list[FreezeDepth]
) -> dict[int, ImageReadError]:
    """Compute all cuts of all views; return what could not be read."""
    network = classifier._frozen_network()
    end = len(network.features.steps) - 1
    cuts = [resolve_freeze_depth(d, network.features, network.stages) for d in depths]
    cuts = _in_order([*cuts, end])
    wanted = _kept_on_the_way(network, cuts, classifier.engine_)
    failures: dict[int, ImageReadError] = {}
    with progress_bar(network.spec.name, len(source), classifier.verbose) as advance:
        for start in range(0, len(source), _ROWS_TOGETHER):
            rows = source.take(np.arange(start, min(start + _ROWS_TOGETHER, len(source))))
            unread = _fill_some(classifier, rows, cuts, wanted)
            failures.update({start + row: error for row, error in unread.items()})
            advance(len(rows))
    return failures


def _fill_some(
    classifier: FineTunedClassifier,
    source: Any,
    cuts: list[int | None],
    wanted: set[int],
) -> dict[int, ImageReadError]:
    """Compute some rows; fits also look up what the pictures themselves show."""
    contents = Contents(source, classifier._reading.rule, open_cache(classifier.cache))
    failures: dict[int, ImageReadError] = {}
    for view in _views_of(source, classifier):
        options: dict[str, Any] = {"observer": contents} if view is source else {}
        for cut in cuts:
            _, unread = classifier._activations_at(
                cut, view, lambda n_rows: None, wanted=wanted, foresees=False, **options
            )
            failures.update(unread)
    readable = [row for row in range(len(source)) if row not in failures]
    keep_going = classifier.on_error == "nan"
    return failures | contents.complete(readable, classifier.n_jobs, keep_going)


def _in_order(cuts: list[int | None]) -> list[int | None]:
    """Pixels first, from which the others begin; then the deepest cut, which passes the others."""
    return sorted(set(cuts), key=lambda cut: (cut is not None, -(cut or 0)))


def _kept_on_the_way(network: Network, cuts: list[int | None], engine: str) -> set[Any]:
    """Stations where a cut lies, or the last ones before it: nothing is computed twice."""
    wanted: set[Any] = set()
    for cut in cuts:
        before = [station.stop for station in stations_before(network, cut, engine)]
        wanted.update([cut] if is_station(network, cut, engine) else before[-1:])
    return wanted


def _warn_of_little_room(info: CacheInfo, n_refused: int) -> None:
    if n_refused:
        warn_user(
            f"{n_refused} rows found no room in the cache, which holds {info.bytes / 1e6:.0f} of "
            f"{info.budget / 1e6:.0f} MB. They will be computed when they are needed, with the "
            "same result. A directory as cache has more room, and deeper cuts take less; "
            "freeze_points() tells their bytes."
        )
