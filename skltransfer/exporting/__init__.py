"""Fitted estimators as Keras models."""
