"""The networks that can be passed by name."""

from __future__ import annotations

from dataclasses import dataclass

from skltransfer._tables import Table, column, joined, with_commas
from skltransfer.backbones import keras_applications as applications
from skltransfer.backbones.companions import COMPANIONS
from skltransfer.backbones.registry import registered_specs
from skltransfer.backbones.shipped import shipped_spec


@dataclass(frozen=True)
class Backbone:
    """One row of `list_backbones`.

    Attributes
    ----------
    name : str
        What to pass as ``backbone=``.
    source : {"bundled", "companion", "keras.applications", "registered"}
        Where the network comes from: the package, a companion distribution (such as
        ``./companions/minilm``), Keras (which downloads weights), or `register_backbone`.
    input_size : tuple of int
        Native (height, width) in pixels; empty for networks that read texts or sounds.
    parameters : int
        Number of weights without the classification top, including BatchNorm statistics.
    """

    name: str = column("backbone", right=False)
    source: str = column("source", right=False)
    input_size: tuple[int, ...] = column("input size", joined)
    parameters: int = column("parameters", with_commas)


def list_backbones() -> Table[Backbone]:
    """List the networks that ``backbone=`` accepts by name.

    Returns
    -------
    Table of Backbone
        An immutable sequence that prints as a table: the bundled networks, those of companions,
        those of ``keras.applications``, and those registered in this process. Neither Keras nor
        TensorFlow is loaded.

    See Also
    --------
    register_backbone : Adds your own network.
    freeze_points : Lists the stages of one network.

    Examples
    --------
    >>> from skltransfer import list_backbones
    >>> list_backbones()[0].name
    'efficientnet_lite0'
    """
    own = [shipped_spec(), shipped_spec("speech_embedding")]
    rows = [Backbone(spec.name, "bundled", spec.input_size, spec.n_parameters) for spec in own]
    rows += [
        Backbone(beside.backbone, "companion", beside.input_size, beside.n_parameters)
        for beside in COMPANIONS
    ]
    for name, known in sorted(applications.facts().items()):
        size = tuple(known["input_size"])
        rows.append(Backbone(name, "keras.applications", size, known["n_parameters"]))
    for spec in registered_specs():
        rows.append(Backbone(spec.name, "registered", spec.input_size, spec.n_parameters))
    return Table(rows)
