"""Reading one image: how rows are named, bounds, settings of Pillow, warnings and threads.

Which kinds of images are read, and with which pixels, is the matter of test_input_kinds.py.
"""

from __future__ import annotations

import io
import os
import pickle
import threading
import warnings

import numpy as np
import pytest
from PIL import Image, ImageFile

from image_files import (
    LARGE,
    ORIENTATION,
    RGB,
    RGBA,
    H,
    W,
    announcing,
    encode,
    exif,
    lab,
    tagged,
    turned,
    with_palette,
)
from kinds_of_files import FILES
from skltransfer.inputs.errors import ImageReadError
from skltransfer.inputs.images import decoding, limits, resizing
from skltransfer.inputs.images.decoding import decode
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.resizing import resize
from skltransfer.inputs.images.taking import read_images
from skltransfer.inputs.silence import without_warnings

PNG = encode(RGB, "PNG")

NOT_IMAGES = {
    "5 channels": ((4, 4, 5), "uint8", ValueError, "5 channels are not an image; allowed are 1"),
    "no channels": ((4, 4, 0), "uint8", ValueError, "an image needs at least one pixel"),
    "channels first": (
        (3, 20, 30),
        "uint8",
        ValueError,
        r"come first; put them last: np\.moveaxis",
    ),
    "grey first": ((1, 20, 30), "float32", ValueError, r"np\.moveaxis\(image, 0, -1\)"),
    "no rows": ((0, 4, 3), "uint8", ValueError, "at least one pixel"),
    "no columns": ((4, 0), "uint8", ValueError, "at least one pixel"),
    "1-D": ((12,), "uint8", ValueError, r"an image is \(h, w\) or \(h, w, channels\)"),
    "0-D": ((), "uint8", ValueError, r"row 7 has shape \(\)"),
    "4-D": ((1, 4, 4, 3), "uint8", ValueError, r"row 7 has shape \(1, 4, 4, 3\)"),
    "complex": ((4, 4, 3), "complex64", TypeError, "dtype complex64, but images hold bool, int"),
    "objects": ((4, 4, 3), "object", TypeError, "row 7 is an array of dtype object"),
    "dates": ((4, 4), "datetime64[s]", TypeError, r"Convert it, for instance with X\.astype"),
    "text": ((4, 4), "U3", TypeError, "dtype <U3"),
}


@pytest.mark.parametrize("name", NOT_IMAGES)
def test_arrays_that_are_no_images_raise_plain_errors(name):
    shape, dtype, error, message = NOT_IMAGES[name]
    with pytest.raises(error, match=message) as caught:
        decode(np.zeros(shape, dtype), ImagePreprocessing((4, 4)), 7)
    assert not isinstance(caught.value, ImageReadError)
    assert "row 7" in str(caught.value)


# Paths -------------------------------------------------------------------------------------


def test_bytes_are_encoded_images_and_never_paths(tmp_path):
    (tmp_path / "cat.png").write_bytes(PNG)
    with pytest.raises(ImageReadError, match="no known image format"):
        decode(os.fsencode(tmp_path / "cat.png"), ImagePreprocessing((H, W)), 0)


def test_the_content_decides_and_not_the_ending(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(PNG)
    np.testing.assert_array_equal(decode(tmp_path / "cat.jpg", ImagePreprocessing((H, W)), 0), RGB)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes exist on POSIX only")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageReadError, match="it is not a regular file"):
        decode(tmp_path / "pipe", ImagePreprocessing((4, 4)), 0)


def test_missing_permission_is_said(monkeypatch, tmp_path):
    (tmp_path / "cat.png").write_bytes(PNG)

    def forbidden(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)
    with pytest.raises(ImageReadError, match=r"permission denied\. Make the file readable"):
        decode(tmp_path / "cat.png", ImagePreprocessing((4, 4)), 0)


def test_long_paths_are_shortened_in_messages_but_kept_whole_in_the_error():
    path = "/folder" * 40 + "/cat.jpg"
    with pytest.raises(ImageReadError) as caught:
        decode(path, ImagePreprocessing((4, 4)), 12)
    assert caught.value.source == path
    assert str(caught.value).startswith("row 12 ('…")
    assert "/cat.jpg') cannot be read as an image: there is no such file." in str(caught.value)


def test_bytes_and_images_are_described():
    with pytest.raises(ImageReadError, match=r"row 1 \(1,203 bytes beginning b'12312312'\)"):
        decode(b"123" * 401, ImagePreprocessing((4, 4)), 1)
    with pytest.raises(ImageReadError, match=r"row 1 \(a PIL image of mode LAB, 9x6\)"):
        decode(lab(), ImagePreprocessing((4, 4)), 1)


def test_the_error_travels_between_processes():
    with pytest.raises(ImageReadError) as caught:
        decode("no/such/file.jpg", ImagePreprocessing((4, 4)), 12)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.row, copy.source) == (str(caught.value), 12, "no/such/file.jpg")


# Bounds and settings -----------------------------------------------------------------------


def test_a_large_jpeg_is_decoded_reduced_where_that_stays_within_the_bound(monkeypatch):
    monkeypatch.setattr(limits, "MAX_PIXELS", 32 * 32)
    monkeypatch.setattr(limits, "_MAX_REDUCED_FROM", 64 * 64)
    jpeg = encode(LARGE, "JPEG")
    assert decode(jpeg, ImagePreprocessing((16, 16)), 0).shape == (16, 16, 3)
    for too_large in [
        encode(LARGE, "PNG"),  # cannot be reduced
        encode(LARGE, "JPEG", progressive=True),  # keeps all coefficients
        encode(LARGE.resize((65, 64)), "JPEG"),  # beyond the second bound
    ]:
        with pytest.raises(ImageReadError, match=r"its header announces 6[45]x64 pixels"):
            decode(too_large, ImagePreprocessing((16, 16)), 0)
    with pytest.raises(ImageReadError, match="at most 1,024 are decoded"):
        decode(jpeg, ImagePreprocessing((33, 33)), 0)


def test_the_bounds_of_files_hold_for_pil_images_of_files(monkeypatch):
    monkeypatch.setattr(limits, "MAX_PIXELS", 32 * 32)
    of_a_file = Image.open(io.BytesIO(encode(LARGE, "PNG")))
    with pytest.raises(ImageReadError, match="at most 1,024 are decoded"):
        decode(of_a_file, ImagePreprocessing((16, 16)), 0)
    with pytest.raises(ImageReadError, match="at most 1,024 are decoded"):
        decoding.pil_digest(of_a_file, 0)
    in_memory = decode(LARGE, ImagePreprocessing((16, 16)), 0)
    assert in_memory.shape == (16, 16, 3)


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "BMP", "JPEG", "PPM"])
def test_a_bomb_gives_an_error_and_no_warning(file_format):
    bomb = announcing(10_000, 10_000, file_format)  # Pillow would warn and go on
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ImageReadError):
            decode(bomb, ImagePreprocessing((8000, 8000)), 0)
    assert not seen


def test_no_setting_of_pillow_is_touched():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK)
    for kind in FILES.values():
        decode(kind.X[0], ImagePreprocessing((4, 4)), 0)
    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK)
    assert after == before


def test_a_limit_that_the_user_lowered_does_not_matter(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    np.testing.assert_array_equal(decode(PNG, ImagePreprocessing((H, W)), 0), RGB)


def test_out_of_memory_is_not_an_unreadable_image(monkeypatch):
    def exhausted(*_args):
        raise MemoryError

    monkeypatch.setattr(decoding, "_read_file", exhausted)
    with pytest.raises(MemoryError):
        decode(PNG, ImagePreprocessing((4, 4)), 0)


# A few rows at a time ----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(7, 5), (20, 90), (23, 31)])
def test_how_many_rows_are_converted_together_changes_no_bit(monkeypatch, size, how):
    """Also where an image is turned by its orientation, and its rows are stored as columns."""
    deep = np.random.default_rng(0).integers(0, 65536, (23, 31), dtype=np.uint16)
    opaque_above = np.repeat(np.repeat(RGBA, 4, axis=0), 4, axis=1)
    opaque_above[:12, :, 3] = 255
    sources = [opaque_above, opaque_above[..., :3], deep, encode(deep, "PNG")]
    sources += [encode(opaque_above, "PNG"), encode(with_palette(transparency=3), "PNG")]
    for orientation in range(1, 9):
        stored = turned(orientation, opaque_above)
        sources.append(encode(stored, "PNG", exif=exif(orientation)))
    rule = ImagePreprocessing(size, how)
    monkeypatch.setattr(resizing, "_PIXELS_TOGETHER", 23 * 31 - 1)
    many = [decode(source, rule, 0) for source in sources]
    monkeypatch.setattr(resizing, "_PIXELS_TOGETHER", 70)
    for source, expected in zip(sources, many, strict=True):
        np.testing.assert_array_equal(decode(source, rule, 0), expected)


# Warnings of Pillow ------------------------------------------------------------------------

# 12 tags are announced, and none is there.
DAMAGED_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x0c\1\x12\0\3"


def test_pillow_warns_of_damaged_metadata():
    """Or there would be nothing to silence."""
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        Image.open(io.BytesIO(encode(RGB, "JPEG", exif=DAMAGED_EXIF)))


@pytest.mark.parametrize("action", ["error", "always", "default", "ignore"])
def test_warnings_of_pillow_are_not_heard_and_decide_nothing(action):
    damaged = encode(RGB, "JPEG", exif=DAMAGED_EXIF)
    plain = decode(encode(RGB, "JPEG"), ImagePreprocessing((H, W)), 0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter(action)
        np.testing.assert_array_equal(decode(damaged, ImagePreprocessing((H, W)), 0), plain)
    assert not seen


def test_other_warnings_are_heard_meanwhile():
    """Those of another thread, and of this one before and after."""
    inside, heard = threading.Event(), threading.Event()

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        reader = threading.Thread(target=_read_slowly, args=(inside, heard))
        reader.start()
        inside.wait(10)
        warnings.warn("PIL is not all that warns", UserWarning, stacklevel=1)
        heard.set()
        reader.join()
        decode(PNG, ImagePreprocessing((H, W)), 0)
        warnings.warn("and afterwards", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in seen] == [
        "PIL is not all that warns",
        "and afterwards",
    ]


def _read_slowly(inside, heard):
    with without_warnings():
        inside.set()
        heard.wait(10)
        warnings.warn("of the reading thread", UserWarning, stacklevel=1)


def test_filters_do_not_pile_up():
    with warnings.catch_warnings():
        for action in ["error", "always", "error", "always"]:
            warnings.simplefilter(action)
            decode(PNG, ImagePreprocessing((H, W)), 0)
        n_filters = len(warnings.filters)
        warnings.simplefilter("error")
        decode(PNG, ImagePreprocessing((H, W)), 0)
        assert len(warnings.filters) == n_filters


# Threads -----------------------------------------------------------------------------------


def test_one_lazy_image_in_many_rows_is_read_by_many_threads():
    image = Image.open(io.BytesIO(encode(LARGE, "PNG")))
    source, rule = read_images([image] * 16), ImagePreprocessing((64, 64))
    results = [None] * 16

    def read(i):
        results[i] = source.load(i, rule)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, np.asarray(LARGE))


def test_the_users_pil_image_stays_as_it_was():
    image = tagged(with_palette(transparency=3), 6)
    decode(image, ImagePreprocessing((4, 4)), 0)
    assert image.mode == "P"
    assert image.size == (W, H)
    assert image.info["transparency"] == 3
    assert image.getexif()[ORIENTATION] == 6


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
def test_nothing_becomes_whiter_than_white(how):
    """Weights rounded to float32 may sum to a little more than 1."""
    sizes = [(height, width) for height in range(30, 60, 3) for width in range(30, 60, 4)]
    whites = [np.full((*size, 3), 255, np.uint8) for size in sizes]
    assert max(resize(white, (22, 24), how).max() for white in whites) > 255
    for white in whites:
        assert 254.999 < decode(white, ImagePreprocessing((22, 24), how), 0).max() <= 255
