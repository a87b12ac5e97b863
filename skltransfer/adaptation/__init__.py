"""Adaptation to a target domain without labels: to the rows that will be predicted."""
