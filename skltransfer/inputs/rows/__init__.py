"""Rows of plain numbers, shown to image networks as small images."""
