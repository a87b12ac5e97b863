"""Fitted estimators as Keras models, and files in other formats."""
