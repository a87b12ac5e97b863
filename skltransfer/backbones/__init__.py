"""What was pretrained: the bundled network, those of Keras, and the user's own."""
