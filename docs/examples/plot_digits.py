"""
Digits in twenty lines
======================

We classify scikit-learn's scanned digits of 8 x 8 pixels with a linear classifier. It is fitted
twice: on the pixels, and on the features of a network that was trained on photographs.
"""

# %%
# The images have values from 0 to 16, so we set ``pixel_range``. They are tiny, so a small
# ``input_size`` is enough, and features from the middle of the network are useful in addition to
# those from later layers.

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import PretrainedFeatureExtractor

digits = load_digits()
extractor = PretrainedFeatureExtractor(
    layer=["block3b_add", "block4c_add", "block5c_add"], pixel_range=(0, 16), input_size=(32, 32)
)
linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
from_pixels = cross_val_predict(linear, digits.data, digits.target, cv=5)
from_network = cross_val_predict(
    make_pipeline(extractor, *linear), digits.images, digits.target, cv=5
)
print(f"from pixels:      {(from_pixels == digits.target).mean():.3f}")
print(f"from the network: {(from_network == digits.target).mean():.3f}")

# %%
# Some digits are classified correctly only from the network's features (gained), others only from
# the pixels (lost):

import matplotlib.pyplot as plt
import numpy as np

right = {"pixels": from_pixels == digits.target, "network": from_network == digits.target}
gained = np.flatnonzero(right["network"] & ~right["pixels"])
lost = np.flatnonzero(right["pixels"] & ~right["network"])
print(f"{len(gained)} digits gained, {len(lost)} lost")

figure, axes = plt.subplots(2, 8, figsize=(8, 2.6), layout="constrained")
for row, (name, chosen) in zip(axes, {"gained": gained, "lost": lost}.items(), strict=True):
    for axis, index in zip(row, chosen[:8], strict=False):
        axis.imshow(digits.images[index], cmap="gray_r")
        axis.set_title(f"a {digits.target[index]}, {name}", fontsize=8)
    for axis in row:
        axis.axis("off")
plt.show()
