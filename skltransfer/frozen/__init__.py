"""From rows of a source to activations at a freeze point."""
