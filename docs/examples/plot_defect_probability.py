"""
A number for each image: how likely is a defect?
================================================

Experts looked at solar cells and said how sure they were of a defect: 0, 1/3, 2/3 or 1. This
example predicts this number, compares the three losses of :class:`~skltransfer.FineTunedRegressor`,
and shows the cells with the largest errors.
"""

# %%
# The data
# --------
#
# We take 75 cells with each of the four values, so that all values are equally frequent.

import matplotlib.pyplot as plt
import numpy as np
from elpv_dataset.utils import load_dataset
from sklearn.model_selection import train_test_split

cells, probability, kind = load_dataset()
rng = np.random.default_rng(0)
levels = np.unique(probability)
chosen = np.concatenate(
    [rng.choice(np.flatnonzero(probability == level), 75, replace=False) for level in levels]
)
X, y = cells[chosen], probability[chosen]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)

figure, axes = plt.subplots(1, 4, figsize=(8, 2.4), layout="constrained")
for level, axis in zip(levels, axes, strict=True):
    axis.imshow(X_train[y_train == level][0], cmap="gray")
    axis.set_title(f"{level:.2f}")
    axis.axis("off")
plt.show()

# %%
# The head alone
# --------------
#
# With ``freeze_depth="all"``, only the head is trained. The frozen network runs once for each cell,
# and all three fits use its cached output.

from sklearn.metrics import mean_absolute_error, r2_score

from skltransfer import FineTunedRegressor

for loss in ("squared_error", "absolute_error", "huber"):
    regressor = FineTunedRegressor(
        loss=loss, freeze_depth="all", input_size=(112, 112), random_state=0
    )
    found = regressor.fit(X_train, y_train).predict(X_test)
    error, score = mean_absolute_error(y_test, found), r2_score(y_test, found)
    print(f"{loss:15} mean absolute error {error:.3f}, R² {score:.3f}")

# %%
# Predicted against true values
# -----------------------------
#
# scikit-learn's own display shows the predictions of the last of the three regressors.

from sklearn.metrics import PredictionErrorDisplay

PredictionErrorDisplay.from_predictions(
    y_test, found, kind="actual_vs_predicted", scatter_kwargs={"alpha": 0.4}
)
plt.show()

# %%
# The largest errors
# ------------------
#
# Some of these cells are hard to judge. For others, you may disagree with the experts.

from skltransfer import LargestErrorsDisplay

LargestErrorsDisplay.from_estimator(regressor, X_test, y_test, n_images=6, n_columns=3)
plt.show()

# %%
# If you cross-validate on these data, shuffle the folds. The rows are sorted by probability, so
# without shuffling, each fold of ``KFold`` would contain values that were rare or absent in
# training.
