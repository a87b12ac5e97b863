"""The link between rows of images and the module that decodes them, which registers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from PIL import Image

    from skltransfer.inputs.images.preprocessing import ImagePreprocessing
    from skltransfer.inputs.images.stored import StoredImage


class Reader(Protocol):
    """A decoder of files and PIL images."""

    def load_file(self, file: BinaryIO, rule: ImagePreprocessing) -> StoredImage:
        """Decode the first frame of a file."""
        ...

    def holds_deep_numbers(self, file: BinaryIO) -> bool:
        """Whether the header announces anything but unsigned integers of up to 8 bits."""
        ...

    def load_pil_image(self, image: Image.Image, *, is_explicit: bool) -> StoredImage:
        """Load a user's PIL image; `is_explicit` says whether the user gave ``pixel_range``."""
        ...


_reader: list[Reader] = []


def register_reader(reader: Reader) -> None:
    """Set the decoder."""
    _reader[:] = [reader]


def reader() -> Reader:
    """Return the decoder."""
    return _reader[0]
