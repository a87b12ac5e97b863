"""Drawing for all displays: axes, panels within axes, and grids of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from skltransfer.displays._checks import check_count

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecBase

Extent: TypeAlias = tuple[float, int]
"""Length of a spectrogram in seconds, and its number of bands."""

_PANEL_INCHES = 2.4
_LONGEST_NAME = 18


def check_matplotlib(caller: str) -> None:
    """If matplotlib is missing, raise an error that says how to install it."""
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} draws with matplotlib, which cannot be imported. Install it with "
            "pip install 'skltransfer[plot]'."
        ) from error


def axes_or_new(ax: Axes | None, caller: str, size: tuple[float, float] | None = None) -> Axes:
    """Return `ax`, or the only axes of a new figure of `size` (width, height) in inches."""
    check_matplotlib(caller)
    import matplotlib.pyplot as plt

    if ax is None:
        return plt.figure(figsize=size, layout="constrained").add_subplot()
    if not hasattr(ax, "get_subplotspec"):
        raise TypeError(
            f"ax={ax!r} is not one matplotlib Axes. Pass one, such as figure.add_subplot(); the "
            "display puts its panels inside it."
        )
    return ax


def panels_in(ax: Axes, n_rows: int, n_columns: int, **options: Any) -> list[Axes]:
    """Replace `ax` by a grid of axes, listed row by row; `ax` stays as an empty frame."""
    ax.set_axis_off()
    spec = ax.get_subplotspec()
    grid: GridSpecBase
    if spec is None:  # axes positioned by hand
        left, bottom, right, top = ax.get_position().extents
        place = {"left": left, "bottom": bottom, "right": right, "top": top}
        grid = ax.figure.add_gridspec(n_rows, n_columns, **place, **options)
    else:
        grid = spec.subgridspec(n_rows, n_columns, **options)
    cells = [grid[row, column] for row in range(n_rows) for column in range(n_columns)]
    return [ax.figure.add_subplot(cell) for cell in cells]


def styled(
    defaults: dict[str, Any], wanted: dict[str, Any] | None, artist: type[Artist]
) -> dict[str, Any]:
    """Return the `defaults` for an artist, overridden by `wanted`; both may use aliases ("lw")."""
    from matplotlib.cbook import normalize_kwargs

    return {**normalize_kwargs(defaults, artist), **normalize_kwargs(wanted or {}, artist)}


def image_grid(
    ax: Axes | None, caller: str, n_images: int, n_columns: int | None, title_lines: int
) -> tuple[Axes, list[Axes]]:
    """Return `ax` or new axes, and a panel for each image; by default, the grid is about square."""
    if n_columns is None:
        n_columns = math.ceil(math.sqrt(n_images))
    across = min(n_images, check_count("n_columns", n_columns, 1))
    down = math.ceil(n_images / across)
    size = (_PANEL_INCHES * across, (_PANEL_INCHES + 0.2 * title_lines) * down)
    ax = axes_or_new(ax, caller, size)
    panels = panels_in(ax, down, across)
    for panel in panels:
        panel.set_axis_off()
        panel.set_anchor("N")  # aligns the titles of a row, whatever the shapes of the images
    return ax, panels[:n_images]


def draw_images(
    panels: Sequence[Axes], images: Sequence[np.ndarray] | np.ndarray, extents: Sequence[Extent]
) -> None:
    """Draw images in their proportions; spectrograms fill their panels, with labelled axes.

    Parameters
    ----------
    panels : sequence of Axes
        The panels that `image_grid` returned.
    images : sequence of ndarray
        An image for each panel.
    extents : sequence of (float, int)
        Seconds and bands of each spectrogram; empty for images.
    """
    for index, (panel, image) in enumerate(zip(panels, images, strict=True)):
        panel.imshow(image, **placing(extents, index))
    if extents:
        _label_sounds(panels)


def placing(extents: Sequence[Extent], index: int) -> dict[str, Any]:
    """Return the arguments of ``Axes.imshow`` that place spectrogram `index` over its panel."""
    if not extents:
        return {}
    seconds, n_bands = extents[index]
    return {"extent": (0, seconds, 0, n_bands), "aspect": "auto"}


def _label_sounds(panels: Sequence[Axes]) -> None:
    """Show the ticks of spectrograms, and name time and frequency on the outer panels."""
    places = [place for panel in panels if (place := panel.get_subplotspec()) is not None]
    for index, (panel, place) in enumerate(zip(panels, places, strict=True)):
        is_first = place.is_first_col()
        panel.set_axis_on()
        panel.tick_params(labelsize="x-small", labelleft=is_first)
        if is_first:
            panel.set_ylabel("frequency (mel band)", fontsize="small")
        if index + place.get_gridspec().ncols >= len(panels):
            panel.set_xlabel("time (s)", fontsize="small")


def probability_text(probability: float) -> str:
    """Format with two decimals; below 0.01, with one significant digit."""
    return f"{probability:.2f}" if probability >= 0.01 else f"{probability:.1g}"


def shortened(name: str) -> str:
    """Shorten a name to fit above a panel."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
