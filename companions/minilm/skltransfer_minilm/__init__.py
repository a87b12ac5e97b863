"""Weights and tokenizer of all-MiniLM-L6-v2; skltransfer finds them without an import."""
