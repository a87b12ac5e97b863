"""Networks as graphs: where they may be frozen, and how their steps run.

A *step* is one call of a Keras layer or operation.
"""
