"""Sounds: files, bytes and arrays of samples, read as log-mel maps."""
