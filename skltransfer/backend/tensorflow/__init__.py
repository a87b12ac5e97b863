"""TensorFlow as the backend, and what is done to its graphs."""
