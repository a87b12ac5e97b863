"""Functions with which an engine such as Dask, Ray or Spark extracts features."""
