"""The images with the largest losses of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_regressor
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    column_or_1d,
)

from skltransfer.displays._checks import (
    check_count,
    check_one_label,
    class_names,
    last_of,
    positions_among,
)
from skltransfer.displays._drawing import (
    Extent,
    check_matplotlib,
    draw_images,
    image_grid,
    probability_text,
    shortened,
)
from skltransfer.displays._ranking import greatest
from skltransfer.displays._spectrograms import Spectrograms
from skltransfer.displays._thumbnails import Thumbnails

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skltransfer._types import Images, ImageShape, Labels, PixelRange, SampleWeight

_SHOWN_SIDE = 320
_RIGHT, _WRONG = "tab:blue", "tab:red"
_SMALLEST_PROBABILITY = np.finfo(np.float64).tiny
_OF_ONE_LABEL = (
    "TopLossesDisplay.from_predictions(np.asarray(Y)[:, j], estimator.predict_proba(X)[:, j], X)"
)


class TopLossesDisplay:
    """A grid of the images with the largest losses, in descending order.

    The loss of an image is the cross-entropy: the negative logarithm of the predicted probability
    of its true class. The first images are those that were predicted confidently and wrongly. They
    are hard cases, or have wrong labels. If a prediction is wrong, the title of the image is red
    and names both classes. If it is right, the title is blue and says "right".

    Create it with :meth:`from_estimator` or :meth:`from_predictions`, which draw at once; `plot`
    draws the same data again.

    Parameters
    ----------
    images : list of ndarray of shape (h, w, 3), dtype uint8
        The images in their original proportions, at most 320 pixels wide and high. No other images
        of X are read for the display.
    rows : ndarray of int, shape (n_images,)
        Positions of these images in X.
    losses : ndarray of float64, shape (n_images,)
        Losses of these images, not multiplied by weights.
    true_names, predicted_names : list of str
        Names of the true and the predicted class of these images.
    true_probabilities, predicted_probabilities : ndarray of float64, shape (n_images,)
        Probabilities of these classes.
    extents : list of (float, int), default=()
        For each sound, its length in seconds and its number of mel bands; empty for images.

    Attributes
    ----------
    rows : ndarray of int, shape (n_images,)
        Positions of the images in X, so that ``X[display.rows[0]]`` is the first of them.
    ax_ : matplotlib.axes.Axes
        The axes that contain the grid, and nothing else.
    axes_ : list of matplotlib.axes.Axes
        A panel for each image.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    SaliencyDisplay : Shows which parts of an image are evidence for a class.
    sklearn.metrics.ConfusionMatrixDisplay : Shows which classes are confused.

    Examples
    --------
    Draw the photographs with the largest losses, and get the file of the first:

    .. code-block:: python

        photos = images_from_folder("photos", labels="names")
        ...
        display = TopLossesDisplay.from_estimator(classifier, photos.data, photos.target)
        photos.data[display.rows[0]]  # the file of the first image
    """

    def __init__(
        self,
        *,
        images: Sequence[np.ndarray],
        rows: np.ndarray,
        losses: np.ndarray,
        true_names: Sequence[str],
        predicted_names: Sequence[str],
        true_probabilities: np.ndarray,
        predicted_probabilities: np.ndarray,
        extents: Sequence[Extent] = (),
    ) -> None:
        self.images = images
        self.rows = rows
        self.losses = losses
        self.true_names = true_names
        self.predicted_names = predicted_names
        self.true_probabilities = true_probabilities
        self.predicted_probabilities = predicted_probabilities
        self.extents = extents

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Images,
        y: Labels,
        *,
        n_images: int = 9,
        sample_weight: SampleWeight = None,
        display_labels: Sequence[str] | None = None,
        ax: Axes | None = None,
        n_columns: int | None = None,
    ) -> TopLossesDisplay:
        """Predict, and draw the images with the largest losses.

        Parameters
        ----------
        estimator : classifier
            A fitted estimator with ``predict_proba``: a FineTunedClassifier, a pipeline that starts
            with a PretrainedFeatureExtractor, or a search over these.
        X : array-like
            Images of any kind that the estimator takes.
        y : array-like of shape (n_samples,)
            True labels.
        n_images : int, default=9
            Maximum number of images to show, 1 or more.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Images are chosen by loss times weight; those with weight 0 are
            left out.
        display_labels : sequence of str, default=None
            Names of the classes in the order of ``classes_``; None uses the labels.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        n_columns : int, default=None
            Columns of the grid; None makes it about square.

        Returns
        -------
        TopLossesDisplay
            The display, drawn. Images that could not be read are left out if the estimator has
            ``on_error="nan"``.

        Raises
        ------
        TypeError
            If the estimator has no ``predict_proba``.
        ValueError
            If a parameter is invalid, if a label is unknown, or if X holds no images.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        last = last_of(estimator)
        if is_regressor(estimator):
            raise TypeError(
                f"{type(last).__name__} is a regressor. Use LargestErrorsDisplay; if the regressor "
                "predicts several targets, pass one column to "
                "LargestErrorsDisplay.from_predictions."
            )
        check_one_label(y, _OF_ONE_LABEL)
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"{type(last).__name__} has no predict_proba, from which the loss is computed. "
                "Wrap it in CalibratedClassifierCV, or compute probabilities and pass them to "
                f"{cls.__name__}.from_predictions."
            )
        album = Thumbnails.as_read_by(estimator, X)
        check_consistent_length(album.source, y)
        return cls._of_album(
            album,
            y,
            estimator.predict_proba(X),
            estimator.classes_,
            n_images,
            sample_weight,
            display_labels,
        ).plot(ax, n_columns=n_columns)

    @classmethod
    def from_predictions(
        cls,
        y_true: Labels,
        y_proba: ArrayLike,
        X: Images,
        *,
        classes: Labels | None = None,
        n_images: int = 9,
        sample_weight: SampleWeight = None,
        display_labels: Sequence[str] | None = None,
        image_shape: ImageShape | None = None,
        pixel_range: PixelRange | None = None,
        ax: Axes | None = None,
        n_columns: int | None = None,
    ) -> TopLossesDisplay:
        """Draw the images with the largest losses under given probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
            Probabilities of all classes, or of the second of two classes. An image with NaN is left
            out.
        X : array-like
            The images: arrays, paths, bytes, PIL images, or rows with `image_shape`.
        classes : array-like of shape (n_classes,), default=None
            Labels of the columns of `y_proba`; None takes the sorted labels of `y_true`.
        n_images : int, default=9
            Maximum number of images to show, 1 or more.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Images are chosen by loss times weight; those with weight 0 are
            left out.
        display_labels : sequence of str, default=None
            Names of the classes in the order of `classes`; None uses the labels.
        image_shape : (height, width) or (height, width, channels), default=None
            How the rows of a 2-D X are read as images, in pixels.
        pixel_range : (low, high), default=None
            The values in arrays that mean black and white; None decides by the rule described in
            :class:`~skltransfer.PretrainedFeatureExtractor`.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        n_columns : int, default=None
            Columns of the grid; None makes it about square.

        Returns
        -------
        TopLossesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If shapes do not match, if a probability is outside 0 to 1, if a label is unknown, if a
            parameter is invalid, or if X holds no images.
        """
        check_matplotlib(f"{cls.__name__}.from_predictions")
        check_one_label(y_true, _OF_ONE_LABEL)
        album = Thumbnails.of(X, image_shape, pixel_range)
        check_consistent_length(album.source, y_true, y_proba)
        classes = np.unique(y_true) if classes is None else np.asarray(classes)
        return cls._of_album(
            album, y_true, y_proba, classes, n_images, sample_weight, display_labels
        ).plot(ax, n_columns=n_columns)

    @classmethod
    def _of_album(
        cls,
        album: Thumbnails | Spectrograms,
        y: Labels,
        y_proba: ArrayLike,
        classes: np.ndarray,
        n_images: int,
        sample_weight: SampleWeight,
        display_labels: Sequence[str] | None,
    ) -> TopLossesDisplay:
        n_images = check_count("n_images", n_images, 1)
        names = class_names(classes, display_labels)
        probabilities = _check_probabilities(y_proba, len(classes))
        y = column_or_1d(y)
        true = positions_among(y, classes, "y", _advice_on_labels(y, classes))
        weights = _check_sample_weight(
            sample_weight, probabilities, dtype=np.float64, ensure_non_negative=True
        )
        of_truth = probabilities[np.arange(len(true)), true]
        losses = -np.log(np.maximum(of_truth, _SMALLEST_PROBABILITY))
        rows = greatest(losses, weights)[:n_images]
        predicted = probabilities[rows].argmax(axis=1)
        return cls(
            images=album.shown(rows, _SHOWN_SIDE),
            extents=album.extents(rows),
            rows=rows,
            losses=losses[rows],
            true_names=[names[i] for i in true[rows]],
            predicted_names=[names[i] for i in predicted],
            true_probabilities=of_truth[rows],
            predicted_probabilities=probabilities[rows, predicted],
        )

    def plot(self, ax: Axes | None = None, *, n_columns: int | None = None) -> TopLossesDisplay:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        n_columns : int, default=None
            Columns of the grid; None makes it about square.

        Returns
        -------
        TopLossesDisplay
            The display itself.
        """
        caller = f"{type(self).__name__}.plot"
        self.ax_, self.axes_ = image_grid(ax, caller, len(self.images), n_columns, 2)
        self.figure_ = self.ax_.figure
        draw_images(self.axes_, self.images, self.extents)
        for index, panel in enumerate(self.axes_):
            is_right = self.predicted_names[index] == self.true_names[index]
            colour = _RIGHT if is_right else _WRONG
            panel.set_title(self._title(index), fontsize="small", color=colour)
        return self

    def _title(self, index: int) -> str:
        """Describe the predicted and the true class, with their probabilities."""
        predicted, true = self.predicted_names[index], self.true_names[index]
        if predicted == true:
            return f"right: {shortened(true)}\n({probability_text(self.true_probabilities[index])})"
        first = probability_text(self.predicted_probabilities[index])
        second = probability_text(self.true_probabilities[index])
        return f"predicted {shortened(predicted)} ({first})\ntrue {shortened(true)} ({second})"


def _advice_on_labels(y: np.ndarray, classes: np.ndarray) -> str:
    """Say what to do about labels that are not classes; if none is one, they are probably names."""
    advice = (
        "y must hold labels that have a column of probabilities; use display_labels for readable "
        "names."
    )
    if set(y.tolist()).isdisjoint(classes.tolist()):
        return advice
    return f"{advice} Leave out rows whose label has no column, such as labels not in fit."


def _check_probabilities(y_proba: ArrayLike, n_classes: int) -> np.ndarray:
    """Return checked probabilities, with a column for each class."""
    found = np.asarray(y_proba, np.float64)
    if found.ndim == 1:
        found = np.column_stack([1 - found, found])
    if found.ndim != 2 or found.shape[1] != n_classes:
        raise ValueError(
            f"y_proba has shape {np.shape(y_proba)}, but there are {n_classes} classes: a column "
            "for each is needed. If some classes do not occur in y_true, pass the labels of all "
            "columns with classes=."
        )
    outside = (found < 0) | (found > 1)
    if outside.any():
        row = int(outside.any(axis=1).argmax())
        raise ValueError(
            f"y_proba must be probabilities from 0 to 1, but row {row} is {found[row].tolist()}. "
            "Pass the result of predict_proba."
        )
    return found
