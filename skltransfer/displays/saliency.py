"""Heat maps that show which positions in an image are evidence for a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_regressor

from skltransfer.displays._backbone_steps import BackboneStep, backbone_step
from skltransfer.displays._checks import class_names, positions_among, unwrapped
from skltransfer.displays._drawing import (
    Extent,
    check_matplotlib,
    draw_images,
    image_grid,
    placing,
    probability_text,
    shortened,
    styled,
)
from skltransfer.displays._heat_maps import LookedAt, check_maps, heat_maps, look_at
from skltransfer.displays._occlusion import Heard, hear, heat_of_sounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from skltransfer._types import Images, Labels


class SaliencyDisplay:
    """Heat maps over images that show which positions are evidence for a class (Grad-CAM [1]_).

    The last feature map before pooling is summed over its channels. The weight of a channel in this
    sum is the mean gradient of the class's logit with respect to the channel. Negative values,
    which are evidence against the class, are set to zero. The resulting map is coarse (7 x 7
    positions in EfficientNet-Lite0 at 224 pixels), so it is enlarged bilinearly.

    Create it with :meth:`from_estimator`, which draws at once; `plot` draws the same data again.

    Parameters
    ----------
    images : ndarray of uint8, shape (n_images, height, width, 3)
        The images as the network sees them: at its input size, stretched, cropped or padded. For
        sounds, a list of spectrograms.
    heat_maps : ndarray of float32, shape (n_images, height, width)
        Contribution of every pixel to the logit of the class, 0 or more. A map of zeros means that
        nothing in the image is evidence for the class.
    names : list of str
        Names of the classes that the maps explain, one for each image.
    probabilities : ndarray of float64, shape (n_images,), or None, default=None
        Probabilities of these classes.
    extents : list of (float, int), default=()
        For each sound, its length in seconds and its number of mel bands; empty for images.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes that contain the grid, and nothing else.
    axes_ : list of matplotlib.axes.Axes
        A panel for each image.
    heat_images_ : list of matplotlib.image.AxesImage
        The heat maps, drawn over the images.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    TopLossesDisplay : Finds images worth explaining.

    Notes
    -----
    If a pipeline consists of a PretrainedFeatureExtractor (with ``pooling="avg"`` and one layer),
    linear steps and a linear classifier, Grad-CAM reduces to the class activation map [2]_, in
    which the weights of the channels are the slopes of the decision function. The parameter ``tta``
    of the estimator has no effect on heat maps.

    Sounds are explained by occlusion [3]_: patches of the log-mel map are hidden one after another,
    by capping their values at the median of the frequency band. The heat of a patch is the amount
    by which hiding it lowers the score of the class. For sounds, any classifier with a
    ``decision_function`` may follow the extractor.

    References
    ----------
    .. [1] Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
       Localization", ICCV 2017.
    .. [2] Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016.
    .. [3] Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.

    Examples
    --------
    Explain the predicted classes of six photographs, with a fitted classifier:

    .. code-block:: python

        # one panel for each photograph, in the order of the rows
        SaliencyDisplay.from_estimator(classifier, photos.data[:6])
    """

    def __init__(
        self,
        *,
        images: np.ndarray | Sequence[np.ndarray],
        heat_maps: np.ndarray | Sequence[np.ndarray],
        names: Sequence[str],
        probabilities: np.ndarray | None = None,
        extents: Sequence[Extent] = (),
    ) -> None:
        self.images = images
        self.heat_maps = heat_maps
        self.names = names
        self.probabilities = probabilities
        self.extents = extents

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Images,
        *,
        target: Labels | None = None,
        display_labels: Sequence[str] | None = None,
        ax: Axes | None = None,
        n_columns: int | None = None,
        heat_kw: dict[str, Any] | None = None,
    ) -> SaliencyDisplay:
        """Compute and draw the heat maps of images.

        Parameters
        ----------
        estimator : FineTunedClassifier, Pipeline or search
            A fitted estimator. A pipeline may end in a FineTunedClassifier, or start with a
            PretrainedFeatureExtractor and end in a linear classifier.
        X : array-like
            Images of any kind that the estimator takes; each gets a panel.
        target : label or array-like of shape (n_images,), default=None
            The class to explain: one for all images, or one for each image. If rows have several
            labels, pass the index of a label. None explains the predicted class or, with several
            labels, the most likely label.
        display_labels : sequence of str, default=None
            Names of the classes in the order of ``classes_``; None uses the labels.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        n_columns : int, default=None
            Columns of the grid; None makes it about square.
        heat_kw : dict, default=None
            Keyword arguments for ``Axes.imshow`` of the heat, such as ``{"cmap": "viridis"}``.

        Returns
        -------
        SaliencyDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If the estimator contains no network of this package, or no classifier after the
            network.
        ValueError
            If the backbone does not end in a feature map, if the classifier after an extractor is
            not linear in the features, if `target` is not a class, or if an image cannot be read.
        """
        caller = f"{cls.__name__}.from_estimator"
        check_matplotlib(caller)
        found = backbone_step(estimator, X, caller)
        check_maps(found)
        heard = hear(found)
        classes = _classes(estimator)
        names = class_names(classes, _names(estimator, display_labels))
        seen = look_at(found) if heard is None else heard
        targets = _targets(target, estimator, X, classes, len(seen.images))
        probabilities = None
        if hasattr(estimator, "predict_proba"):
            probabilities = estimator.predict_proba(X)[np.arange(len(targets)), targets]
        return cls(
            images=seen.images,
            extents=seen.extents if isinstance(seen, Heard) else (),
            heat_maps=_heat(found, seen, targets),
            names=[names[i] for i in targets],
            probabilities=probabilities,
        ).plot(ax, n_columns=n_columns, heat_kw=heat_kw)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_columns: int | None = None,
        heat_kw: dict[str, Any] | None = None,
    ) -> SaliencyDisplay:
        """Draw the heat maps over the images, each map scaled from zero to its own maximum.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        n_columns : int, default=None
            Columns of the grid; None makes it about square.
        heat_kw : dict, default=None
            Keyword arguments for ``Axes.imshow`` of the heat, such as ``{"cmap": "viridis"}``.

        Returns
        -------
        SaliencyDisplay
            The display itself.
        """
        caller = f"{type(self).__name__}.plot"
        self.ax_, self.axes_ = image_grid(ax, caller, len(self.images), n_columns, 1)
        self.figure_ = self.ax_.figure
        draw_images(self.axes_, self.images, self.extents)
        self.heat_images_ = []
        for index, panel in enumerate(self.axes_):
            self.heat_images_.append(self._draw_heat(panel, index, heat_kw))
            panel.set_title(self._title(index), fontsize="small")
        return self

    def _draw_heat(self, panel: Axes, index: int, heat_kw: dict[str, Any] | None) -> AxesImage:
        """Draw the heat; the lower it is, the more transparent it is."""
        from matplotlib.image import AxesImage

        heat = self.heat_maps[index]
        share = heat / (heat.max() or 1)
        style = {"cmap": "inferno", "alpha": 0.75 * share**0.7, "vmin": 0, "vmax": 1}
        style |= placing(self.extents, index)
        return panel.imshow(share, **styled(style, heat_kw, AxesImage))

    def _title(self, index: int) -> str:
        name = shortened(self.names[index])
        if self.probabilities is None:
            return name
        return f"{name} ({probability_text(self.probabilities[index])})"


def _heat(
    found: BackboneStep, seen: LookedAt | Heard, targets: np.ndarray
) -> np.ndarray | list[np.ndarray]:
    """Return the evidence for the classes `targets`, in images or in sounds."""
    if isinstance(seen, Heard):
        return heat_of_sounds(found, seen, targets)
    return heat_maps(found, seen, targets)


def _classes(estimator: Any) -> np.ndarray:
    """Return the classes that can be explained."""
    found = unwrapped(estimator)
    if is_regressor(found):
        raise TypeError(
            f"SaliencyDisplay shows evidence for a class, but {type(found).__name__} is a "
            "regressor. LargestErrorsDisplay shows the images with its largest errors."
        )
    return np.asarray(found.classes_)


def _names(estimator: Any, display_labels: Sequence[str] | None) -> Sequence[str] | None:
    """Return `display_labels` or, if it is None, the names that the labels had in fit, if any."""
    known = getattr(unwrapped(estimator), "label_names_", None)
    return known if display_labels is None else display_labels


def _most_likely(estimator: Any, X: Images) -> np.ndarray:
    """Return the index of the most likely label of each row, for several labels."""
    return np.asarray(np.nan_to_num(estimator.predict_proba(X), nan=-1.0).argmax(axis=1))


def _targets(
    target: Labels | None, estimator: Any, X: Images, classes: np.ndarray, n_images: int
) -> np.ndarray:
    """Return the index of the explained class of each image."""
    wanted = estimator.predict(X) if target is None else target
    if target is None and len(wanted.shape) == 2:
        return _most_likely(estimator, X)
    labels = [wanted] * n_images if np.ndim(wanted) == 0 else list(wanted)
    if len(labels) != n_images:
        raise ValueError(
            f"target has {len(labels)} labels, but X has {n_images} images. Give one label "
            "for all, or one for each."
        )
    advice = "Give one of these, or None for the predicted class."
    return positions_among(labels, classes, "target", advice)
