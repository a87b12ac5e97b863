"""What the documentation shows runs: the README's code and the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

import skltransfer

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
def photos(tmp_path, monkeypatch):
    """A folder of class folders, in the current one: patches of scikit-learn's photographs."""
    monkeypatch.chdir(tmp_path)
    for name, picture in zip(["china", "flower"], load_sample_images().images, strict=True):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for left in range(0, 640, 107):
            Image.fromarray(picture[100:300, left : left + 107]).save(folder / f"{left}.jpg")


def test_the_code_in_the_readme_runs(photos, capsys):
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
