"""Weights of EfficientNet-Lite2; skltransfer finds the file without an import."""
