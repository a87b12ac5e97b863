"""Folders of class folders."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skltransfer._warnings import UnreadableImagesWarning
from skltransfer.inputs.images.folders import images_from_folder
from skltransfer.inputs.images.preprocessing import ImagePreprocessing
from skltransfer.inputs.images.recognition import looks_like_images
from skltransfer.inputs.images.taking import read_images


def make(root, *names):
    for name in names:
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path, "PNG")


def listed(root, **settings):
    found = images_from_folder(root, **settings)
    names = [Path(path).relative_to(root).as_posix() for path in found.data]
    return names, found.target.tolist(), found.target_names


def test_paths_and_labels(tmp_path):
    make(tmp_path, "dog/2.png", "dog/1.png", "cat/3.png", "Ant/9.png")
    assert listed(tmp_path) == (
        ["Ant/9.png", "cat/3.png", "dog/1.png", "dog/2.png"],
        [0, 1, 2, 2],
        ["Ant", "cat", "dog"],
    )


def test_the_result_goes_straight_into_an_estimator(tmp_path):
    make(tmp_path, "cat/1.png", "dog/1.png", "dog/2.png")
    found = images_from_folder(tmp_path)
    assert found.data.dtype == object
    assert found.data.shape == found.target.shape == (3,)
    assert np.issubdtype(found.target.dtype, np.integer)
    assert all(type(path) is str for path in found.data)
    fold = found.data[np.array([2, 0])]
    assert looks_like_images(fold)
    assert read_images(fold).load(0, ImagePreprocessing((2, 2))).shape == (2, 2, 3)


def test_folders_within_a_class_belong_to_it(tmp_path):
    make(tmp_path, "cat/b.png", "cat/a/2.png", "cat/a/1.png", "cat/c/d/3.png")
    names = ["cat/a/1.png", "cat/a/2.png", "cat/b.png", "cat/c/d/3.png"]
    assert listed(tmp_path) == (names, [0] * 4, ["cat"])


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    make(tmp_path, "cat/1.png", "cat/._1.png", "cat/.cache/2.png", ".git/3.png", ".DS_Store")
    assert listed(tmp_path) == (["cat/1.png"], [0], ["cat"])


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "gif", "bmp", "tiff", "TIF", "webp"])
def test_endings_count_in_either_case(tmp_path, ending):
    make(tmp_path, f"cat/1.{ending}")
    assert len(images_from_folder(tmp_path).data) == 1


def test_files_that_are_left_out_are_counted(tmp_path):
    make(tmp_path, "cat/1.png", "cat/notes.txt", "cat/deep/Thumbs.db", "stray.png")
    told = r"leaves out 3 files below .*; the first is 'cat/deep/Thumbs\.db'\. A file counts"
    with pytest.warns(UserWarning, match=told):
        names, _, _ = listed(tmp_path)
    assert names == ["cat/1.png"]


@pytest.mark.parametrize(("n_files", "told"), [(1, "1 file below"), (1200, "1,200 files below")])
def test_a_number_agrees_with_what_it_counts(tmp_path, n_files, told):
    make(tmp_path, "cat/1.png")
    for number in range(n_files):
        (tmp_path / f"{number}.txt").touch()
    with pytest.warns(UserWarning, match=f"^images_from_folder leaves out {told}"):
        found = images_from_folder(tmp_path)
    assert repr(found).startswith("1 image in 1 class\n")


def test_an_empty_class_keeps_its_number(tmp_path):
    make(tmp_path, "ant/1.png", "dog/1.png")
    (tmp_path / "cat").mkdir()
    with pytest.warns(UserWarning, match="Class folders without images: cat. They keep"):
        assert listed(tmp_path)[1:] == ([0, 2], ["ant", "cat", "dog"])


def test_roots_may_be_relative_or_in_the_home_folder(tmp_path, monkeypatch):
    make(tmp_path, "pets/cat/1.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert images_from_folder("pets").data.tolist() == [os.path.join("pets", "cat", "1.png")]
    assert images_from_folder("~/pets").data.tolist() == [str(tmp_path / "pets" / "cat" / "1.png")]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_are_followed_but_not_in_circles(tmp_path):
    make(tmp_path, "data/cat/1.png", "elsewhere/2.png")
    (tmp_path / "data/cat/loop").symlink_to(tmp_path / "data/cat", target_is_directory=True)
    (tmp_path / "data/dog").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert listed(tmp_path / "data")[0] == ["cat/1.png", "dog/2.png"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"root='.*gone' does not exist. Give a folder of class"):
        images_from_folder(tmp_path / "gone")


def test_a_file_is_an_error(tmp_path):
    make(tmp_path, "cat.png")
    with pytest.raises(ValueError, match=r"root='.*cat\.png' is a file"):
        images_from_folder(tmp_path / "cat.png")


def test_images_without_class_folders_are_an_error(tmp_path):
    make(tmp_path, "1.png", "2.png")
    with pytest.raises(ValueError, match="no class folders: it holds 2 images directly"):
        images_from_folder(tmp_path)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"has no class folders: it holds no images\. Put"):
        images_from_folder(tmp_path)


def test_classes_without_any_image_are_an_error(tmp_path):
    make(tmp_path, "cat/notes.txt")
    with pytest.raises(
        ValueError,
        match=r"\(cat\) hold no images. Only files that end in one of these count: \.avif",
    ):
        images_from_folder(tmp_path)


# Chosen classes ----------------------------------------------------------------------------


def test_two_folders_have_the_same_numbers(tmp_path):
    make(tmp_path, "train/ant/1.png", "train/cat/2.png", "train/dog/3.png")
    make(tmp_path, "test/ant/4.png", "test/dog/5.png", "test/yak/6.png")
    train = images_from_folder(tmp_path / "train")
    names = train.target_names
    with pytest.warns(UserWarning, match=r"without images: cat\. They keep .* out of categories"):
        found = listed(tmp_path / "test", categories=names)
    assert found == (["ant/4.png", "dog/5.png"], [0, 2], names)


@pytest.mark.parametrize("of", [list, tuple, np.array])
def test_chosen_classes_are_numbered_in_their_order(tmp_path, of):
    make(tmp_path, "ant/1.png", "cat/2.png", "dog/3.png")
    found = listed(tmp_path, categories=of(["dog", "ant"]))
    assert found == (["dog/3.png", "ant/1.png"], [0, 1], ["dog", "ant"])


@pytest.mark.parametrize("categories", ["cat", [], ["cat", "cat"], ["Cat", "yak"], [3]])
def test_categories_are_different_names_of_folders(tmp_path, categories):
    make(tmp_path, "cat/1.png", "dog/1.png")
    told = f"categories={categories!r} is not allowed: give a list of different names"
    with pytest.raises(ValueError, match=rf"{re.escape(told)} .* are cat, dog\.$"):
        images_from_folder(tmp_path, categories=categories)


def test_a_folder_one_level_too_high_is_warned_of_once(tmp_path):
    make(tmp_path, *(f"{part}/{name}/1.png" for part in ["a", "b"] for name in ["cat", "dog"]))
    make(tmp_path, "other/1.png")
    told = r"one level too high: 'a' and 'b' .* a folder 'cat'\. .* images_from_folder\('.*a'\)"
    with pytest.warns(UserWarning, match=told) as caught:
        names, _, _ = listed(tmp_path)
    assert len(caught) == 1
    assert len(names) == 5
    listed(tmp_path, categories=["a", "b"])


def test_classes_that_sort_their_images_alike_are_no_level_too_high(tmp_path):
    make(tmp_path, "cat/images/1.png", "dog/images/1.png")
    make(tmp_path, "emu/1.png", "emu/old/1.png", "emu/new/1.png")
    make(tmp_path, "yak/old/1.png", "yak/new/1.png")
    listed(tmp_path)


# Checked files -------------------------------------------------------------------------------


@pytest.fixture
def messy(tmp_path):
    """Three readable images, and others that are broken in different ways."""
    make(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "dog" / "2.jpg")
    whole = (tmp_path / "dog" / "2.jpg").read_bytes()
    (tmp_path / "cat" / "3.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cat" / "4.jpg").write_bytes(b"")
    (tmp_path / "dog" / "5.jpg").write_bytes(b"<html>")
    (tmp_path / "dog" / "6.jpg").write_bytes(whole + b"a trailer, as some cameras write")
    return tmp_path


def test_a_check_leaves_out_what_cannot_be_read_and_lists_it(messy):
    told = (
        r"check=True leaves out 3 of 8 images as unreadable; the first is '.*3\.jpg': it is damaged"
    )
    with pytest.warns(UserWarning, match=told):
        found = images_from_folder(messy, check=True)
    names = [Path(path).relative_to(messy).as_posix() for path in found.data]
    assert names == ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.jpg", "dog/6.jpg"]
    assert found.target.tolist() == [0, 0, 1, 1, 1]
    reasons = {Path(path).name: reason for path, reason in found.unreadable.items()}
    assert list(reasons) == ["3.jpg", "4.jpg", "5.jpg"]
    assert reasons["4.jpg"] == "it is empty. Copy or download it again."
    assert "failed download" in reasons["5.jpg"]


def test_what_a_check_lets_pass_can_be_read(messy):
    with pytest.warns(UserWarning, match="3 of 8"):
        found = images_from_folder(messy, check=True)
    images, rule = read_images(found.data), ImagePreprocessing((2, 2))
    assert all(images.load(row, rule).shape == (2, 2, 3) for row in range(len(found.data)))


def test_only_the_ends_of_usual_files_are_read(messy, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        "skltransfer.inputs.images.file_check.decode", lambda path, *_: decoded.append(path)
    )
    with pytest.warns(UserWarning, match="2 of 8"):
        images_from_folder(messy, check=True, n_jobs=1)
    assert [Path(path).name for path in decoded] == ["3.jpg", "6.jpg"]


def test_a_check_of_good_files_says_nothing(tmp_path, capfd):
    make(tmp_path, "cat/1.png", "dog/2.png")
    assert images_from_folder(tmp_path, check=True).unreadable == {}
    assert capfd.readouterr() == ("", "")
    images_from_folder(tmp_path, check=True, verbose=1)
    assert re.search("checking images.*2/2", capfd.readouterr().err)


def test_a_class_of_which_nothing_is_left_is_told(tmp_path):
    make(tmp_path, "cat/1.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "1.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"Classes without a readable file: dog\. The"):
        images_from_folder(tmp_path, check=True)


def test_a_folder_without_a_readable_file_is_an_error(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"Of 1 image, none can be read; .* it is empty"):
        images_from_folder(tmp_path, check=True)


def test_a_check_tells_of_folders_within_classes(tmp_path):
    make(tmp_path, "cat/1.png", "cat/old/2.png", "dog/3.png")
    told = r"^Below .*, folders within class folders hold 1 image: cat 1\. Files .*\. If the inner"
    with pytest.warns(UserWarning, match=told):
        found = images_from_folder(tmp_path, check=True)
    assert found.in_subfolders == {"cat": 1}


def test_files_that_are_left_out_count_in_no_folder(tmp_path):
    make(tmp_path, "cat/1.png", "cat/old/2.png", "dog/3.png", "dog/old/4.png")
    (tmp_path / "cat" / "old" / "5.png").write_bytes(b"")
    (tmp_path / "dog" / "old" / "4.png").write_bytes(b"")
    with pytest.warns(UserWarning) as caught:
        found = images_from_folder(tmp_path, check=True)
    assert found.in_subfolders == {"cat": 1}
    assert repr(found).endswith("class folder: cat 1\nleft out, because they cannot be read: 2")
    assert "folders within class folders hold 1 image: cat 1." in str(caught[-1].message)


def test_the_warning_of_unreadable_files_can_be_caught_by_its_class(messy):
    with pytest.warns(UnreadableImagesWarning) as caught:
        found = images_from_folder(messy, check=True)
    everything = images_from_folder(messy).data
    assert [everything[row] for row in caught[0].message.rows] == list(found.unreadable)


# Order, labels and repr ----------------------------------------------------------------------


def test_shuffled_rows_keep_their_labels_and_depend_on_the_seed_alone(tmp_path):
    make(tmp_path, *(f"{name}/{number}.png" for name in ("cat", "dog") for number in range(8)))
    names, target, _ = listed(tmp_path, shuffle=True)
    assert names != sorted(names)
    assert [name.partition("/")[0] for name in names] == [["cat", "dog"][i] for i in target]
    assert listed(tmp_path, shuffle=True)[0] == names
    assert listed(tmp_path, shuffle=True, random_state=1)[0] != names
    assert sorted(names) == listed(tmp_path)[0]


def test_labels_may_be_names(tmp_path):
    make(tmp_path, "cat/1.png", "dog/2.png")
    assert listed(tmp_path, labels="names")[1:] == (["cat", "dog"], ["cat", "dog"])
    with pytest.raises(ValueError, match=r"labels='name' is not allowed: give 'numbers', for"):
        images_from_folder(tmp_path, labels="name")


@pytest.mark.parametrize("labels", ["numbers", "names"])
def test_the_repr_counts_the_images_of_each_class(tmp_path, labels):
    make(tmp_path, "cat/1.png", "cat/old/2.png", "panda/3.png")
    assert repr(images_from_folder(tmp_path, labels=labels)) == (
        "3 images in 2 classes\n"
        "  cat    2\n"
        "  panda  1\n"
        "of these in folders within a class folder: cat 1"
    )


def test_the_repr_of_many_classes_is_short_and_tells_what_was_left_out(tmp_path):
    make(tmp_path, *(f"{number:02}/1.png" for number in range(25)))
    (tmp_path / "00" / "2.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 26"):
        lines = repr(images_from_folder(tmp_path, check=True)).splitlines()
    assert lines[0] == "25 images in 25 classes"
    assert lines[-2:] == ["  … and 5 more", "left out, because they cannot be read: 1"]
    assert len(lines) == 23


def test_the_result_can_be_pickled(tmp_path):
    make(tmp_path, "cat/1.png")
    found = images_from_folder(tmp_path)
    assert repr(pickle.loads(pickle.dumps(found))) == repr(found)
