"""
Solar cells of another kind
===========================

A classifier for monocrystalline solar cells is to work on polycrystalline ones, whose grains look
like defects to it. What helps: rows of the new kind without labels, or a few with labels?

The images are from ``elpv-dataset``.
"""

# %%
# The labelled cells are monocrystalline. Of the polycrystalline ones, half are at hand without
# labels, and the other half tests. Defective cells are rarer, so the score is balanced accuracy: a
# guess has 0.5.

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
# ``adaptation`` names what is done with rows without labels, ``X_target``. "statistics"
# standardises each kind of cell by its own moments; "mcc" moves the border between the classes away
# from cells of the new kind.

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
# There are 399 cells of the new kind here, because 400 would be exactly as many as there are
# labelled ones: ``fit`` refuses that, as cross-validation might have cut them.
# :class:`~skltransfer.TargetRows` around them is the other way out.
#
# Now label 50 cells, and let them weigh as much as half of the others:

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
# Here the moments of the new kind help, and class confusion on top of them does not. A few labels
# help more. Only labels of the new kind tell which way is best;
# :func:`~skltransfer.target_scorer` makes a search look at them.
