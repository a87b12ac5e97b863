"""Extraction of features by an engine such as Dask, Ray or Spark, which calls these functions."""
