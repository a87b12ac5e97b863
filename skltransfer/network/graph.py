"""A Keras model seen as a graph: flattened, put in order and named.

This module knows operations and tensors. Where it may be frozen is decided in ``freeze_points``;
how a piece is run, in ``engines``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from skltransfer.backbones.functional_models import check_one_input_and_output, has_graph
from skltransfer.backbones.layer_names import fresh_names

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor, Operation, Variable
    from keras.src.ops.node import Node


@dataclass(frozen=True)
class Step:
    """One operation of a flattened model, under a name of its own."""

    name: str
    node: Node

    @property
    def operation(self) -> Operation:
        """The Keras layer or operation that is called."""
        return self.node.operation

    @property
    def inputs(self) -> tuple[KerasTensor, ...]:
        """Tensors that the call reads."""
        return tuple(self.node.input_tensors)

    @property
    def outputs(self) -> tuple[KerasTensor, ...]:
        """Tensors that the call makes."""
        return tuple(self.node.outputs)

    @property
    def output(self) -> KerasTensor:
        """The first (nearly always the only) tensor that the operation makes."""
        return self.outputs[0]

    @property
    def weights(self) -> list[Variable]:
        """Variables that the operation owns; plain operations own none."""
        return list(getattr(self.operation, "weights", ()))

    @property
    def has_mask(self) -> bool:
        """Whether Keras sends a mask along with the output, which later layers look at."""
        return getattr(self.output, "_keras_mask", None) is not None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of one row of the output."""
        return tuple(self.output.shape[1:])


@dataclass(frozen=True)
class Graph:
    """The steps from one tensor to another in topological order; see `graph_of`.

    Attributes
    ----------
    input : keras.KerasTensor
        What the first steps read.
    steps : tuple of Step
        All operations; the last one makes the output.
    """

    input: KerasTensor
    steps: tuple[Step, ...]

    @property
    def output(self) -> KerasTensor:
        """What the last step makes."""
        return self.steps[-1].output

    @cached_property
    def position(self) -> dict[str, int]:
        """Index of each step by its name."""
        return {step.name: index for index, step in enumerate(self.steps)}

    @cached_property
    def producers(self) -> tuple[tuple[int, ...], ...]:
        """For each step, the indices of the steps whose outputs it reads."""
        made_by = {id(t): index for index, step in enumerate(self.steps) for t in step.outputs}
        return tuple(
            tuple(made_by[id(tensor)] for tensor in step.inputs if id(tensor) in made_by)
            for step in self.steps
        )

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each step, the indices of the steps that read its output."""
        readers: list[list[int]] = [[] for _ in self.steps]
        for index, producers in enumerate(self.producers):
            for producer in producers:
                readers[producer].append(index)
        return tuple(map(tuple, readers))

    @cached_property
    def bottlenecks(self) -> tuple[int, ...]:
        """Steps whose output is the only tensor that the later steps read."""
        reach, found = self._last_read_of_input(), []
        for index, readers in enumerate(self.consumers):
            if reach <= index and len(self.steps[index].outputs) == 1:
                found.append(index)
            reach = max(reach, *readers, -1)
        return tuple(found)

    @cached_property
    def separations(self) -> tuple[int, ...]:
        """Bottlenecks that nothing passes but one tensor: no mask, and no weights of both sides."""
        last_use = {id(w): i for i, step in enumerate(self.steps) for w in step.weights}
        reach, apart = -1, set()
        for index, step in enumerate(self.steps):
            reach = max(reach, *(last_use[id(w)] for w in step.weights), -1)
            if reach <= index and not step.has_mask:
                apart.add(index)
        return tuple(index for index in self.bottlenecks if index in apart)

    def _last_read_of_input(self) -> int:
        readers = [i for i, s in enumerate(self.steps) if any(t is self.input for t in s.inputs)]
        return max(readers, default=-1)

    def position_of(self, tensor: KerasTensor) -> int:
        """Index of the step that makes `tensor`."""
        return next(i for i, step in enumerate(self.steps) if step.output is tensor)

    def until(self, stop: int) -> Graph:
        """The steps up to the bottleneck `stop`, under the same names."""
        return Graph(self.input, self.steps[: stop + 1])

    def ancestors_of(self, stop: int) -> Graph:
        """The steps that the step `stop` is computed from, itself the last, under the same names.

        Of a bottleneck these are all up to it.
        """
        if stop in self.bottlenecks:
            return self.until(stop)
        needed, waiting = set(), [stop]
        while waiting:
            index = waiting.pop()
            if index not in needed:
                needed.add(index)
                waiting.extend(self.producers[index])
        return Graph(self.input, tuple(self.steps[index] for index in sorted(needed)))


def keras_class(operation: Operation) -> str | None:
    """Name of the class of a layer or operation of Keras; None for one of somebody else's make.

    A class that is made of one of Keras' may compute something else under the same name.
    """
    kind = type(operation)
    return kind.__name__ if kind.__module__.partition(".")[0] == "keras" else None


def graph_of(
    model: keras.Model, input_shape: tuple[int, ...] | None = None, *, renumber: bool = False
) -> Graph:
    """See `model` as a graph, nested models flattened.

    Layers are shared with `model`, and steps have their names. Where nested models use one name
    twice, the later layer's step has a number appended, so that a name means one step.

    Parameters
    ----------
    model : keras.Model
        A functional or sequential model with one input and one output.
    input_shape : tuple of int, default=None
        Shape of one row, (h, w, c). None: the model's own.
    renumber : bool, default=False
        Whether layers that nobody has named get the names that they have in a fresh process.

    Raises
    ------
    ValueError
        When the model has no graph, several inputs or outputs, or does not take `input_shape`.
    """
    check_one_input_and_output(model)
    source, output = model.inputs[0], model.outputs[0]
    if _has_nested_graphs(model) or input_shape not in (None, tuple(source.shape[1:])):
        source, output = _rewritten(model, input_shape or source.shape[1:])
    steps = tuple(_named_steps([source], [output], renumber))
    if not steps or steps[-1].output is not output:
        raise ValueError(
            f"The model {model.name!r} does not end in a layer with one output, so there is no "
            "last feature map. End it with a layer that makes one tensor."
        )
    return Graph(source, steps)


def _rewritten(
    model: keras.Model, input_shape: tuple[int | None, ...]
) -> tuple[KerasTensor, KerasTensor]:
    """Input and output of `model` called anew on rows of `input_shape`, without nested models."""
    import keras

    source = keras.Input(input_shape, dtype=model.inputs[0].dtype)
    return source, _call_inlined(model, source)


def _has_nested_graphs(model: keras.Model) -> bool:
    import keras

    return isinstance(model, keras.Sequential) or any(map(has_graph, model.operations))


def _call_inlined(model: keras.Model, given: Any) -> Any:
    """Call every operation of `model`, and those of nested models in their place.

    What is `given` may be any structure of tensors, and so may be what comes out.
    """
    import keras

    if isinstance(model, keras.Sequential):
        if getattr(model, "inputs", None):
            (given,) = _by_input(model, given)
        for layer in model.layers:
            given = _call_one(layer, given)
        return given
    values = dict(zip(map(id, model.inputs), _by_input(model, given), strict=True))
    for node in ordered_nodes(model.inputs, model.outputs):
        arguments, options = node.arguments.fill_in(values)
        made = keras.tree.flatten(_call_one(node.operation, *arguments, **options))
        values.update(zip(map(id, node.outputs), made, strict=True))
    if len(model.outputs) == 1:
        return values[id(model.outputs[0])]
    return keras.tree.map_structure(lambda tensor: values[id(tensor)], model.output)


def _call_one(operation: Operation, *arguments: Any, **options: Any) -> Any:
    """Call a nested graph on the tensors that it reads, any other operation as it was called."""
    if has_graph(operation):
        return _call_inlined(operation, arguments[0] if arguments else options["inputs"])
    return operation(*arguments, **options)


def _in_whole_numbers_of(own: KerasTensor, tensor: KerasTensor) -> KerasTensor:
    """Cast `tensor` as Keras does for the input `own` of a model; layers cast floats themselves."""
    from keras import ops

    is_taken = own.dtype == tensor.dtype or "int" not in own.dtype
    return tensor if is_taken else ops.cast(tensor, own.dtype)


def _by_input(model: keras.Model, given: Any) -> list[KerasTensor]:
    """The tensors for a model's inputs, in their order, as Keras takes them from a structure.

    A dict goes by the names of the inputs, unless the model was made with a dict of its own. Keras
    passes over what is too much.
    """
    import keras

    was_made_with_a_dict = not isinstance(model, keras.Sequential) and isinstance(model.input, dict)
    if isinstance(given, dict) and not was_made_with_a_dict:
        given = [given[own.name] for own in model.inputs]
    return list(map(_in_whole_numbers_of, model.inputs, keras.tree.flatten(given)))


def ordered_nodes(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> Iterator[Node]:
    """Calls of operations between tensors, in topological order.

    Depth first and without recursion: large networks are deeper than Python's stack.
    """
    done = {id(_node_of(tensor)) for tensor in inputs}
    stack = [(_node_of(tensor), False) for tensor in reversed(outputs)]
    while stack:
        node, inputs_done = stack.pop()
        if id(node) in done:
            continue
        if inputs_done:
            done.add(id(node))
            yield node
            continue
        stack.append((node, True))
        stack.extend((_node_of(tensor), False) for tensor in reversed(node.input_tensors))


def _node_of(tensor: KerasTensor) -> Node:
    operation, node_index, _ = tensor._keras_history
    return operation._inbound_nodes[node_index]


def _named_steps(
    inputs: list[KerasTensor], outputs: list[KerasTensor], renumber: bool
) -> list[Step]:
    nodes = list(ordered_nodes(inputs, outputs))
    names = _step_names([node.operation for node in nodes], renumber)
    return [Step(name, node) for name, node in zip(names, nodes, strict=True)]


def _step_names(operations: list[Operation], renumber: bool) -> list[str]:
    """Names of the calls of operations, each once."""
    distinct = {id(operation): operation for operation in operations}
    if renumber:
        own = fresh_names((key, type(o).__name__, o.name) for key, o in distinct.items())
    else:
        own = _told_apart(distinct)
    names: dict[str, None] = {}
    calls: dict[int, int] = {}
    for operation in operations:
        call = calls[id(operation)] = calls.get(id(operation), 0) + 1
        name = own[id(operation)] if call == 1 else f"{own[id(operation)]}_call{call}"
        while name in names:
            name += "_"
        names[name] = None
    return list(names)


def _told_apart(operations: dict[int, Operation]) -> dict[int, str]:
    """Own names of operations; of several with one name, all but the first get a number."""
    own = {operation.name for operation in operations.values()}
    names: dict[str, int] = {}
    for key, operation in operations.items():
        name, number = operation.name, 0
        while name in names or (number and name in own):
            number += 1
            name = f"{operation.name}_{number}"
        names[name] = key
    return {key: name for name, key in names.items()}
