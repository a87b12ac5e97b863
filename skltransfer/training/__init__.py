"""Training of the head and of the layers above the freeze point."""
