"""Which program trains: one for each network, cut and shape of head, shared by all fits."""

from __future__ import annotations

from skltransfer.backend import holds_weights
from skltransfer.frozen.prefix import is_end
from skltransfer.network.runtime import Network
from skltransfer.training.head import Head
from skltransfer.training.head_step import HeadProgram
from skltransfer.training.train_step import Program


def program_for(network: Network, cut, head: Head, by_batch: bool, dropout: bool) -> Program:
    """The program, shared by every fit of the process that wants the same."""
    by_numpy = is_end(network, cut) and HeadProgram.serves(head) and not holds_weights()
    kind = HeadProgram if by_numpy else Program
    key = ("program", cut, head, by_batch, dropout)
    return network.part(key, lambda: kind(network, cut, head, by_batch, dropout))
