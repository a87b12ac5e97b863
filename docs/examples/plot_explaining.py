"""
Explaining a prediction
=======================

Which images does a classifier get most wrong? Which parts of an image does it use? Which images
have similar features? The answers reveal problems that an accuracy hides: a wrong label, a class
recognised by its background, or a class that should be two.
"""

# %%
# We train a classifier on 150 solar cells and test it on 150 others:

import numpy as np
from elpv_dataset.utils import load_dataset
from sklearn.model_selection import train_test_split

from skltransfer import FineTunedClassifier

cells, probability, kind = load_dataset()
rng = np.random.default_rng(0)
chosen = np.concatenate(
    [rng.choice(np.flatnonzero(probability == value), 150, replace=False) for value in (0, 1)]
)
X, y = cells[chosen], np.where(probability[chosen] == 1, "defective", "sound")
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)

classifier = FineTunedClassifier(freeze_depth=-1, epochs=5, input_size=(160, 160), random_state=0)
classifier.fit(X_train, y_train)
print(f"accuracy on the others: {classifier.score(X_test, y_test):.3f}")

# %%
# The images with the greatest loss
# -----------------------------------
#
# These are the images whose true class received the lowest probability. Look at them first: some
# are hard to classify, and some have the wrong label.

import matplotlib.pyplot as plt

from skltransfer import TopLossesDisplay

display = TopLossesDisplay.from_estimator(classifier, X_test, y_test, n_images=6)
display.figure_.set_size_inches(8, 6)
plt.show()

# %%
# The regions that it uses
# ------------------------
#
# Grad-CAM shows in warm colours which regions of an image raise the score of a class. We choose the
# class ``"defective"`` for all eight images, although only the first four are defective. The heat
# map is as coarse as the last feature map of the network. It shows what the classifier relies on,
# not whether the classifier is right.

from skltransfer import SaliencyDisplay

some = np.concatenate([np.flatnonzero(y_test == name)[:4] for name in ("defective", "sound")])
display = SaliencyDisplay.from_estimator(classifier, X_test[some], target="defective", n_columns=4)
display.figure_.set_size_inches(9, 5)
plt.show()

# %%
# The images with similar features
# --------------------------------
#
# The display projects the features of the test cells onto the two directions in which they vary
# most. The second direction separates the most broken cells from the others. The first direction
# has nothing to do with the classes: it separates mono- from polycrystalline cells. A larger study
# should evaluate these two types separately.

from skltransfer import FeatureMapDisplay

FeatureMapDisplay.from_estimator(classifier, X_test, y_test, n_thumbnails=16)
plt.show()
