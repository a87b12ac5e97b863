"""Rows of plain numbers, presented to image networks as small images."""
