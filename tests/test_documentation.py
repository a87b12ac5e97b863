"""What the documentation shows runs: the README's code and the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile
from sklearn.datasets import load_sample_images

import skltransfer
from skltransfer.inputs.images import kind as images_kind

ROOT = Path(__file__).parents[1]
PACKAGE = Path(skltransfer.__file__).parent
WITH_EXAMPLES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def code_of(document):
    return re.findall(r"^```python\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def small_images(monkeypatch):
    """Where code gives no input_size, images have 64 x 64 pixels; the same calls take less time."""
    fit_images = images_kind.fit_images

    def fit_small_images(estimator, X, native_size, weights):
        return fit_images(estimator, X, (64, 64), weights)

    monkeypatch.setattr(images_kind, "fit_images", fit_small_images)


@pytest.fixture
def photos(tmp_path, monkeypatch, small_images):
    """A folder of class folders, in the current one: patches of scikit-learn's photographs."""
    monkeypatch.chdir(tmp_path)
    for name, image in zip(["china", "flower"], load_sample_images().images, strict=True):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for left in range(0, 640, 107):
            Image.fromarray(image[100:300, left : left + 107]).save(folder / f"{left}.jpg")
    return tmp_path


@pytest.fixture
def messy_photos(photos):
    """The same with broken files and others, as people collect them."""
    whole = (photos / "photos" / "china" / "0.jpg").read_bytes()
    (photos / "photos" / "china" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "photos" / "flower" / "empty.png").write_bytes(b"")
    (photos / "photos" / "flower" / "page.jpg").write_bytes(b"<!DOCTYPE html>")
    (photos / "photos" / "flower" / "notes.txt").write_bytes(b"from my holidays")


@pytest.fixture
def sounds(tmp_path):
    """A folder of class folders: tones that rise and fall, of three lengths."""
    for name, direction in (("yes", 1), ("no", -1)):
        folder = tmp_path / "sounds" / name
        folder.mkdir(parents=True)
        for number in range(3):
            seconds = np.arange(16_000 + 4_000 * number) / 16_000
            tone = np.sin(2 * np.pi * seconds * (800 + 300 * direction * seconds))
            wavfile.write(folder / f"{number}.wav", 16_000, (20_000 * tone).astype(np.int16))


@pytest.mark.filterwarnings("ignore:images_from_folder leaves out 1 file below:UserWarning")
@pytest.mark.filterwarnings("ignore:check=True leaves out 3 of 15 images:UserWarning")
def test_the_code_in_the_readme_runs_in_a_messy_folder(messy_photos, capsys):
    names = {}
    for code in code_of(ROOT / "README.md"):
        exec(compile(code, "README.md", "exec"), names)
    of_features, name, of_search = capsys.readouterr().out.split()
    assert 0.5 < float(of_features) <= 1
    assert 0.5 < float(of_search) <= 1
    assert name == "china"
    assert Path("photos.joblib").is_file()
    assert Path("photos.skltransfer").is_file()


def test_the_code_about_fine_tuning_runs(photos, capsys):
    for code in code_of(ROOT / "docs" / "fine_tuning.md"):
        exec(compile(code, "fine_tuning.md", "exec"), {})
    assert 0.5 < float(capsys.readouterr().out.split()[-1]) <= 1


PAGES = [
    ROOT / "docs" / "getting_started.md",
    *(page for page in sorted((ROOT / "docs" / "guide").glob("*.md")) if code_of(page)),
]
KERAS_COPIES_ARRAYS = "ignore:__array__ implementation:DeprecationWarning"


@pytest.mark.filterwarnings(KERAS_COPIES_ARRAYS)
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_code_of_the_guide_runs(page, photos, sounds):
    names = {}
    for code in code_of(page):
        exec(compile(code, page.name, "exec"), names)


@pytest.mark.about("tensorflow", reason="the recipe has Keras preprocess images within tf.data")
@pytest.mark.filterwarnings(KERAS_COPIES_ARRAYS, "ignore:.shuffle=True. was passed:UserWarning")
def test_the_recipe_of_the_textbook_and_ours_run(photos):
    """On small images, and with the bundled network in place of the one that is downloaded."""
    photos.joinpath("train").symlink_to("photos")
    photos.joinpath("test").symlink_to("photos")
    without_download = {
        "VGG16(": "VGG16(weights=None, ",
        "(224, 224": "(32, 32",
        '"VGG16",': '"efficientnet_lite0", input_size=(32, 32),',
        "epochs=5": "epochs=1",
    }
    keras_names, our_names = {}, {}
    for code in code_of(ROOT / "docs" / "from_the_textbook.md"):
        for told, instead in without_download.items():
            code = code.replace(told, instead)
        names = keras_names if code.startswith("# Keras") else our_names
        exec(compile(code, "from_the_textbook.md", "exec"), names)
    assert keras_names["accuracy"] <= 1
    assert our_names["accuracy"] > 0.5
    assert not keras_names["base"].get_layer("block4_conv3").trainable
    assert our_names["classifier"].freeze_depth == -1


def test_the_code_about_files_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("skops.io")
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in code_of(ROOT / "docs" / "persistence.md"):
        exec(compile(code, "persistence.md", "exec"), names)
    assert capsys.readouterr().out == "True\n"


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, attempted = doctest.testmod(module, optionflags=flags)
    assert attempted > 0
    assert failed == 0


def test_the_links_of_the_documents_lead_somewhere():
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
        assert [link for link in links if not (document.parent / link).exists()] == []
