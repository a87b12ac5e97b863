"""Kinds of targets: class labels, several labels for each row, and numbers."""
