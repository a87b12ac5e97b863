"""The structure of the package: its modules, who imports whom, and how deep a fit goes.

Nothing is timed. The imports are read from the source: those of modules and within functions, but
not those for type checkers alone. ``from skltransfer.a import name`` counts as an import of
``skltransfer.a``, or of ``skltransfer.a.name`` where that is a module; what Python imports besides,
the packages that a module is in, does not count, nor does ``import skltransfer``.

The frames are those of the package on the stack when a fit asks the cache for rows and gives it
some: from ``fit`` to the method of the cache, both included.

Usage: ``python benchmarks/structure.py [--limits]``. With ``--limits`` it ends with 1 where the
structure exceeds what it is to keep to, and tells where.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import os
import statistics
import sys
import tempfile
import tokenize
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import skltransfer

PACKAGE = Path(skltransfer.__file__).parent
NAME = PACKAGE.name

MOST_PRIVATE_MODULES = 8
MOST_DEPTH = 14
MOST_FRAMES = 8

FOR_TYPES = {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
METHODS = ("gather", "put")
INLINED = {"<listcomp>", "<setcomp>", "<dictcomp>"}  # have frames in Python 3.11 only


class Call(NamedTuple):
    """A call of a method of the cache: the functions from `fit` on, or from a thread's first."""

    method: str
    stack: tuple[str, ...]
    in_thread: bool


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limits", action="store_true", help="end with 1 where one is exceeded")
    options = parser.parse_args()
    graph, calls = import_graph(), calls_of_a_fit()
    print_modules()
    print_imports(graph)
    print_calls(calls)
    if options.limits:
        found = [*exceeding_modules(), *exceeding_imports(graph), *exceeding_frames(calls)]
        print("", *(f"Exceeds: {line}" for line in found or ["nothing"]), sep="\n")
        sys.exit(bool(found))


# Modules ---------------------------------------------------------------------------------------


def files():
    """All modules' files."""
    return sorted(PACKAGE.rglob("*.py"))


def private_modules():
    """Names of the private modules that are in no folder of the package."""
    return sorted(path.stem for path in PACKAGE.glob("_*.py") if path.stem != "__init__")


def folders():
    """Folders that hold modules, those within others too."""
    return sorted({path.parent for path in files()} - {PACKAGE})


@cache
def tree_of(path):
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def lines_of(path):
    """How many lines a file has, by kind."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    documented = len(docstring_lines(tree_of(path)))
    comments = sum(
        token.type == tokenize.COMMENT and token.line.lstrip().startswith("#")
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
    )
    return {"all": len(lines), "docstrings": documented, "comments": comments}


def docstring_lines(tree):
    """Numbers of the lines of strings that stand alone: docstrings, those of constants too."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str)
        for line in range(node.lineno, node.end_lineno + 1)
    }


def function_lengths():
    """Lines of each function, docstring included and decorators left out."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    nodes = (node for path in files() for node in ast.walk(tree_of(path)))
    return [node.end_lineno - node.lineno + 1 for node in nodes if isinstance(node, kinds)]


# Imports ---------------------------------------------------------------------------------------


def import_graph():
    """For each module the modules of the package that it imports."""
    modules = {module_name(path): path for path in files()}
    del modules[NAME]  # its names are those of others, and nobody within the package uses them
    return {name: imported(path, modules) - {name} for name, path in modules.items()}


def module_name(path):
    """The name by which a file is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path, modules):
    """Which of `modules` a file imports."""
    names = {name for node in import_statements(tree_of(path)) for name in loaded(node, modules)}
    return names.intersection(modules)


def import_statements(node):
    """Import statements within a node, but for those that type checkers alone see."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    for child in node.orelse if is_for_types(node) else ast.iter_child_nodes(node):
        yield from import_statements(child)


def is_for_types(node):
    """Whether a node is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in FOR_TYPES


def loaded(node, modules):
    """Names of what an import statement loads; relative imports are banned."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    longer = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in modules else node.module for name in longer]


def circles(graph):
    """Modules that import each other, by way of others perhaps."""
    return sorted({group for group in groups(graph).values() if len(group) > 1})


def groups(graph):
    """For each module those it imports and is imported by, by way of others perhaps, and itself."""
    reached = {name: reachable(graph, name) for name in graph}
    return {
        name: tuple(sorted({name, *(other for other in reached[name] if name in reached[other])}))
        for name in graph
    }


def reachable(graph, start):
    """Modules that one module imports, by way of others perhaps."""
    found, waiting = set(), [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return found


def longest_chain(graph):
    """A longest chain of modules each of which imports the next; all of a circle count."""
    group_of = groups(graph)

    @cache
    def chain_from(group):
        below = {group_of[other] for name in group for other in graph[name]} - {group}
        return group + max(map(chain_from, sorted(below)), key=len, default=())

    return max(map(chain_from, sorted(set(group_of.values()))), key=len)


# Frames ----------------------------------------------------------------------------------------


def calls_of_a_fit():
    """Fit a small network, and note each call of the cache's methods."""
    import numpy as np

    from skltransfer import FineTunedClassifier
    from skltransfer.cache import ActivationCache

    first = inspect.unwrap(FineTunedClassifier.fit).__code__
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    calls = []
    methods = [getattr(ActivationCache, name) for name in METHODS]
    watched = {
        method.__name__: watching(method, partial(note, calls, method, first)) for method in methods
    }
    with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(ActivationCache, **watched):
        classifier = FineTunedClassifier(small_model(), epochs=1, cache=folder, random_state=0)
        classifier.fit(images, ["cat", "dog"] * 3)
    return calls


def small_model():
    """A network of 16 x 16 pixels, with weights in two stages."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(12, 3, strides=2, activation="relu"),
        ]
    )


def watching(method, note):
    """A method that tells `note` the frame of its caller, and does what it did."""

    def watched(*arguments, **named):
        note(sys._getframe(1))
        return method(*arguments, **named)

    return watched


def note(calls, method, first, frame):
    """Note a call from `frame`; where `first` is not on its stack, it is in a thread."""
    stack = described(method.__code__)
    while frame is not None and frame.f_code is not first:
        stack.extend(described(frame.f_code))
        frame = frame.f_back
    if frame is not None:
        stack.extend(described(first))
    calls.append(Call(method.__name__, tuple(reversed(stack)), in_thread=frame is None))


def described(code):
    """A function's name and file, in a list; nothing where it is not of the package."""
    path = Path(code.co_filename)
    if not path.is_relative_to(PACKAGE) or code.co_name in INLINED:
        return []
    return [f"{code.co_qualname} ({path.relative_to(PACKAGE).as_posix()})"]


def deepest(calls, method, in_thread=False):
    """The longest stack of the calls of a method; none where it was not called so."""
    found = (call.stack for call in calls if (call.method, call.in_thread) == (method, in_thread))
    return max(found, key=len, default=())


# Limits ----------------------------------------------------------------------------------------


def exceeding_modules():
    """What there is too much of at the top of the package."""
    private = private_modules()
    if len(private) > MOST_PRIVATE_MODULES:
        told = f"{len(private)} private modules at the top, {MOST_PRIVATE_MODULES} at most"
        yield f"{told}: {', '.join(private)}"


def exceeding_imports(graph):
    """Circles, and a chain that is too long."""
    chain = longest_chain(graph)
    if len(chain) > MOST_DEPTH:
        yield f"{len(chain)} modules import the next, {MOST_DEPTH} at most: {' > '.join(chain)}"
    for circle in circles(graph):
        yield f"a circle of imports: {', '.join(circle)}"


def exceeding_frames(calls):
    """Stacks that are too high, and methods of the cache that a fit no longer calls."""
    for method in METHODS:
        stack = max(deepest(calls, method), deepest(calls, method, in_thread=True), key=len)
        if len(stack) > MOST_FRAMES:
            yield f"{len(stack)} frames to {method}, {MOST_FRAMES} at most: {' > '.join(stack)}"
        if not stack:
            yield f"a fit that never calls {method}"


# Printing --------------------------------------------------------------------------------------


def print_modules():
    private, lengths = private_modules(), function_lengths()
    counts = [lines_of(path) for path in files()]
    total = {kind: sum(count[kind] for count in counts) for kind in counts[0]}
    at_the_top = sum(folder.parent == PACKAGE for folder in folders())
    print(f"Private modules at the top: {len(private)} ({', '.join(private)})")
    print(f"Folders: {len(folders())}, {at_the_top} of them at the top")
    print(f"Modules: {len(counts)} of {total['all']} lines, of them", end=" ")
    print(", ".join(f"{total[kind] / total['all']:.0%} {kind}" for kind in list(total)[1:]))
    highest = statistics.quantiles(lengths, n=10, method="inclusive")[-1]
    print(
        f"Functions: {len(lengths)}, of {statistics.median(lengths):.0f} lines in the median;",
        end=" ",
    )
    print(f"nine of ten have at most {highest:.0f}")


def print_imports(graph):
    chain, found = longest_chain(graph), circles(graph)
    print(f"Import depth: {len(chain)}")
    print_indented(chain)
    print(f"Circles of imports: {len(found)}")
    print_indented(", ".join(circle) for circle in found)


def print_calls(calls):
    for in_thread in (False, True):
        for method in METHODS:
            stack = deepest(calls, method, in_thread)
            if stack or not in_thread:
                where = "in a thread" if in_thread else "from fit"
                print(f"Frames {where} to {method}: {len(stack) or 'never called'}")
                print_indented(stack)


def print_indented(lines):
    for line in lines:
        print(f"    {line}")


if __name__ == "__main__":
    main()
