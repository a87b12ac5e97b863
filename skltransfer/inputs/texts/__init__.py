"""Texts as the input of language networks."""
