"""Images as points in the plane; images with similar features lie close together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skltransfer.displays._checks import check_count, check_one_label, class_names
from skltransfer.displays._drawing import axes_or_new, check_matplotlib, shortened, styled
from skltransfer.displays._projection import features_of, projected, spread_out
from skltransfer.displays._thumbnails import Thumbnails

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skltransfer._types import Images, Labels, Seed

_SHOWN_SIDE = 96
_LARGEST_SHARE = 0.12
"""Side of a thumbnail as a share of the axes' height."""

_SHARE_OF_ALL = 0.6
"""Limit on the side of a thumbnail times the square root of the number of thumbnails, which then
cover at most 36 % of the axes."""

_OF_ONE_LABEL = "FeatureMapDisplay.from_estimator(estimator, X, np.asarray(Y)[:, j])"


class FeatureMapDisplay:
    """Features of images, projected to two dimensions, with thumbnails of some images.

    Create it with :meth:`from_estimator`, which draws at once; `plot` draws the same data again.

    Parameters
    ----------
    positions : ndarray of float64, shape (n_samples, 2)
        Positions of the images; rows of NaN are not drawn.
    thumbnails : list of ndarray of shape (h, w, 3), dtype uint8
        Small images in their original proportions.
    thumbnail_rows : ndarray of int, shape (n_thumbnails,)
        Rows of these images in `positions`.
    codes : ndarray of int, shape (n_samples,), or None, default=None
        Class of each image, as an index into `names`; None draws all images in one colour.
    names : sequence of str, default=()
        Names of the classes.
    axis_names : sequence of two str, default=("", "")
        Labels of the axes.

    Attributes
    ----------
    thumbnail_rows : ndarray of int, shape (n_thumbnails,)
        Positions in X of the images that are shown as thumbnails.
    ax_ : matplotlib.axes.Axes
        The axes.
    points_ : list of matplotlib.collections.PathCollection
        The points, class by class.
    thumbnail_boxes_ : list of matplotlib.offsetbox.AnnotationBbox
        The small images.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    PretrainedFeatureExtractor : Computes the features.

    Examples
    --------
    Draw the features of photographs in class folders, and get the files of the thumbnails:

    .. code-block:: python

        photos = images_from_folder("photos", labels="names")
        extractor = PretrainedFeatureExtractor().fit(photos.data)
        display = FeatureMapDisplay.from_estimator(extractor, photos.data, photos.target)
        photos.data[display.thumbnail_rows]  # the files of the thumbnails
    """

    def __init__(
        self,
        *,
        positions: np.ndarray,
        thumbnails: Sequence[np.ndarray],
        thumbnail_rows: np.ndarray,
        codes: np.ndarray | None = None,
        names: Sequence[str] = (),
        axis_names: Sequence[str] = ("", ""),
    ) -> None:
        self.positions = positions
        self.thumbnails = thumbnails
        self.thumbnail_rows = thumbnail_rows
        self.codes = codes
        self.names = names
        self.axis_names = axis_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Images,
        y: Labels | None = None,
        *,
        projection: Any = "pca",
        n_thumbnails: int = 20,
        random_state: Seed = None,
        display_labels: Sequence[str] | None = None,
        ax: Axes | None = None,
        scatter_kw: dict[str, Any] | None = None,
    ) -> FeatureMapDisplay:
        """Compute features, project them and draw them.

        Parameters
        ----------
        estimator : PretrainedFeatureExtractor, FineTunedClassifier, Pipeline or search
            A fitted estimator. For a pipeline, the features are the input of its final classifier
            or the output of its final transformer. For a FineTunedClassifier, they are the
            standardised features that its head reads.
        X : array-like
            Two or more images, of any kind that the estimator takes. With ``n_thumbnails=0``, X may
            also hold rows of numbers. Images that cannot be read are left out if the estimator has
            ``on_error="nan"``.
        y : array-like of shape (n_samples,), default=None
            Class labels, for colours and a legend. If rows have several labels, pass one of them.
        projection : "pca" or transformer, default="pca"
            "pca" draws the first two principal components. A scikit-learn transformer that returns
            two components, such as ``TSNE()``, is cloned and fitted.
        n_thumbnails : int, default=20
            Maximum number of thumbnails, which never overlap. 0 shows none.
        random_state : int, RandomState instance or None, default=None
            Seed of the choice of thumbnails, and of a `projection` with a parameter of this name.
            Pass an int to get the same map in every call.
        display_labels : sequence of str, default=None
            Names of the classes in the order of the sorted labels of `y`; None uses the labels.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        scatter_kw : dict, default=None
            Keyword arguments for ``Axes.scatter``.

        Returns
        -------
        FeatureMapDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If the estimator contains no network of this package.
        ValueError
            If `projection` does not return two components, if `y` does not match X, if fewer than
            two images can be read, or if a parameter is invalid.
        """
        caller = f"{cls.__name__}.from_estimator"
        check_matplotlib(caller)
        n_thumbnails = check_count("n_thumbnails", n_thumbnails, 0)
        rng = check_random_state(random_state)
        album = Thumbnails.as_read_by(estimator, X) if n_thumbnails else None
        codes, names = _coded(X, y, display_labels)
        features = features_of(estimator, X, caller)
        positions, axis_names = projected(features, projection, random_state)
        read = np.flatnonzero(~np.isnan(positions[:, 0]))
        chosen = read[spread_out(positions[read], n_thumbnails, _share(n_thumbnails), rng)]
        return cls(
            positions=positions,
            thumbnails=album.shown(chosen, _SHOWN_SIDE) if album else [],
            thumbnail_rows=chosen,
            codes=codes,
            names=names,
            axis_names=axis_names,
        ).plot(ax, scatter_kw=scatter_kw)

    def plot(
        self, ax: Axes | None = None, *, scatter_kw: dict[str, Any] | None = None
    ) -> FeatureMapDisplay:
        """Draw points, thumbnails and a legend.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        scatter_kw : dict, default=None
            Keyword arguments for ``Axes.scatter``.

        Returns
        -------
        FeatureMapDisplay
            The display itself.
        """
        self.ax_ = axes_or_new(ax, f"{type(self).__name__}.plot", (8.0, 6.4))
        self.figure_ = self.ax_.figure
        colours = _colours(len(self.names))
        self.points_ = self._scatter(colours, scatter_kw)
        self.ax_.margins(0.08)
        self.ax_.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1], xticks=[], yticks=[])
        self.thumbnail_boxes_ = self._draw_thumbnails(colours)
        if self.codes is not None:
            columns = math.ceil(len(self.names) / 24)
            self.ax_.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), ncols=columns)
        return self

    def _scatter(self, colours: list[Any], scatter_kw: dict[str, Any] | None) -> list[Any]:
        from matplotlib.collections import PathCollection

        style = styled({"s": 14, "linewidths": 0}, scatter_kw, PathCollection)
        if self.codes is None:
            return [self.ax_.scatter(*self.positions.T, **{"color": "C0", **style})]
        return [
            self.ax_.scatter(
                *self.positions[self.codes == code].T,
                **{"color": colours[code], "label": shortened(name), **style},
            )
            for code, name in enumerate(self.names)
        ]

    def _draw_thumbnails(self, colours: list[Any]) -> list[Any]:
        """Draw thumbnails at their points, framed in the colour of their class."""
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        box = self.ax_.get_window_extent()
        side = _share(len(self.thumbnails)) * min(box.width, box.height) * 72 / self.figure_.dpi
        boxes = []
        for row, thumbnail in zip(self.thumbnail_rows, self.thumbnails, strict=True):
            image = OffsetImage(thumbnail, zoom=0.85 * side / max(thumbnail.shape[:2]))
            colour = "0.4" if self.codes is None else colours[self.codes[row]]
            frame = {"edgecolor": colour, "linewidth": 1.5}
            mark = AnnotationBbox(image, self.positions[row], pad=0.1, bboxprops=frame)
            boxes.append(self.ax_.add_artist(mark))
        return boxes


def _coded(
    X: Images, y: Labels | None, display_labels: Sequence[str] | None
) -> tuple[np.ndarray | None, list[str]]:
    """Return the classes of the images as indices, and the names of the classes."""
    if y is None:
        return None, []
    check_consistent_length(X, y)
    check_one_label(y, _OF_ONE_LABEL)
    y = column_or_1d(y)
    kind = type_of_target(y)
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"y is {kind}, but points are coloured by class. Pass class labels, which "
            "np.digitize(y, bins) makes from numbers, or y=None for points of one colour."
        )
    classes, codes = np.unique(y, return_inverse=True)
    return codes, class_names(classes, display_labels)


def _share(n_thumbnails: int) -> float:
    """Return the side of a thumbnail as a share of the axes."""
    return min(_LARGEST_SHARE, _SHARE_OF_ALL / math.sqrt(max(n_thumbnails, 1)))


def _colours(n_classes: int) -> list[Any]:
    """Return colours as distinct as their number allows."""
    import matplotlib

    if n_classes <= 20:
        name = "tab10" if n_classes <= 10 else "tab20"
        return list(matplotlib.color_sequences[name])
    return list(matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, n_classes)))
