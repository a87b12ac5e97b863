"""What is run and trained: where it may be frozen, how its steps run."""
