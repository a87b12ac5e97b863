"""Functions that extract features with an engine such as Dask, Ray or Spark."""
