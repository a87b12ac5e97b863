"""Random views of images and sounds, for training and for prediction."""
