"""Plots of data, trainings and predictions, in the style of scikit-learn's displays.

A display holds plain data and draws it. matplotlib is imported only when something is drawn.
"""
