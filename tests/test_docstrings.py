"""Every public name has a complete page: numpydoc, true defaults, types, and a place in the API."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import FunctionDoc
from numpydoc.validate import validate

import skltransfer

ROOT = Path(__file__).parents[1]

# Of a method the class gives examples and related names; a summary may be all there is to say.
NOT_ASKED = {"ES01"}
NOT_ASKED_OF_METHODS = {"ES01", "EX01", "SA01"}


def public_methods():
    for name in skltransfer.__all__:
        found = getattr(skltransfer, name)
        if inspect.isclass(found):
            for member in dir(found):
                method = inspect.getattr_static(found, member)
                function = getattr(method, "__func__", method)
                ours = str(getattr(function, "__module__", "")).startswith("skltransfer")
                if member[:1] != "_" and callable(function) and ours:
                    yield f"{name}.{member}"


METHODS = sorted(public_methods())
NAMES = [*skltransfer.__all__, *METHODS]


def resolved(name):
    found = skltransfer
    for part in name.split("."):
        found = getattr(found, part)
    return found


def own_parameters(name):
    """Parameters with their defaults; `self` is not told."""
    found = inspect.signature(resolved(name)).parameters
    return {key: value for key, value in found.items() if key not in ("self", "cls")}


@pytest.mark.parametrize("name", NAMES)
def test_numpydoc_finds_nothing_missing(name):
    allowed = NOT_ASKED_OF_METHODS if name in METHODS else NOT_ASKED
    errors = [e for e in validate(f"skltransfer.{name}")["errors"] if e[0] not in allowed]
    assert errors == []


@pytest.mark.parametrize("name", NAMES)
def test_documented_defaults_are_those_of_the_signature(name):
    found = resolved(name)
    told = FunctionDoc(found)["Parameters"]
    documented = {name: p.type for p in told for name in p.name.split(", ")}
    for key, parameter in own_parameters(name).items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = re.search(r"default=(.+)$", documented[key])
        if parameter.default is parameter.empty:
            assert default is None, f"{key} has no default"
        elif documented[key] != "None":  # "y : None" is a default by itself
            assert default is not None, f"{key} has the default {parameter.default!r}"
            assert ast.literal_eval(default.group(1)) == parameter.default


@pytest.mark.parametrize("name", NAMES)
def test_all_that_a_public_name_takes_and_gives_has_a_type(name):
    signature = inspect.signature(resolved(name))
    untyped = [key for key, p in own_parameters(name).items() if p.annotation is p.empty]
    assert untyped == []
    if name in METHODS or not inspect.isclass(resolved(name)):
        assert signature.return_annotation is not signature.empty


# Parameters of the two fine-tuned estimators that do not mean quite the same.
DIFFER = {"early_stopping", "validation_fraction", "warm_start", "adaptation", "on_error"}


def test_the_fine_tuned_estimators_describe_their_common_parameters_alike():
    described = [
        {parameter.name: parameter.desc for parameter in FunctionDoc(estimator)["Parameters"]}
        for estimator in (skltransfer.FineTunedClassifier, skltransfer.FineTunedRegressor)
    ]
    common = set.intersection(*map(set, described)) - DIFFER
    assert len(common) > 25
    assert [name for name in sorted(common) if described[0][name] != described[1][name]] == []


def test_the_reference_lists_every_public_name():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^   (\w+)$", page, re.M)
    assert sorted(listed) == skltransfer.__all__


@pytest.mark.parametrize(
    "name", [n for n in skltransfer.__all__ if hasattr(getattr(skltransfer, n), "get_params")]
)
def test_the_html_of_an_estimator_links_to_its_page(name):
    from skltransfer.estimators.documentation import DOCUMENTATION

    link = f"{DOCUMENTATION}/generated/skltransfer.{name}.html"
    estimator = getattr(skltransfer, name)()
    assert link in estimator._repr_html_()
