"""Texts, as language networks read them."""
