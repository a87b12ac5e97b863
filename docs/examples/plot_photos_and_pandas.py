"""
A folder of photos, with pandas
===============================

You have photos in class folders, and a table with more data about them. The paths of the photos are
a column of this table. A ``ColumnTransformer`` passes them to the network, and the other columns to
other transformers.
"""

# %%
# The folder
# ----------
#
# So that this example runs anywhere, we cut patches from the two photos that come with
# scikit-learn, darken them, and save them as JPEG files such as ``photos/china/0.jpg``.

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

folder = Path(tempfile.mkdtemp()) / "photos"
rng = np.random.default_rng(0)
for name, photograph in zip(["china", "flower"], load_sample_images().images, strict=True):
    (folder / name).mkdir(parents=True)
    for i in range(60):
        top, left = rng.integers((0, 0), (347, 560))
        patch = photograph[top : top + 80, left : left + 80] * rng.uniform(0.1, 0.6)
        Image.fromarray(patch.astype(np.uint8)).save(folder / name / f"{i}.jpg", quality=40)

# %%
# ``images_from_folder`` lists paths and labels. It opens no files.

import pandas as pd

from skltransfer import images_from_folder

photos = images_from_folder(folder)
table = pd.DataFrame(
    {
        "photo": photos.data,
        "kilobytes": [Path(path).stat().st_size / 1e3 for path in photos.data],
        "label": [photos.target_names[index] for index in photos.target],
    }
)
table.groupby("label")["kilobytes"].describe().round(2)

# %%
# A model for both columns
# ------------------------

from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import PretrainedFeatureExtractor

columns = make_column_transformer(
    (PretrainedFeatureExtractor(input_size=(96, 96)), ["photo"]),
    ("passthrough", ["kilobytes"]),
)
model = make_pipeline(columns, StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
scores = cross_val_score(model, table[["photo", "kilobytes"]], table["label"], cv=5)
print(f"five folds: {scores.mean():.3f}")

# %%
# Features as a frame
# -------------------
#
# With ``set_output``, the features are a data frame with the same index as the table. The name of
# each column contains the layer and the channel.

extractor = PretrainedFeatureExtractor(input_size=(96, 96)).set_output(transform="pandas")
features = extractor.fit_transform(table[["photo"]])
features.iloc[:3, :4].round(3)

# %%
# The features of the photos, projected onto two dimensions:

import matplotlib.pyplot as plt
from sklearn.decomposition import PCA

plane = PCA(2).fit_transform(StandardScaler().fit_transform(features))
figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
for label, rows in table.groupby("label").indices.items():
    axis.scatter(*plane[rows].T, s=14, label=label)
for row in rng.choice(len(table), 12, replace=False):
    inset = axis.inset_axes([*(plane[row] - 1.5), 3, 3], transform=axis.transData)
    inset.imshow(Image.open(table["photo"][row]))
    inset.axis("off")
axis.set(xlabel="first principal component", ylabel="second")
axis.legend()
plt.show()

# %%
# Files that cannot be read
# -------------------------
#
# Large collections usually contain broken files. By default, the first broken file raises an error
# that names the file. With ``on_error="nan"``, a broken file becomes a row of NaN, and one warning
# lists these rows.

import warnings

Path(table["photo"][7]).write_bytes(b"")
forgiving = PretrainedFeatureExtractor(input_size=(96, 96), on_error="nan")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    features = forgiving.fit_transform(table[["photo"]])
print("rows that could not be read:", caught[-1].message.rows)
print("rows of NaN:                ", np.flatnonzero(np.isnan(features).any(axis=1)))
