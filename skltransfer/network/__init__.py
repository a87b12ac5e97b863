"""Networks as graphs: where they may be frozen, how their steps run."""
