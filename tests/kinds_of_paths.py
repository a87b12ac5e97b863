"""Kinds of paths, read and refused. The folder of their files is the current one and the home."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pandas
import polars

from image_files import RGB, encode
from input_kinds import Table
from skltransfer.inputs.errors import ImageReadError

READ = Table()
REFUSED = Table()
PNG = encode(RGB, "PNG")


class Other(os.PathLike):
    """A path of another library's."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


def written(kind, name, folder):
    """Write the image under a name, and hand over its whole path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PNG)
    return kind([path])


def relative(name, folder):
    written(list, "cats/ü.png", folder)
    return [name]


def names(kind, paths):
    return kind([str(path) for path in paths])


def containers():
    for name, kind in {
        "list of str": partial(names, list),
        "list of Path": list,
        "list of other path-likes": lambda paths: list(map(Other, paths)),
        "tuple of Path": tuple,
        "array of str": partial(names, np.array),
        "object array of Path": partial(np.array, dtype=object),
        "array of one column": lambda paths: names(np.array, paths)[:, np.newaxis],
        "list of lists of one": lambda paths: [[path] for path in paths],
        "pandas Series of str": partial(names, pandas.Series),
        "pandas Series of Path": pandas.Series,
        "pandas Series of categories": lambda paths: names(pandas.Series, paths).astype("category"),
        "pandas frame": lambda paths: pandas.DataFrame({"file": list(map(str, paths))}),
        "polars Series": partial(names, polars.Series),
        "polars frame": lambda paths: polars.DataFrame({"file": list(map(str, paths))}),
    }.items():
        READ.accept(f"paths in a {name}", partial(written, kind, "cat.png"), RGB)


NAMES = ["ünïcødé 猫.png", "e\u0301.png", "with space.png", "no_ending", "CAT.PNG", "a'b.png"]
NAMES += ["cat.jpg", ".hidden.png", "a/b/c/d.png", "#1%20.png", "-o.png"]
RELATIVE = ["cats/ü.png", "./cats/ü.png", "cats/../cats/ü.png", "~/cats/ü.png"]
RELATIVE += [Path("cats/ü.png"), Path("~/cats/ü.png"), np.str_("cats/ü.png")]
URLS = ["https://example.org/cat.jpg", "HTTP://EXAMPLE.ORG/CAT.JPG", "s3://bucket/cat.jpg"]
URLS += ["gs://bucket/cat.jpg", "ftp://example.org/cat.jpg", "file:///cat.jpg"]


def spellings():
    for name in NAMES:
        READ.accept(f"path {name!r}", partial(written, list, name), RGB)
    for name in RELATIVE:
        READ.accept(f"relative {name!r}", partial(relative, name), RGB)
    if os.name == "posix":
        READ.accept("path of a link", linked, RGB)
        READ.accept("path that is no UTF-8", partial(written, list, os.fsdecode(b"\xff.png")), RGB)


def linked(folder):
    written(list, "cat.png", folder)
    (folder / "link.png").symlink_to("cat.png")
    return ["link.png"]


def refuse(name, path, message):
    """A row after a good one, so that the row that is named can be seen to be the right one."""

    def two(folder):
        return [*written(list, "good.png", folder), path(folder) if callable(path) else path]

    REFUSED.refuse(name, two, ImageReadError, message)


def file_of(content, folder):
    (folder / "it.jpg").write_bytes(content)
    return "it.jpg"


def not_files():
    for url in URLS:
        refuse(f"URL {url}", url, r"it is a URL, and nothing is downloaded\. Download it first\.$")
    refuse("an empty path", "", r"the path is empty\. Give the path of an image file\.$")
    refuse("a null character", "a\0b.jpg", "the path holds a null character")
    refuse("a missing file", "gone/cat.jpg", "there is no such file. Check the path and the work")
    refuse("no such home", "~nobody-of-that-name/cat.jpg", "there is no such file")
    refuse("a line break", "good.png\n", r"'good\.png\\n'.* there is no such file")
    refuse("a folder", ".", "it is a directory. List its files, or use images_from_folder")
    refuse("a device", os.devnull, "it is not a regular file. Give the path of an image file")
    too_long = r"the system cannot open it \(.*\)\. Check the path"
    refuse("a path that is far too long", "x" * 100_000, too_long)
    for name, item in {"None": None, "NaN": float("nan"), "NA": pandas.NA}.items():
        missing = r"\(a missing value\) .* there is no value\. Fill it in, or leave the row out"
        refuse(f"{name} among paths", lambda folder, item=item: item, missing)


def not_images():
    for name, content, message in [
        ("an empty file of an image", b"", r"it is empty\. Copy or download it again"),
        ("text named .jpg", b"hello, world", r"it is text of no known image format"),
        ("a page named .jpg", b"<!DOCTYPE html><title>404</title>", r"it is text \(HTML or XML\)"),
        ("a torn file", PNG[:100], r"it is damaged or truncated"),
    ]:
        refuse(name, partial(file_of, content), message)


containers()
spellings()
not_files()
not_images()
