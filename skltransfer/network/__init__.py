"""What is run and trained: where to cut, who computes the frozen part, heads, training."""
