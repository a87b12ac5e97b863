"""Training of the head and of the layers above the freeze point.

The *freeze point* is the last frozen layer, and the *suffix* consists of the layers above it. The
*head* is the small network on top, which maps pooled features to outputs. The *members* of an
estimator are copies of the network that are trained with different freeze points.
"""
