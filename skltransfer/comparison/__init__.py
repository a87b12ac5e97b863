"""Comparing backbones, layers and input sizes with each other and with a baseline."""
