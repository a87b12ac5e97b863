"""The images with the largest errors of a regressor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from skltransfer.displays._checks import check_count, last_of
from skltransfer.displays._drawing import Extent, check_matplotlib, draw_images, image_grid
from skltransfer.displays._ranking import greatest
from skltransfer.displays._spectrograms import Spectrograms
from skltransfer.displays._thumbnails import Thumbnails

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skltransfer._types import Images, ImageShape, Numbers, PixelRange, SampleWeight

_SHOWN_SIDE = 320


class LargestErrorsDisplay:
    """A grid of the images with the largest absolute errors, in descending order.

    The first images are hard cases, or have wrong values in y. The title of each image gives the
    predicted number, the true number and the error, which is the predicted number minus the true
    one.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`, which draw at once; `plot`
    draws the same data again.

    Parameters
    ----------
    images : list of ndarray of shape (h, w, 3), dtype uint8
        The images in their original proportions, at most 320 pixels wide and high. No other images
        of X are read for the display.
    rows : ndarray of int, shape (n_images,)
        Positions of these images in X.
    true_values, predicted_values : ndarray of float64, shape (n_images,)
        True and predicted numbers of these images, in the units of y.
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
    sklearn.metrics.PredictionErrorDisplay : Plots predicted against true values.
    TopLossesDisplay : The same for classifiers.

    Examples
    --------
    Draw the six photographs whose prices are predicted worst:

    .. code-block:: python

        display = LargestErrorsDisplay.from_estimator(regressor, paths, prices, n_images=6)
        paths[display.rows[0]]  # the file of the first image
    """

    def __init__(
        self,
        *,
        images: Sequence[np.ndarray],
        rows: np.ndarray,
        true_values: np.ndarray,
        predicted_values: np.ndarray,
        extents: Sequence[Extent] = (),
    ) -> None:
        self.images = images
        self.rows = rows
        self.true_values = true_values
        self.predicted_values = predicted_values
        self.extents = extents

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Images,
        y: Numbers,
        *,
        n_images: int = 9,
        sample_weight: SampleWeight = None,
        ax: Axes | None = None,
        n_columns: int | None = None,
    ) -> LargestErrorsDisplay:
        """Predict, and draw the images with the largest errors.

        Parameters
        ----------
        estimator : regressor
            A fitted FineTunedRegressor, a pipeline that starts with a PretrainedFeatureExtractor,
            or a search over these.
        X : array-like
            Images of any kind that the estimator takes.
        y : array-like of shape (n_samples,)
            True numbers.
        n_images : int, default=9
            Maximum number of images to show, 1 or more.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Images are chosen by error times weight; those with weight 0 are
            left out.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        n_columns : int, default=None
            Columns of the grid; None makes it about square.

        Returns
        -------
        LargestErrorsDisplay
            The display, drawn. Images that could not be read are left out if the estimator has
            ``on_error="nan"``.

        Raises
        ------
        ValueError
            If the estimator predicts several numbers for each row, if a parameter is invalid, or if
            X holds no images.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        last_of(estimator)
        album = Thumbnails.as_read_by(estimator, X)
        predicted = estimator.predict(X)
        found = cls._of_album(album, y, predicted, n_images, sample_weight)
        return found.plot(ax, n_columns=n_columns)

    @classmethod
    def from_predictions(
        cls,
        y_true: Numbers,
        y_pred: ArrayLike,
        X: Images,
        *,
        n_images: int = 9,
        sample_weight: SampleWeight = None,
        image_shape: ImageShape | None = None,
        pixel_range: PixelRange | None = None,
        ax: Axes | None = None,
        n_columns: int | None = None,
    ) -> LargestErrorsDisplay:
        """Draw the images with the largest errors of given predictions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True numbers.
        y_pred : array-like of shape (n_samples,)
            Predicted numbers. An image with NaN is left out.
        X : array-like
            The images: arrays, paths, bytes, PIL images, or rows with `image_shape`.
        n_images : int, default=9
            Maximum number of images to show, 1 or more.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Images are chosen by error times weight; those with weight 0 are
            left out.
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
        LargestErrorsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If shapes do not match, if there are several numbers in each row, if a parameter is
            invalid, or if X holds no images.
        """
        check_matplotlib(f"{cls.__name__}.from_predictions")
        album = Thumbnails.of(X, image_shape, pixel_range)
        found = cls._of_album(album, y_true, y_pred, n_images, sample_weight)
        return found.plot(ax, n_columns=n_columns)

    @classmethod
    def _of_album(
        cls,
        album: Thumbnails | Spectrograms,
        y: Numbers,
        y_pred: ArrayLike,
        n_images: int,
        sample_weight: SampleWeight,
    ) -> LargestErrorsDisplay:
        n_images = check_count("n_images", n_images, 1)
        true, predicted = _one_number("y", y), _one_number("the predictions", y_pred)
        check_consistent_length(album.source, true, predicted)
        weights = _check_sample_weight(
            sample_weight, true, dtype=np.float64, ensure_non_negative=True
        )
        rows = greatest(np.abs(predicted - true), weights)[:n_images]
        return cls(
            images=album.shown(rows, _SHOWN_SIDE),
            extents=album.extents(rows),
            rows=rows,
            true_values=true[rows],
            predicted_values=predicted[rows],
        )

    def plot(self, ax: Axes | None = None, *, n_columns: int | None = None) -> LargestErrorsDisplay:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None creates a figure.
        n_columns : int, default=None
            Columns of the grid; None makes it about square.

        Returns
        -------
        LargestErrorsDisplay
            The display itself.
        """
        caller = f"{type(self).__name__}.plot"
        self.ax_, self.axes_ = image_grid(ax, caller, len(self.images), n_columns, 2)
        self.figure_ = self.ax_.figure
        draw_images(self.axes_, self.images, self.extents)
        for index, panel in enumerate(self.axes_):
            title = _title(self.predicted_values[index], self.true_values[index])
            panel.set_title(title, fontsize="small")
        return self


def _title(predicted: float, true: float) -> str:
    """Round all numbers to the decimal place of the fourth digit of the larger one."""
    largest = max(abs(predicted), abs(true))
    exponent = math.floor(math.log10(largest)) if largest else 0
    form = f"z.{max(0, 3 - exponent)}f" if -3 <= exponent <= 6 else ".3e"
    error = predicted - true
    return f"predicted {predicted:{form}}, true {true:{form}}\nerror {error:+{form}}"


def _one_number(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return numbers of shape (n,)."""
    found = np.asarray(values, np.float64)
    if found.ndim == 2 and found.shape[1] > 1:
        raise ValueError(
            f"There are {found.shape[1]} numbers in each row of {name}, but this display shows "
            "one. Choose column j: LargestErrorsDisplay.from_predictions(np.asarray(y)[:, j], "
            "estimator.predict(X)[:, j], X)."
        )
    return found.reshape(len(found))
