"""A Keras model as a graph: flattened, in topological order, with named steps.

A *step* is one call of a layer or operation. A *bottleneck* is a step whose output is the only
tensor that later steps read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from skltransfer.backbones.functional_models import check_one_input_and_output, has_graph
from skltransfer.backbones.layer_names import fresh_names
from skltransfer.network.keras_masks import carries_mask

_ANY_LENGTH = 8

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor, Operation, Variable
    from keras.src.ops.node import Node


@dataclass(frozen=True)
class Step:
    """One call of an operation in a flattened model, with a unique name."""

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
        """The first (almost always the only) tensor that the operation makes."""
        return self.outputs[0]

    @property
    def weights(self) -> list[Variable]:
        """Variables of the operation; plain operations have none."""
        return list(getattr(self.operation, "weights", ()))

    @property
    def mask(self) -> Any:
        """The mask that Keras attaches to the output for later layers, or None."""
        return getattr(self.output, "_keras_mask", None)

    @property
    def has_mask(self) -> bool:
        """Whether the output has a mask."""
        return self.mask is not None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of one row of the output."""
        return tuple(self.output.shape[1:])

    def called(self, tensors: dict[int, Any], **more: Any) -> list[Any]:
        """Call the operation in inference mode.

        `tensors` maps the id of each symbolic tensor to the tensor that replaces it. `more` are
        keyword arguments in addition to those in the model.
        """
        import keras

        arguments, options = self.node.arguments.fill_in(tensors)
        if getattr(self.operation, "_call_has_training_arg", False):
            options["training"] = False
        options.update(more)
        found: list[Any] = keras.tree.flatten(self.operation(*arguments, **options))
        return found


@dataclass(frozen=True)
class Graph:
    """Steps from one tensor to another in topological order; see `graph_of`.

    Attributes
    ----------
    input : keras.KerasTensor
        The tensor that the first steps read.
    steps : tuple of Step
        All operations; the last one makes the output.
    """

    input: KerasTensor
    steps: tuple[Step, ...]

    @property
    def output(self) -> KerasTensor:
        """The tensor that the last step makes."""
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
        """Steps whose output is the only tensor that later steps read."""
        return self.bottlenecks_beside(frozenset())

    def bottlenecks_beside(self, aside: frozenset[int]) -> tuple[int, ...]:
        """Return the bottlenecks that the graph has if the steps `aside` are ignored."""
        first = [i for i, s in enumerate(self.steps) if any(t is self.input for t in s.inputs)]
        reach = max((reader for reader in first if reader not in aside), default=-1)
        found = []
        for index, readers in enumerate(self.consumers):
            if index in aside:
                continue
            if reach <= index and len(self.steps[index].outputs) == 1:
                found.append(index)
            reach = max(reach, *(reader for reader in readers if reader not in aside), -1)
        return tuple(found)

    @cached_property
    def mask_steps(self) -> frozenset[int]:
        """Steps that compute masks from the input without weights, and steps that only these read.

        A mask says which positions of a row are valid.
        """
        free: set[int] = set()
        masks: set[int] = set()
        for index, (step, producers) in enumerate(zip(self.steps, self.producers, strict=True)):
            if not step.weights and free.issuperset(producers):
                free.add(index)
                if step.output.dtype == "bool" or not masks.isdisjoint(producers):
                    masks.add(index)
        for index in sorted(free - masks, reverse=True):
            if self.consumers[index] and masks.issuperset(self.consumers[index]):
                masks.add(index)
        return frozenset(masks)

    @cached_property
    def masked_steps(self) -> frozenset[int]:
        """Steps whose outputs carry a Keras mask.

        All steps are run to find them, because attention layers drop the masks of their inputs.
        """
        from keras import ops

        if not any(step.has_mask for step in self.steps):
            return frozenset()
        sides = [side or _ANY_LENGTH for side in self.input.shape[1:]]
        tensors = {id(self.input): ops.zeros((1, *sides), self.input.dtype)}
        found = set()
        for index, step in enumerate(self.steps):
            tensors.update(zip(map(id, step.outputs), step.called(tensors), strict=True))
            if carries_mask(tensors[id(step.output)]):
                found.add(index)
        return frozenset(found)

    @cached_property
    def shares_no_weights(self) -> frozenset[int]:
        """Steps that divide the graph: no weight is used on both sides of the step's output."""
        last_use = {id(w): i for i, step in enumerate(self.steps) for w in step.weights}
        reach, apart = -1, set()
        for index, step in enumerate(self.steps):
            reach = max(reach, *(last_use[id(w)] for w in step.weights), -1)
            if reach <= index:
                apart.add(index)
        return frozenset(apart)

    def position_of(self, tensor: KerasTensor) -> int:
        """Return the index of the step that makes `tensor`."""
        return next(i for i, step in enumerate(self.steps) if step.output is tensor)

    def until(self, stop: int) -> Graph:
        """Return the steps up to the bottleneck `stop`, under the same names."""
        return Graph(self.input, self.steps[: stop + 1])

    def ancestors_of(self, stop: int) -> Graph:
        """Return the steps that `stop` depends on and `stop` itself, under the same names.

        For a bottleneck, these are all steps up to it.
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
    """Return the class name of a Keras layer or operation; None for a third-party one.

    A subclass of a Keras class may compute something else under the same name.
    """
    kind = type(operation)
    return kind.__name__ if kind.__module__.partition(".")[0] == "keras" else None


def graph_of(
    model: keras.Model, input_shape: tuple[int, ...] | None = None, *, renumber: bool = False
) -> Graph:
    """Return `model` as a graph, with nested models flattened.

    Layers are shared with `model`, and steps are named after them. If layers of nested models have
    the same name, a number is appended to all but the first.

    Parameters
    ----------
    model : keras.Model
        A functional or sequential model with one input and one output.
    input_shape : tuple of int, default=None
        Shape of one row, (h, w, c); None is the model's own.
    renumber : bool, default=False
        Whether automatically named layers get the names that they have in a fresh process.

    Raises
    ------
    ValueError
        If the model has no graph, if it has several inputs or outputs, or if it does not take
        `input_shape`.
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
    """Call `model` on rows of `input_shape` and inline nested models; return input and output."""
    import keras

    source = keras.Input(input_shape, dtype=model.inputs[0].dtype)
    return source, _call_inlined(model, source)


def _has_nested_graphs(model: keras.Model) -> bool:
    import keras

    return isinstance(model, keras.Sequential) or any(map(has_graph, model.operations))


def _call_inlined(model: keras.Model, given: Any) -> Any:
    """Call every operation of `model`; in place of a nested model, call its operations.

    `given` may be any structure of tensors, and so may the result.
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
    """Inline a nested model; call any other operation with the given arguments."""
    if has_graph(operation):
        return _call_inlined(operation, arguments[0] if arguments else options["inputs"])
    return operation(*arguments, **options)


def _in_whole_numbers_of(own: KerasTensor, tensor: KerasTensor) -> KerasTensor:
    """Cast `tensor` to the dtype of a model's input `own` if this is an integer, as Keras does."""
    from keras import ops

    is_taken = own.dtype == tensor.dtype or "int" not in own.dtype
    return tensor if is_taken else ops.cast(tensor, own.dtype)


def _by_input(model: keras.Model, given: Any) -> list[KerasTensor]:
    """Return the tensors for a model's inputs in order, as Keras takes them from a structure.

    A dict is matched by the names of the inputs, unless the model was built with a dict of inputs.
    Extra entries are ignored.
    """
    import keras

    was_made_with_a_dict = not isinstance(model, keras.Sequential) and isinstance(model.input, dict)
    if isinstance(given, dict) and not was_made_with_a_dict:
        given = [given[own.name] for own in model.inputs]
    return list(map(_in_whole_numbers_of, model.inputs, keras.tree.flatten(given)))


def ordered_nodes(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> Iterator[Node]:
    """Yield the calls of operations from `inputs` to `outputs`, in topological order.

    The search is not recursive, because a large network would exceed Python's recursion limit.
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
    """Return a unique name for each call of an operation."""
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
    """Return the names of operations; where names are equal, all but the first get a number."""
    own = {operation.name for operation in operations.values()}
    names: dict[str, int] = {}
    for key, operation in operations.items():
        name, number = operation.name, 0
        while name in names or (number and name in own):
            number += 1
            name = f"{operation.name}_{number}"
        names[name] = key
    return {key: name for name, key in names.items()}
