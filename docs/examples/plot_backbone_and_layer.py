"""
Picking a backbone and a layer by cross-validation
==================================================

The bundled network was trained to tell a thousand kinds of objects apart, and its last layers are
specialised in this task. For images that are not photographs of objects, an earlier layer often
works better. A grid search can choose both the backbone and the layer.

The task is to find defective solar cells in electroluminescence images from ``elpv-dataset``.
"""

# %%
# We draw 100 sound and 100 defective cells, so a random guess has an accuracy of 0.5:

import numpy as np
from elpv_dataset.utils import load_dataset

cells, probability, kind = load_dataset()
rng = np.random.default_rng(0)
sound, defective = np.flatnonzero(probability == 0), np.flatnonzero(probability == 1)
chosen = np.concatenate([rng.choice(sound, 100, False), rng.choice(defective, 100, False)])
X, y = cells[chosen], probability[chosen] == 1

# %%
# A network consists of consecutive parts, its stages. Features can be taken at the end of each
# stage. Earlier stages have larger feature maps with fewer channels.

from skltransfer import freeze_points

points = freeze_points("efficientnet_lite0", input_size=(128, 128), measure=False)
print(points)

# %%
# The grid contains the ends of all stages but the first two, each with two sets of weights.
# ``weights=None`` gives the same network random weights, so its accuracy is due to the architecture
# alone. To compare different networks as well, use a list of grids, one for each
# ``features__backbone``, because networks have layers of different names. One such network,
# ``"efficientnet_lite2"``, is in ``companions/efficientnet_lite2`` of the repository. Those of
# ``keras.applications`` are downloaded.
#
# There can be more features than images, so the classifier is strongly regularised (``C=0.01``).
# The features of each image are cached, so they are computed once for all folds.

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import PretrainedFeatureExtractor

model = Pipeline(
    [
        ("features", PretrainedFeatureExtractor(input_size=(128, 128), random_state=0)),
        ("scale", StandardScaler()),
        ("classify", LogisticRegression(C=0.01, max_iter=1000)),
    ]
)
layers = [point.layer for point in points[2:]]
grid = {"features__weights": ["imagenet", None], "features__layer": layers}
search = GridSearchCV(model, grid, cv=5).fit(X, y)
print(search.best_params_, f"{search.best_score_:.3f}")

# %%
# The error bars show one standard deviation over the five folds. With only 200 images,
# cross-validation cannot show which of two neighbouring layers is better.

import matplotlib.pyplot as plt

means = search.cv_results_["mean_test_score"].reshape(len(layers), -1)
spread = search.cv_results_["std_test_score"].reshape(len(layers), -1)
figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
for column, name in enumerate(["trained on ImageNet", "random weights"]):
    place = np.arange(len(layers)) + 0.1 * column
    axis.errorbar(place, means[:, column], spread[:, column], marker="o", capsize=3, label=name)
axis.axhline(0.5, color="grey", linestyle=":", label="chance")
axis.set(xlabel="layer", ylabel="accuracy, 5 folds")
axis.set_xticks(range(len(layers)), layers, rotation=30, ha="right")
axis.legend()
plt.show()
