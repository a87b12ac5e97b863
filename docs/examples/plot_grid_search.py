"""
A grid over freeze depth and head size
======================================

How much of the network should be trained, and how large should the head be? Both are parameters of
:class:`~skltransfer.FineTunedClassifier`, so scikit-learn's own search can choose them.
"""

# %%
# The data are 80 images of solar cells, reduced to 96 x 96 pixels. With six candidates and three
# folds, the search makes 19 fits: 18 on the folds, and a last one on all images.

import numpy as np
from elpv_dataset.utils import load_dataset
from sklearn.model_selection import GridSearchCV

from skltransfer import FineTunedClassifier, cache_info, clear_cache

cells, probability, kind = load_dataset()
rng = np.random.default_rng(0)
chosen = np.concatenate(
    [rng.choice(np.flatnonzero(probability == value), 40, replace=False) for value in (0, 1)]
)
X, y = cells[chosen], probability[chosen] == 1

clear_cache()
classifier = FineTunedClassifier(epochs=2, input_size=(96, 96), random_state=0)
grid = {"freeze_depth": ["all", -1, -2], "head_units": [(), 64]}
search = GridSearchCV(classifier, grid, cv=3).fit(X, y)
print(search.best_params_, f"{search.best_score_:.3f}")

# %%
# pandas shows ``cv_results_`` as a table. With only 80 images and three folds, the scores rank the
# candidates only roughly, so take their standard deviations into account.

import pandas as pd

results = pd.DataFrame(search.cv_results_)
columns = ["param_freeze_depth", "param_head_units", "mean_test_score", "std_test_score"]
results[columns].round(3)

# %%
# The upper plot shows the score at each freeze depth, that is, what you gain by training more
# stages. The lower plot shows how long a fit takes.

import matplotlib.pyplot as plt

from skltransfer import FreezeDepthDisplay

FreezeDepthDisplay.from_search(search)
plt.show()

# %%
# How many images ran through each segment of the network, usually a stage? Although there were 19
# fits, each of the 80 images ran through each segment only once:

for segment, rows in cache_info().rows_computed.items():
    print(f"{rows:4} rows through {segment}")
