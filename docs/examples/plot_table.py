"""
A table beside the image
========================

The number to be predicted may depend both on an image and on other data. Here we predict the price
of a parcel. An image shows the number of pieces in it (one of scikit-learn's scanned digits, from 1
to 9), and a table says what the pieces are and how far they travel.
"""

# %%
# The data
# --------
#
# The prices are made up. The base price is the number of pieces times the price of one piece. Each
# hundred kilometres adds a tenth of the base price, and random noise changes each price by about a
# tenth. The price is a product of factors for the pieces, the goods and the distance. Its logarithm
# is a sum, which is easier to learn, so we predict the logarithm.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

digits = load_digits()
shown = np.flatnonzero(digits.target > 0)[:600]
rng = np.random.default_rng(0)
goods = rng.choice(["book", "lamp", "vase"], len(shown))
kilometres = rng.integers(5, 900, len(shown))
price_of_one = pd.Series({"book": 8.0, "lamp": 25.0, "vase": 60.0})[goods].to_numpy()
prices = digits.target[shown] * price_of_one * (1 + kilometres / 1000)
prices *= rng.normal(1, 0.1, len(shown))

frame = pd.DataFrame(
    {"photo": list(digits.images[shown]), "goods": goods, "kilometres": kilometres}
)
X_train, X_test, y_train, y_test = train_test_split(
    frame, np.log(prices), test_size=0.5, random_state=0
)

figure, axes = plt.subplots(1, 4, figsize=(9, 2.4), layout="constrained")
for (_, row), price, axis in zip(X_train.iterrows(), np.exp(y_train), axes, strict=False):
    axis.imshow(row["photo"], cmap="gray_r")
    axis.set_title(f"{row['goods']}, {row['kilometres']} km: {price:.0f}", fontsize=9)
    axis.axis("off")
plt.show()

# %%
# Both at once
# ------------
#
# ``input_column`` names the column that the network reads; ``tabular`` is a transformer for the
# other columns.

from sklearn.compose import make_column_transformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skltransfer import FineTunedRegressor

tabular = make_column_transformer((OneHotEncoder(), ["goods"]), (StandardScaler(), ["kilometres"]))
settings = {"pixel_range": (0, 16), "input_size": (64, 64), "random_state": 0}
both = FineTunedRegressor(tabular=tabular, input_column="photo", **settings)
both.fit(X_train, y_train)

# %%
# Each alone
# ----------
#
# We fit the same kind of regressor on the images alone, and a ridge regression on the table alone.
# The images do not run through the frozen part of the network again, because its output is cached.

from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline

photos = FineTunedRegressor(**settings).fit(X_train[["photo"]], y_train)
table = make_pipeline(tabular, RidgeCV()).fit(X_train.drop(columns="photo"), y_train)
print(f"R² of the table alone:  {table.score(X_test.drop(columns='photo'), y_test):.3f}")
print(f"R² of the images alone: {photos.score(X_test[['photo']], y_test):.3f}")
print(f"R² of both:             {both.score(X_test, y_test):.3f}")

# %%
# Predicted and true prices
# -------------------------

from sklearn.metrics import PredictionErrorDisplay

PredictionErrorDisplay.from_predictions(
    np.exp(y_test), np.exp(both.predict(X_test)), kind="actual_vs_predicted"
)
plt.show()
