"""
Solar cells of another kind
===========================

A classifier was trained on monocrystalline solar cells, and is now used on polycrystalline ones. It
mistakes their crystal grains for defects. What helps more: many images of the new kind without
labels, or a few with labels?

The images are from ``elpv-dataset``.
"""

# %%
# The labelled cells are monocrystalline. Half of the polycrystalline cells are used in training,
# without labels; the other half is the test set. There are fewer defective than sound cells, so we
# score by balanced accuracy, which is 0.5 for a random guess.

import numpy as np
from elpv_dataset.utils import load_dataset

cells, probability, kind = load_dataset()
rng = np.random.default_rng(0)
clear = np.flatnonzero((probability == 0) | (probability == 1))
mono = rng.permutation(clear[kind[clear] == "mono"])[:400]
poly = rng.permutation(clear[kind[clear] == "poly"])[:800]
given, tested = np.split(poly, 2)
X, y = cells[mono], probability[mono] == 1

# %%
# ``fit`` takes the cells without labels as ``X_target``, and ``adaptation`` says how to use them.
# "statistics" standardises the features of the new cells mainly by their own mean and variance
# instead of those of the labelled cells. "mcc" penalises uncertain predictions for the new cells.

from skltransfer import FineTunedClassifier

settings = {"freeze_depth": "all", "input_size": (128, 128), "random_state": 0}
ways = {"monocrystalline alone": None, "statistics": "statistics", "mcc": "mcc"}
ways["statistics and mcc"] = ("statistics", "mcc")
fitted = {}
for name, adaptation in ways.items():
    classifier = FineTunedClassifier(adaptation=adaptation, **settings)
    rows = {} if adaptation is None else {"X_target": cells[given][:399]}
    fitted[name] = classifier.fit(X, y, **rows)

# %%
# We pass only 399 of the 400 new cells, because X has 400 rows too. If ``X_target`` has as many
# rows as X, ``fit`` raises an error, because scikit-learn's cross-validation may have passed only
# the rows of a fold. To pass all 400, wrap them in :class:`~skltransfer.TargetRows`.
#
# Now we label 50 of the new cells. Together, these 50 cells get half of the total weight that the
# monocrystalline cells have:

few = given[:50]
weights = np.r_[np.ones(len(y)), np.full(len(few), len(y) / 2 / len(few))]
fitted["50 labels"] = FineTunedClassifier(**settings).fit(
    cells[np.r_[mono, few]], probability[np.r_[mono, few]] == 1, sample_weight=weights
)

# %%

import matplotlib.pyplot as plt
from sklearn.metrics import balanced_accuracy_score

truth = probability[tested] == 1
scores = {
    name: balanced_accuracy_score(truth, classifier.predict(cells[tested]))
    for name, classifier in fitted.items()
}
for name, score in scores.items():
    print(f"{name:22} {score:.3f}")
figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
axis.barh(
    list(scores), list(scores.values()), color=["tab:grey"] + ["tab:blue"] * 3 + ["tab:green"]
)
axis.axvline(0.5, color="black", linewidth=0.8)
axis.set_xlabel("balanced accuracy on polycrystalline cells")
axis.invert_yaxis()
plt.show()

# %%
# Here "statistics" helps, and adding "mcc" does not. A few labels help more. Only labelled cells of
# the new kind show which method is best; with :func:`~skltransfer.target_scorer`, a search scores
# its candidates on such cells.
