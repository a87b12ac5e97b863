"""Views of images, to train on and to predict from."""
