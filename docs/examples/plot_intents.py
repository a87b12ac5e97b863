"""
Questions of bank customers: intents from few labels
====================================================

The text network was trained on a billion sentences, so a few labelled questions of each kind are
enough for a new task. This example classifies questions by *intent*, that is, by what the customer
wants; there are ten intents. It searches for the best layer and freeze depth. Then it finds the
known question that is most similar to a new one, and combines texts with a column of numbers.
"""

# %%
# The questions are a small part of BANKING77 (Casanueva et al., 2020, `CC BY 4.0
# <https://creativecommons.org/licenses/by/4.0/>`_).

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor

file = Path("data/banking_questions.csv")
questions = pd.read_csv(file if file.exists() else "docs/examples" / file)
train = questions[questions.part == "train"]
test = questions[questions.part == "test"]
print(f"{len(train)} questions to train on, {len(test)} to test on")

# %%
# We fit the same linear classifier on two kinds of features: the TF-IDF weights of the words, and
# the features of the network. The training set grows from 1 to 16 questions of each intent.

words = TfidfVectorizer()
network = PretrainedFeatureExtractor("minilm_l6")
counts = [1, 2, 4, 8, 16]
accuracy = {"words (TF-IDF)": [], "network": []}
for n_labels in counts:
    few = train.groupby("category").head(n_labels)
    for name, description in zip(accuracy, (words, network), strict=True):
        model = make_pipeline(description, LogisticRegression(C=10, max_iter=1000))
        model.fit(few.text, few.category)
        accuracy[name].append(model.score(test.text, test.category))

fig, ax = plt.subplots(figsize=(6, 4))
for name, scores in accuracy.items():
    ax.plot(counts, scores, marker="o", label=name)
    print(f"{name}: " + ", ".join(f"{score:.3f}" for score in scores))
ax.set(xscale="log", xlabel="labels of each intent", ylabel="accuracy", xticks=counts)
ax.set_xticklabels(counts)
ax.minorticks_off()
ax.legend()
fig.tight_layout()

# %%
# With 8 questions of each intent, we search over the layer and the freeze depth. Each text runs
# through the frozen blocks once, whatever the number of candidates and folds.

few = train.groupby("category").head(8)
classifier = FineTunedClassifier("minilm_l6", epochs=3, learning_rate=1e-3, random_state=0)
grid = {"layer": ["block4", None], "freeze_depth": ["all", -1]}
search = GridSearchCV(classifier, grid, cv=2).fit(few.text, few.category)
table = pd.DataFrame(search.cv_results_)
columns = ["param_layer", "param_freeze_depth", "mean_test_score"]
print(table[columns].to_string(index=False))
print(f"test accuracy of the best: {search.score(test.text, test.category):.3f}")

# %%
# Often it is enough to find the most similar known question. The cosine distance between the
# features of texts with similar meanings is small.

neighbours = NearestNeighbors(n_neighbors=1, metric="cosine").fit(network.transform(train.text))
asked = ["my phone was stolen with the card in its case", "how much is a dollar in pounds today"]
distances, rows = neighbours.kneighbors(network.transform(asked))
for question, row, distance in zip(asked, rows[:, 0], distances[:, 0], strict=True):
    print(f"{question!r} -> {train.text.iloc[row]!r} ({distance:.2f})")

# %%
# To use texts and numbers together, pass each column to its own transformer with a
# ``ColumnTransformer``. Here, the numbers are random hours, which say nothing about the intent.

rng = np.random.default_rng(0)
frame = few[["text"]].assign(hour=rng.integers(0, 24, len(few)))
columns = make_column_transformer(
    (PretrainedFeatureExtractor("minilm_l6"), "text"), (StandardScaler(), ["hour"])
)
both = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(frame, few.category)
print(both[0].transform(frame.head(2)).shape)
