"""
Imbalanced classes, and probabilities to rely on
================================================

If defects are rare, a classifier that calls every cell sound is nearly always right, and useless.
In this example, one solar cell in ten is defective.
"""

# %%
# We use 600 cells, half of them for training:

import numpy as np
from elpv_dataset.utils import load_dataset
from sklearn.model_selection import train_test_split

cells, probability, kind = load_dataset()
rng = np.random.default_rng(0)
sound = rng.choice(np.flatnonzero(probability == 0), 540, replace=False)
defective = rng.choice(np.flatnonzero(probability == 1), 60, replace=False)
chosen = np.concatenate([sound, defective])
X, y = cells[chosen], (probability[chosen] == 1).astype(int)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)

# %%
# We fit one classifier without class weights, and one with ``class_weight="balanced"``, which gives
# both classes the same total weight. Only the head is trained (``freeze_depth="all"``), so both
# fits use the same cached features.
#
# Accuracy says little here: a classifier that finds no defect has an accuracy of 0.9. Recall is the
# share of defects that are found, precision is the share of alarms that are right, and balanced
# accuracy is the mean of the recalls of both classes.

from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    precision_score,
    recall_score,
)

from skltransfer import FineTunedClassifier

print(f"{'':12}{'accuracy':>10}{'balanced':>10}{'recall':>10}{'precision':>10}")
print(f"{'all sound':12}{np.mean(y_test == 0):10.3f}{0.5:10.3f}{0:10.3f}{'-':>10}")
models = {}
for name, class_weight in {"as they are": None, "balanced": "balanced"}.items():
    model = FineTunedClassifier(
        freeze_depth="all", class_weight=class_weight, input_size=(128, 128), random_state=0
    )
    models[name] = model.fit(X_train, y_train)
    predicted = model.predict(X_test)
    scores = [
        score(y_test, predicted)
        for score in (accuracy_score, balanced_accuracy_score, recall_score, precision_score)
    ]
    print(f"{name:12}" + "".join(f"{score:10.3f}" for score in scores))

# %%
# All these scores are for one threshold, 0.5. The precision-recall curve shows all thresholds, and
# the average precision (AP) summarises the curve. To choose a threshold by cross-validation, use
# scikit-learn's ``TunedThresholdClassifierCV``.
#
# With class weights, the predicted probabilities of a defect are too high, because the classifier
# was trained as if half of the cells were defective. ``CalibratedClassifierCV`` corrects this by
# cross-validation on the training set, with the same cached features.

import matplotlib.pyplot as plt
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.metrics import PrecisionRecallDisplay, brier_score_loss

calibrated = CalibratedClassifierCV(models["balanced"], method="sigmoid", cv=3)
models["balanced, calibrated"] = calibrated.fit(X_train, y_train)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for name, model in models.items():
    scores = model.predict_proba(X_test)[:, 1]
    PrecisionRecallDisplay.from_predictions(y_test, scores, name=name, ax=left)
    CalibrationDisplay.from_predictions(
        y_test, scores, n_bins=4, strategy="quantile", name=name, ax=right
    )
    print(
        f"{name + ':':22} mean probability of a defect {scores.mean():.3f} "
        f"(true share {y_test.mean():.3f}), Brier score {brier_score_loss(y_test, scores):.4f}"
    )
left.legend(fontsize=8, loc="lower left")
right.legend(fontsize=8, loc="upper left")
plt.show()

# %%
# The smaller the Brier score, the better the probabilities. With only 30 defects in the test set,
# all these figures are rough.
