"""
Few labels: what a pretrained network is worth
==============================================

Labels cost work. A network that was trained on other images brings knowledge along, so fewer
labels do. How many fewer is measured here, on scikit-learn's digits.
"""

# %%
# Three ways to describe a digit to the same linear classifier: its pixels, what a network with
# random weights makes of them, and what the pretrained one makes of them. The second shows how much
# is due to the architecture alone.

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import PretrainedFeatureExtractor

digits = load_digits()
settings = {
    "layer": ["block3b_add", "block4c_add", "block5c_add"],
    "pixel_range": (0, 16),
    "input_size": (32, 32),
}
pretrained = PretrainedFeatureExtractor(**settings)
untrained = PretrainedFeatureExtractor(**settings, weights=None, random_state=0)
descriptions = {
    "pixels": digits.data,
    "network, random weights": untrained.fit_transform(digits.images),
    "network, pretrained": pretrained.fit_transform(digits.images),
}

# %%
# For each number of labels, ten random draws of labelled digits; the test part is what is left of
# the draw, 500 digits. The extractor learns nothing from labels, so its features may be computed
# once for all draws.

import numpy as np

labels_per_class = [1, 2, 5, 10, 20]
accuracy = {name: np.empty((len(labels_per_class), 10)) for name in descriptions}
for row, n_labels in enumerate(labels_per_class):
    draws = StratifiedShuffleSplit(10, train_size=10 * n_labels, test_size=500, random_state=0)
    for column, (train, test) in enumerate(draws.split(digits.data, digits.target)):
        for name, X in descriptions.items():
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
            model.fit(X[train], digits.target[train])
            accuracy[name][row, column] = model.score(X[test], digits.target[test])

# %%
# The band is one standard deviation over the draws.

import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for name, scores in accuracy.items():
    mean, spread = scores.mean(axis=1), scores.std(axis=1, ddof=1)
    axis.plot(labels_per_class, mean, marker="o", label=name)
    axis.fill_between(labels_per_class, mean - spread, mean + spread, alpha=0.15)
    print(f"{name + ':':25}", "  ".join(f"{value:.3f}" for value in mean))
axis.set(xscale="log", xlabel="labels per class", ylabel="accuracy on 500 other digits")
axis.set_xticks(labels_per_class, labels_per_class)
axis.legend()
plt.show()
