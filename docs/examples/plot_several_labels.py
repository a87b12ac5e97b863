"""
Several labels for each image
=============================

An image may show more than one thing. This example puts two of scikit-learn's scanned digits side
by side, and predicts which of the ten digits are in the image. Each image has ten labels; two of
them are true, or only one if both digits are the same.
"""

# %%
# The data
# --------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

digits = load_digits()
rng = np.random.default_rng(0)
pairs = rng.integers(0, len(digits.images), (400, 2))
X = np.concatenate([digits.images[pairs[:, 0]], digits.images[pairs[:, 1]]], axis=2)
Y = np.zeros((len(pairs), 10), int)
for side in (0, 1):
    Y[np.arange(len(pairs)), digits.target[pairs[:, side]]] = 1
X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=0.5, random_state=0)

figure, axes = plt.subplots(1, 5, figsize=(9, 1.4), layout="constrained")
for image, labels, axis in zip(X_train, Y_train, axes, strict=False):
    axis.imshow(image, cmap="gray_r")
    axis.set_title(" and ".join(map(str, np.flatnonzero(labels))), fontsize=9)
    axis.axis("off")
plt.show()

# %%
# One network, ten sigmoids
# -------------------------
#
# Pass the labels as a matrix of 0 and 1; no parameter has to be set. One network predicts all
# labels, and ``predict_proba`` returns a column for each label.

from sklearn.metrics import average_precision_score

from skltransfer import FineTunedClassifier

classifier = FineTunedClassifier(
    freeze_depth="all", pixel_range=(0, 16), input_size=(64, 128), random_state=0
)
classifier.fit(X_train, Y_train)
probabilities = classifier.predict_proba(X_test)
print(f"average precision: {average_precision_score(Y_test, probabilities, average='macro'):.3f}")
print(f"all labels right:  {classifier.score(X_test, Y_test):.3f}")

# %%
# A threshold for each label
# --------------------------
#
# A label that is true in only one image out of five rarely gets a probability above one half, so
# ``predict`` often misses it. For each label, we choose the threshold with the largest F1 on
# out-of-fold predictions of the training set. scikit-learn's ``TunedThresholdClassifierCV`` does
# not work with several labels. If a label has only a few positive images, the threshold found in
# this way can be worse than one half.

from sklearn.metrics import f1_score, precision_recall_curve
from sklearn.model_selection import KFold, cross_val_predict

folds = KFold(5, shuffle=True, random_state=0)
held_out = cross_val_predict(classifier, X_train, Y_train, cv=folds, method="predict_proba")
thresholds = []
for truth, found in zip(np.asarray(Y_train).T, held_out.T, strict=True):
    precision, recall, steps = precision_recall_curve(truth, found)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    thresholds.append(steps[f1[:-1].argmax()])

before = f1_score(Y_test, classifier.predict(X_test), average="macro", zero_division=0)
after = f1_score(Y_test, probabilities >= thresholds, average="macro", zero_division=0)
print(f"macro F1 at one half: {before:.3f}, at these thresholds: {after:.3f}")

# %%
# The largest errors
# ------------------
#
# :class:`~skltransfer.TopLossesDisplay` shows one label at a time, here the digit 8.

from skltransfer import TopLossesDisplay

TopLossesDisplay.from_predictions(
    Y_test[:, 8],
    probabilities[:, 8],
    X_test,
    pixel_range=(0, 16),
    display_labels=["no 8", "8"],
    n_images=4,
    n_columns=4,
)
plt.show()
