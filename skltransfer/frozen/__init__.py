"""From rows of a source to activations at a freeze point.

A *source* gives access to the rows of X: images, texts or sounds. The *freeze point* is the last
frozen step of the network, and the *prefix* is the network up to this step. The output of the
prefix for a row is the row's *activations*.
"""
