"""The seam between rows of images and what decodes them, which registers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from skltransfer.inputs.images.preprocessing import ImagePreprocessing
    from skltransfer.inputs.images.stored import StoredImage


class Reader(Protocol):
    """What decodes files and PIL images."""

    def load_file(self, file: BinaryIO, rule: ImagePreprocessing) -> StoredImage:
        """Decode the first frame of a file."""
        ...

    def holds_deep_numbers(self, file: BinaryIO) -> bool:
        """Whether a file, by its header, holds others than unsigned integers of up to 8 bits."""
        ...

    def load_pil_image(self, image: Image.Image, *, is_explicit: bool) -> StoredImage:
        """Load a PIL image of the user, who gave ``pixel_range`` or not."""
        ...


_reader: list[Reader] = []


def register_reader(reader: Reader) -> None:
    """Say what decodes."""
    _reader[:] = [reader]


def reader() -> Reader:
    """What decodes."""
    return _reader[0]
