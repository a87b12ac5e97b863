"""Separate distributions that hold weights. They are found without being imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Companion:
    """A distribution of weights, in a folder of ``companions/``.

    Attributes
    ----------
    backbone : str
        The name of its network.
    folder : str
        The folder; the package in it has the same name, prefixed with ``skltransfer_``.
    n_parameters : int
        The number of weights, known without reading them.
    input_size : tuple of int
        Native size in pixels; empty if rows have no size.
    """

    backbone: str
    folder: str
    n_parameters: int
    input_size: tuple[int, ...] = ()

    @property
    def install(self) -> str:
        """The command that installs it, in a checkout."""
        return f"pip install './companions/{self.folder}'"

    def path(self) -> Path:
        """Return the folder of its files.

        Raises
        ------
        ImportError
            If it is not installed.
        """
        found = find_spec(f"skltransfer_{self.folder}")
        if found is None or found.origin is None:
            raise ImportError(
                f"backbone={self.backbone!r} needs its weights, which come in a separate package: "
                f"run {self.install} in a checkout of skltransfer."
            )
        return Path(found.origin).parent

    def damaged(self, error: Exception) -> ValueError:
        """Return the error about files that cannot be read."""
        return ValueError(
            f"The weights of {self.backbone!r} are damaged ({error}): install them again, with "
            f"{self.install} --force-reinstall."
        )


EFFICIENTNET_LITE2 = Companion("efficientnet_lite2", "efficientnet_lite2", 4_869_168, (260, 260))
MINILM = Companion("minilm_l6", "minilm", 22_564_608)
COMPANIONS = (EFFICIENTNET_LITE2, MINILM)
