"""Weights of EfficientNet-Lite2; skltransfer finds them and imports nothing of this."""
