"""What there is to choose from, and how it reads in a terminal and in a notebook."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass

import pytest

from conftest import make_tiny_model
from skltransfer import freeze_points, list_backbones, register_backbone
from skltransfer._tables import Table, column
from skltransfer.backbones.listing import Backbone
from skltransfer.frozen.freeze_points import FreezePoint


@dataclass(frozen=True)
class Animal:
    name: str = column("name", right=False)
    legs: int = column("legs", lambda legs: f"{legs:,}")


ANIMALS = Table([Animal("cat", 4), Animal("<millipede>", 1306), Animal("snake", 0)])

# Tables ----------------------------------------------------------------------------------------


def test_a_table_reads_as_aligned_text():
    assert repr(ANIMALS).splitlines() == [
        "name          legs",
        "cat              4",
        "<millipede>  1,306",
        "snake            0",
    ]


def test_text_at_the_end_of_a_line_leaves_no_spaces():
    @dataclass(frozen=True)
    class Turned:
        legs: int = column("legs")
        name: str = column("name", right=False)

    assert repr(Table([Turned(4, "cat"), Turned(6, "beetle")])).splitlines() == [
        "legs  name",
        "   4  cat",
        "   6  beetle",
    ]


def test_a_table_reads_as_html_in_which_texts_are_escaped():
    html = Table(ANIMALS[1:2])._repr_html_()
    assert html == (
        "<table><thead><tr><th>name</th><th>legs</th></tr></thead><tbody>"
        '<tr><td style="text-align: left">&lt;millipede&gt;</td>'
        '<td style="text-align: right">1,306</td></tr></tbody></table>'
    )


def test_an_empty_table_says_so():
    assert repr(Table()) == "(no rows)"
    assert Table()._repr_html_() == ("<table><thead><tr></tr></thead><tbody></tbody></table>")


def test_a_slice_of_a_table_is_a_table():
    for chosen in (slice(1), slice(1, None), slice(None, None, -1), slice(5, 9)):
        part = ANIMALS[chosen]
        assert type(part) is Table
        assert tuple(part) == tuple(ANIMALS)[chosen]
    assert repr(ANIMALS[1:][1:]).endswith("snake     0")


def test_an_index_of_a_table_is_a_row():
    assert ANIMALS[0] == Animal("cat", 4)
    assert ANIMALS[-1] == Animal("snake", 0)
    with pytest.raises(IndexError):
        ANIMALS[3]


def test_a_table_is_a_tuple_that_pickles():
    assert list(ANIMALS) == [ANIMALS[0], ANIMALS[1], ANIMALS[2]]
    assert isinstance(ANIMALS, tuple)
    points = freeze_points(measure=False)
    again = pickle.loads(pickle.dumps(points))
    assert type(again) is Table
    assert repr(again) == repr(points)


# Backbones -------------------------------------------------------------------------------------


def test_the_bundled_network_comes_first():
    assert list_backbones()[0] == Backbone("efficientnet_lite0", "bundled", (224, 224), 3_413_024)


def test_the_networks_of_keras_follow_in_alphabetic_order():
    names = [row.name for row in list_backbones() if row.source == "keras.applications"]
    assert names == sorted(names)
    assert {"ResNet50", "MobileNetV2", "EfficientNetB0"} <= set(names)


def test_registered_networks_come_last():
    model = make_tiny_model()
    register_backbone("of_the_catalogue", model)
    found = {row.name: row for row in list_backbones() if row.source == "registered"}
    expected = Backbone("of_the_catalogue", "registered", (16, 16), model.count_params())
    assert found["of_the_catalogue"] == expected
    assert list_backbones()[-1].source == "registered"


def test_backbones_read_as_a_table():
    lines = repr(list_backbones()[:2]).splitlines()
    assert lines[0].split() == ["backbone", "source", "input", "size", "parameters"]
    assert lines[1].startswith("efficientnet_lite0  bundled ")
    assert lines[1].endswith(" 224 x 224   3,413,024")
    assert len({len(line) for line in lines}) == 1
    assert "<td " in list_backbones()._repr_html_()


# Freeze points ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def points(tiny):
    return freeze_points(tiny)


def test_freeze_points_are_the_stages_from_the_input_on(points, tiny):
    assert [point.index for point in points] == [1, 2]
    assert [point.layer for point in points] == ["block", "top"]
    assert [point.shape for point in points] == [(8, 8, 8), (4, 4, 12)]
    assert [point.bytes for point in points] == [4 * 8 * 8 * 8, 4 * 4 * 4 * 12]


def test_parameters_of_stages_add_up(points, tiny):
    first, second = points
    assert first.frozen_parameters == first.parameters
    assert second.frozen_parameters == first.parameters + second.parameters
    assert second.frozen_parameters == make_tiny_model().count_params()
    lite = freeze_points(measure=False)
    assert lite[-1].frozen_parameters == list_backbones()[0].parameters


def test_times_add_up_and_are_nan_if_not_measured(points, tiny):
    assert 0 < points[0].milliseconds <= points[1].milliseconds
    unmeasured = freeze_points(tiny, measure=False)
    assert all(math.isnan(point.milliseconds) for point in unmeasured)
    assert repr(unmeasured).splitlines()[1].endswith(" -")


def test_freeze_points_read_as_a_table():
    text = repr(freeze_points(measure=False)[1:3]).splitlines()
    assert [" ".join(line.split()) for line in text] == [
        "freeze_depth last layer activation parameters frozen up to here KB/image ms/image",
        "2 block1a_project_bn 112 x 112 x 16 992 1,984 802.8 -",
        "3 block2b_add 56 x 56 x 24 15,024 17,008 301.1 -",
    ]


def test_the_size_of_images_may_be_chosen(tiny):
    larger = freeze_points(tiny, input_size=(32, 24), measure=False)
    assert [point.shape for point in larger] == [(16, 12, 8), (8, 6, 12)]
    assert isinstance(larger[0], FreezePoint)


@pytest.mark.parametrize("size", [96, (96,), (96.5, 96), (0, 96), "96"])
def test_what_is_no_size_is_refused(tiny, size):
    with pytest.raises(
        ValueError, match=r"input_size=.* must be None or positive ints \(height, w"
    ):
        freeze_points(tiny, input_size=size)


def test_an_unknown_network_is_refused_with_names_that_are_like_it():
    with pytest.raises(ValueError, match="'efficientnet_lite' is not .* 'efficientnet_lite0'"):
        freeze_points("efficientnet_lite", measure=False)
    with pytest.raises(ValueError, match="Did you mean .*'ResNet50'"):
        freeze_points("resnet52", measure=False)
