"""Images of 67 megapixels and more: decoded reduced, or refused, in little memory."""

from __future__ import annotations

import json
import struct
import sys
import zlib

import pytest
from PIL import Image

from image_files import announcing, chunk

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no module resource")

READ = """
import json, resource, sys
from PIL import Image
from skltransfer.inputs.errors import ImageReadError
from skltransfer.inputs.images.decoding import decode
from skltransfer.inputs.images.preprocessing import ImagePreprocessing

def peak_megabytes():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

rule = ImagePreprocessing((224, 224))
decode(Image.new("RGBA", (300, 300)), rule, 0)  # loads what every image needs
before, told = peak_megabytes(), []
for path in sys.argv[1:]:
    try:
        pixels = decode(path, rule, 0)
        told.append([float(pixels[0, 0, 0]), float(pixels[-1, -1, 0])])
    except ImageReadError as error:
        told.append(str(error))
print(json.dumps([peak_megabytes() - before, told]))
"""


@pytest.fixture
def read(in_fresh_process):
    """What becomes of files, and by how many MB memory grew at its peak."""
    return lambda *paths: json.loads(in_fresh_process(READ, *paths)[0])


def save(path, mode, size, dark, light, **options):
    """A dark image whose lower half is light."""
    image = Image.new(mode, size, dark)
    image.paste(light, (0, size[1] // 2, *size))
    image.save(path, **options)
    return path


def deflated_bomb(path, n_bytes=400_000_000):
    """A PNG of 100 x 100 pixels, whose data go on for ever."""
    compressor = zlib.compressobj(9)
    million = b"\0" * 1_000_000
    data = b"".join(compressor.compress(million) for _ in range(n_bytes // len(million)))
    header = struct.pack(">IIBBBBB", 100, 100, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", data + compressor.flush())
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b""))
    return path


def test_a_jpeg_of_100_megapixels_is_decoded_reduced(read, tmp_path):
    jpeg = save(tmp_path / "large.jpg", "L", (10_000, 10_000), 10, 200)
    megabytes, (levels,) = read(jpeg)
    assert levels == pytest.approx([10, 200], abs=1e-3)
    assert megabytes < 30  # a 64th of the pixels; whole, they are 100 MB


def test_other_files_of_100_megapixels_are_refused_by_their_header(read, tmp_path):
    paths = [
        save(tmp_path / "large.png", "1", (10_000, 10_000), 0, 1),
        save(tmp_path / "large.tif", "1", (10_000, 10_000), 0, 1, compression="group4"),
        save(tmp_path / "progressive.jpg", "L", (10_000, 10_000), 10, 200, progressive=True),
    ]
    for name in ["PNG", "GIF", "BMP", "PPM", "JPEG"]:
        paths.append(tmp_path / f"bomb.{name}")
        paths[-1].write_bytes(announcing(65_500, 65_500, name))
    megabytes, told = read(*paths)
    for path, message in zip(paths, told, strict=True):
        size = "65,500x65,500" if "bomb" in path.name else "10,000x10,000"
        assert f"its header announces {size} pixels" in message
        assert message.endswith("Make it smaller, or cut it into tiles.")
    assert megabytes < 30


def test_a_small_image_of_much_compressed_data_takes_no_memory(read, tmp_path):
    megabytes, (levels,) = read(deflated_bomb(tmp_path / "bomb.png"))
    assert levels == [0, 0]
    assert megabytes < 30


def test_the_largest_file_with_alpha_stands_in_memory_once(read, tmp_path):
    size, dark, light = (8192, 8192), (10, 10, 10, 255), (0, 0, 0, 51)
    path = save(tmp_path / "largest.png", "RGBA", size, dark, light, compress_level=1)
    megabytes, (levels,) = read(path)
    assert levels == pytest.approx([10, 204], abs=1e-3)  # a fifth of black over white
    assert megabytes < 350  # 268 MB of pixels, and a band of floats
