"""
Solar cells: from features to fine-tuning
=========================================

Is a solar cell defective? Electroluminescence images show cracks and dead areas. This example takes
the usual route: first a linear classifier on frozen features, then fine-tuning. At the end it
compares the two on the same images.

``python docs/examples/solar_cells.py`` evaluates frozen features on all 2,624 cells, with ten
splits.
"""

# %%
# The data
# --------
#
# Experts gave each cell a probability of being defective. We use only the clear cases (0 and 1),
# 200 for training and 200 for testing.

import matplotlib.pyplot as plt
import numpy as np
from elpv_dataset.utils import load_dataset
from sklearn.model_selection import train_test_split

cells, probability, kind = load_dataset()
rng = np.random.default_rng(0)
chosen = np.concatenate(
    [rng.choice(np.flatnonzero(probability == value), 200, replace=False) for value in (0, 1)]
)
X, y = cells[chosen], np.where(probability[chosen] == 1, "defective", "sound")
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)

figure, axes = plt.subplots(2, 6, figsize=(9, 3.3), layout="constrained")
for name, row in zip(["sound", "defective"], axes, strict=True):
    for axis, image in zip(row, X_train[y_train == name], strict=False):
        axis.imshow(image, cmap="gray")
        axis.set_title(name, fontsize=9)
        axis.axis("off")
plt.show()

# %%
# Frozen features
# ---------------
#
# The extractor turns each cell into a row of 1,280 numbers, and a logistic regression classifies
# them.

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import PretrainedFeatureExtractor

frozen = make_pipeline(
    PretrainedFeatureExtractor(input_size=(112, 112)),
    StandardScaler(),
    LogisticRegression(C=0.01, max_iter=1000),
)
frozen.fit(X_train, y_train)
print(f"frozen features: {frozen.score(X_test, y_test):.3f}")

# %%
# Fine-tuning
# -----------
#
# These images are unlike photographs, so more of the network should be trained: here, all but the
# first five stages. With ``batch_norm="train"``, the trained BatchNorm layers use the mean and
# variance of these images instead of those of ImageNet. A defect stays a defect if the cell is
# rotated or mirrored, so we also train on rotated and mirrored images (``augment="dihedral"``).
# With ``tta=True``, a prediction is the average over all eight variants of the image.

from skltransfer import FineTunedClassifier

tuned = FineTunedClassifier(
    freeze_depth=5,
    batch_norm="train",
    learning_rate=1e-3,
    epochs=5,
    augment="dihedral",
    n_views=2,
    tta=True,
    input_size=(112, 112),
    random_state=0,
)
tuned.fit(X_train, y_train)
print(f"fine-tuned:      {tuned.score(X_test, y_test):.3f}")

# %%
# The loss over the epochs, and the ROC curves of both models on the test cells:

from sklearn.metrics import RocCurveDisplay

from skltransfer import TrainingCurveDisplay

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
TrainingCurveDisplay.from_estimator(tuned, ax=left)
for name, model in {"frozen features": frozen, "fine-tuned": tuned}.items():
    RocCurveDisplay.from_estimator(
        model, X_test, y_test, pos_label="defective", name=name, ax=right
    )
plt.show()

# %%
# With 200 test cells, the standard error of an accuracy is about two points, so one split cannot
# rank the two models. :doc:`/benchmarks` compares them on all cells, over five and ten splits.
