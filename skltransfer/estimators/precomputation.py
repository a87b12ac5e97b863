"""Filling the activation cache before a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, cast

from skltransfer._similar import did_you_mean
from skltransfer._warnings import warn_unreadable, warn_user
from skltransfer.augmentation.policy import check_views
from skltransfer.backbones.registry import input_of
from skltransfer.cache.inspection import cache_info
from skltransfer.estimators.base import begin
from skltransfer.estimators.classifier import FineTunedClassifier
from skltransfer.estimators.fine_tuned import views_of
from skltransfer.frozen.planning import cached_on_the_way, in_order
from skltransfer.inputs._input import blocks_of
from skltransfer.progress import progress_bar
from skltransfer.training.members import depths_of, freeze_point_of

if TYPE_CHECKING:
    from skltransfer._types import FreezeDepth, Images, Path
    from skltransfer.cache import CacheInfo
    from skltransfer.frozen.frozen_prefix import FrozenPrefix
    from skltransfer.inputs._input import Source
    from skltransfer.inputs.errors import ReadError

_ROWS_TOGETHER = 256


def precompute(
    X: Images, freeze_depths: FreezeDepth | Iterable[FreezeDepth], **settings: Any
) -> CacheInfo:
    """Run images through the frozen layers once, for all depths that a search will try.

    Every image is read once and runs through each layer once. Later fits, predictions and searches
    with the same settings find their activations in the cache, bit-identical to what they would
    compute. A search also fills the cache by itself as it runs. If you call `precompute` first, you
    see how long this takes, and many workers can start with everything cached.

    Parameters
    ----------
    X : array-like
        All images, texts or sounds of the search, as :class:`FineTunedClassifier` takes them. Rows
        of plain numbers are refused, because each training set scales them differently.
    freeze_depths : list of int, float and str
        Values of ``freeze_depth``, or a single value; "auto" stands for the depths of all its
        members. For 0, which freezes nothing, the decoded pixels are cached. The pooled features,
        on which heads are initialised, are always computed too.
    **settings
        Parameters of :class:`FineTunedClassifier`. These have an effect: ``backbone``, ``weights``,
        ``layer``, ``pooling``, ``input_size``, ``resize``, ``pixel_range``, ``image_shape``,
        ``max_tokens``, ``sample_rate``, ``max_seconds``, ``precision``, ``engine``, ``augment``,
        ``n_views``, ``tta``, ``random_state``, ``cache``, ``batch_size``, ``n_jobs``, ``on_error``
        and ``verbose``. With ``n_views`` or ``tta``, the fixed views are computed too. Fixed views
        and the random weights of ``weights=None`` depend on ``random_state``, which must then be an
        int. Views that are new in every epoch cannot be computed in advance.

    Returns
    -------
    CacheInfo
        What the cache holds, and what it has done since it was last cleared, as `cache_info`
        returns it.

    Raises
    ------
    TypeError
        If a setting is not a parameter of :class:`FineTunedClassifier`, or a depth is of the wrong
        type.
    ValueError
        If ``cache=None``, because nothing would be cached; if no depth is given, or a depth matches
        no freeze point; if a setting or an image is invalid; or if ``random_state`` is not an int
        although views or weights need one.

    Warns
    -----
    UserWarning
        If not all rows fit into the cache. Searches then compute the missing rows when they need
        them, with the same results.

    See Also
    --------
    cache_info : What a cache holds.
    freeze_points : Number of bytes for each image at each depth.

    Examples
    --------
    >>> import numpy as np
    >>> from skltransfer import clear_cache, precompute
    >>> images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    >>> clear_cache()
    >>> precompute(images, ["all", -1], input_size=(64, 64)).entries
    6
    """
    classifier = _classifier(settings)
    depths = _listed(freeze_depths)
    classifier._validate_params()
    kind = input_of(classifier.backbone)
    check_views(kind, classifier.augment, classifier.n_views, classifier.tta)
    _check_seed(classifier)
    prefix, source = begin(classifier, X)
    if prefix.encoding.is_learned:
        raise ValueError(
            "X holds rows of plain numbers, which every training set scales in its own way, so "
            "nothing can be computed in advance. If the rows are flattened images, set image_shape."
        )
    cache = cast("Path", classifier.cache)  # None was refused
    refused = cache_info(cache).refused
    failures = _fill(prefix, _views_of(classifier), source, depths, classifier.verbose)
    if failures:
        warn_unreadable(failures, len(source))
    info = cache_info(cache)
    _warn_of_little_room(info, info.refused - refused)
    return info


def _classifier(settings: dict[str, Any]) -> FineTunedClassifier:
    """Return a classifier with the `settings`; check their names, and that they cache."""
    known = FineTunedClassifier().get_params(deep=False)
    if "freeze_depth" in settings:
        raise TypeError("precompute() takes freeze_depths, a list, instead of freeze_depth.")
    unknown = [name for name in settings if name not in known]
    if unknown:
        hint = did_you_mean(unknown[0], [*known], at_most=1)
        raise TypeError(
            f"precompute() got {unknown[0]!r}, which is not a parameter of FineTunedClassifier."
            f"{hint}"
        )
    if settings.get("cache", "memory") is None:
        raise ValueError(
            "cache=None keeps nothing, so nothing can be computed in advance. Pass 'memory' or "
            "the path of a directory, here and to the estimator."
        )
    return FineTunedClassifier(**settings)


def _listed(freeze_depths: Any) -> list[FreezeDepth]:
    if isinstance(freeze_depths, (str, Integral, Real)):
        return [cast("FreezeDepth", freeze_depths)]
    if not isinstance(freeze_depths, Iterable):
        raise TypeError(
            f"freeze_depths={freeze_depths!r} is not a list of values of freeze_depth, as in "
            "['all', -1, -2]; freeze_points() lists the stages."
        )
    depths = list(freeze_depths)
    if not depths:
        raise ValueError("freeze_depths is empty; give the values of freeze_depth to prepare for.")
    return depths


def _check_seed(classifier: FineTunedClassifier) -> None:
    """Refuse settings with which every fit would draw its own views or weights."""
    if isinstance(classifier.random_state, Integral):
        return
    drawn = "weights" if classifier.weights is None else "views"
    if drawn == "weights" or classifier.n_views or classifier.tta:
        way_out = {"weights": "give pretrained weights", "views": "leave augment=None"}[drawn]
        raise ValueError(
            f"random_state={classifier.random_state!r} draws different {drawn} in every fit. Pass "
            f"an int to precompute and to the estimator, or {way_out}."
        )


def _views_of(classifier: FineTunedClassifier) -> Callable[[Source], list[Source]]:
    """Return a function from rows to the rows and the fixed views that fits or predictions use."""
    if not (classifier.n_views or classifier.tta):
        return lambda source: [source]
    views = views_of(classifier)

    def seen(source: Source) -> list[Source]:
        of_fit = views.trained_on(source) if classifier.n_views else [source]
        of_prediction = views.averaged(source) if classifier.tta else [source]
        return max(of_fit, of_prediction, key=len)

    return seen


def _fill(
    prefix: FrozenPrefix,
    views_of_rows: Callable[[Source], list[Source]],
    source: Source,
    depths: list[FreezeDepth],
    verbose: int,
) -> dict[int, ReadError]:
    """Compute the activations of all views at all freeze points; return the read errors."""
    network = prefix.network
    members = [member for depth in depths for member in depths_of(depth, network)]
    points = in_order([*(freeze_point_of(depth, network) for depth in members), network.end])
    on_the_way = cached_on_the_way(network, points, prefix.engine)
    failures: dict[int, ReadError] = {}
    with progress_bar(f"precompute, {network.spec.name}", len(source), verbose) as advance:
        for start, rows in blocks_of(source, _ROWS_TOGETHER):
            unread = _fill_some(prefix, views_of_rows(rows), points, on_the_way)
            failures.update({start + row: error for row, error in unread.items()})
            advance(len(rows))
    return failures


def _fill_some(
    prefix: FrozenPrefix,
    views: list[Source],
    points: list[int | None],
    on_the_way: set[int],
) -> dict[int, ReadError]:
    """Do what `_fill` does for a block of rows, given as `views`; also store content digests."""
    contents = prefix.digests(views[0])
    failures: dict[int, ReadError] = {}
    for number, view in enumerate(views):
        options: dict[str, Any] = {} if number else {"observer": contents}
        for point in points:
            _, unread = prefix.activations(
                view, point, also_cache=on_the_way, cache_ahead=False, **options
            )
            failures.update(unread)
    readable = [row for row in range(len(views[0])) if row not in failures]
    return failures | contents.complete(readable, prefix.n_jobs, prefix.keep_going)


def _warn_of_little_room(info: CacheInfo, n_refused: int) -> None:
    if n_refused:
        warn_user(
            f"{n_refused} rows found no room in the cache, which holds {info.bytes / 1e6:.0f} of "
            f"{info.budget / 1e6:.0f} MB. They will be computed when they are needed, with the "
            "same result. A directory as cache has more room. Deeper freeze points need less room; "
            "freeze_points() shows how much they need."
        )
