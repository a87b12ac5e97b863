"""Which program trains: one for each network, cut and shape of head, shared by all fits."""

from __future__ import annotations

from skltransfer._backend import holds_weights
from skltransfer.network.head_program import HeadProgram
from skltransfer.network.heads import Head
from skltransfer.network.runtime import Network
from skltransfer.network.training import Program
from skltransfer.network.trunk import is_end


def program_for(network: Network, cut, head: Head, by_batch: bool, dropout: bool) -> Program:
    """The program, shared by every fit of the process that wants the same."""
    by_numpy = is_end(network, cut) and HeadProgram.serves(head) and not holds_weights()
    kind = HeadProgram if by_numpy else Program
    key = ("program", cut, head, by_batch, dropout)
    return network.part(key, lambda: kind(network, cut, head, by_batch, dropout))
