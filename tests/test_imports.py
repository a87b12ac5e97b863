"""Imports go one way, heavy libraries are loaded late, and importing the package is quick."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import skltransfer

PACKAGE = Path(skltransfer.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# A part of the package may import parts of the lines above its own; what is on no line may import
# all of them, and nobody may import it.
ORDER = (
    {
        "_fields",
        "_last_used",
        "_numerics",
        "_processes",
        "_similar",
        "_tables",
        "_types",
        "progress",
    },
    {"_warnings"},
    {"backend"},
    {"cache", "inputs", "tasks"},
    {"backbones"},
    {"network"},
    {"frozen"},
    {"augmentation"},
    {"training"},
    {"adaptation"},
    {"exporting", "persistence"},
    {"estimators"},
    {"comparison", "displays", "extraction"},
)

BACKENDS = {"tensorflow", "jax", "torch"}
HEAVY = {
    *BACKENDS,
    "keras",
    "pandas",
    "polars",
    "matplotlib",
    "openvino",
    "rich",
    "h5py",
    "pyarrow",
}
SEES_KERAS = {
    "augmentation",
    "backbones",
    "backend",
    "exporting",
    "network",
    "persistence",
    "training",
}
# Of what comes in and what is learned, what is said of it in Keras' operations.
SAYS_IT_IN_KERAS = {
    "inputs/images/exported_input.py",
    "inputs/images/keras_input.py",
    "inputs/images/keras_resizing.py",
    "inputs/moments.py",
    "inputs/rows/keras_input.py",
    "inputs/sounds/encoding.py",
    "inputs/texts/encoding.py",
    "tasks/classification.py",
    "tasks/confusion.py",
    "tasks/multilabel.py",
    "tasks/regression.py",
}
SEES_NO_SCIKIT_LEARN = {"backend", "cache", "network"}


def part_of(module):
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(node):
    """Full names of what an import statement may load; those of `from p import m` too."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    return [f"{node.module}.{name.name}" for name in node.names]


def run(tree):
    """Nodes that are run; what stands under ``if TYPE_CHECKING`` loads nothing."""
    below = [tree]
    for node in below:
        yield node
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        below.extend(node.orelse if for_types else ast.iter_child_nodes(node))


def imports(module, nodes=ast.walk):
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return {name for node in nodes(tree) for name in imported(node)}


def libraries(module, nodes=ast.walk):
    return {name.partition(".")[0] for name in imports(module, nodes)}


def rank(part):
    ranks = [index for index, parts in enumerate(ORDER) if part in parts]
    return ranks[0] if ranks else len(ORDER)


def by_path(modules):
    return pytest.mark.parametrize(
        "module", modules, ids=[m.relative_to(PACKAGE).as_posix() for m in modules]
    )


@by_path([module for module in MODULES if part_of(module) != "__init__"])
def test_imports_go_one_way(module):
    own = part_of(module)
    ours = [name for name in imports(module) if name.startswith("skltransfer.")]
    others = {name.split(".")[1] for name in ours} - {own}
    above = set().union(*ORDER[: rank(own)])
    assert others <= above


@by_path(MODULES)
def test_keras_is_seen_where_networks_are(module):
    if part_of(module) not in SEES_KERAS:
        sees_it = module.relative_to(PACKAGE).as_posix() in SAYS_IT_IN_KERAS
        assert ("keras" in libraries(module, run)) == sees_it


@by_path(MODULES)
def test_what_keras_runs_on_is_seen_in_one_place(module):
    if part_of(module) != "backend":
        assert libraries(module).isdisjoint(BACKENDS)


@by_path(MODULES)
def test_scikit_learn_is_not_seen_below_the_estimators(module):
    if part_of(module) in SEES_NO_SCIKIT_LEARN:
        assert "sklearn" not in libraries(module)


@by_path(MODULES)
def test_heavy_libraries_are_imported_where_they_are_used(module):
    """Only inside functions: importing a module of the package loads none of them."""
    assert libraries(module, ast.iter_child_nodes).isdisjoint(HEAVY)


# Law 10 ----------------------------------------------------------------------------------------

LOADS_NOTHING = """
import sys, time
start = time.process_time()  # others may have the cores
import skltransfer
seconds = time.process_time() - start
from sklearn.base import clone
from skltransfer import PretrainedFeatureExtractor
extractor = PretrainedFeatureExtractor(pooling="max", random_state=0)
clone(extractor).set_params(batch_size=8, weights=None).get_params()
repr(extractor), extractor._repr_html_(), dir(skltransfer)
loaded = {name.partition(".")[0] for name in sys.modules}
heavy = {"tensorflow", "jax", "torch", "keras", "polars", "h5py", "openvino", "matplotlib"}
print(seconds, *sorted(loaded & heavy))
"""


def test_import_construct_clone_repr_and_set_params_load_no_network_library(in_fresh_process):
    seconds, *loaded = in_fresh_process(LOADS_NOTHING)[0].split()
    assert loaded == []
    assert float(seconds) < 0.3


def test_public_names_are_there_and_others_are_not():
    for name in skltransfer.__all__:
        assert getattr(skltransfer, name).__name__ == name
    assert set(skltransfer.__all__) <= set(dir(skltransfer))
    with pytest.raises(AttributeError, match="no attribute 'PretrainedFeatureExtracter'"):
        skltransfer.PretrainedFeatureExtracter  # noqa: B018
