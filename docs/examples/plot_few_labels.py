"""
Few labels: what a pretrained network is worth
==============================================

Labelling takes work. With features of a network that was trained on other images, you need fewer
labels for the same accuracy. This example measures the accuracy with 1 to 20 labels per class, on
scikit-learn's digits.
"""

# %%
# We fit the same linear classifier on three kinds of features: the pixels of a digit, the features
# of a network with random weights, and those of the pretrained network. The random weights show how
# much of the accuracy is due to the architecture alone.

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
# For each number of labels, we draw the labelled digits ten times at random, and test on 500 of the
# other digits. The extractor does not use labels, so the features computed above serve for all
# draws.

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
# The bands show the mean over the ten draws, plus and minus one standard deviation.

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
