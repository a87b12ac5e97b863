"""TensorFlow as the backend, and the rewriting of its graphs."""
