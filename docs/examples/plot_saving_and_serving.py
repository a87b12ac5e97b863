"""
Saving, loading, serving
========================

We save a fitted classifier to one file without pickle, load it in a fresh process, and serve it
over HTTP. Finally we convert it to a plain Keras model.
"""

# %%
# First, we fit a classifier that tells patches of scikit-learn's two photographs apart.

import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from skltransfer import FineTunedClassifier

photographs = load_sample_images()
rng = np.random.default_rng(0)
corners = rng.integers((0, 0), (300, 500), (40, 2))
X = np.stack(
    [photographs.images[i % 2][y : y + 96, x : x + 96] for i, (y, x) in enumerate(corners)]
)
y = np.array([Path(photographs.filenames[i % 2]).stem for i in range(len(X))])
classifier = FineTunedClassifier(input_size=(96, 96), epochs=3, random_state=0).fit(X, y)
print(classifier.classes_, f"{classifier.score(X, y):.2f} of the training patches right")

# %%
# One file
# --------
#
# The file contains JSON, arrays and a checksum. Of the weights, it contains only those that were
# trained; for the others, it refers to the bundled network. :doc:`/persistence` describes the
# format, and which files ``load`` refuses.

folder = Path(tempfile.mkdtemp())
file = folder / "patches.skltransfer"
classifier.save(file)
print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")

# %%
# In a fresh process, the loaded classifier predicts the same probabilities to the bit:

import subprocess
import sys

np.savez(folder / "expected.npz", X=X, probabilities=classifier.predict_proba(X))
SCRIPT = """
import sys
import numpy as np
from skltransfer import load

with np.load(sys.argv[2]) as expected:
    loaded = load(sys.argv[1])
    print((loaded.predict_proba(expected["X"]) == expected["probabilities"]).all())
"""
answer = subprocess.run(
    [sys.executable, "-c", SCRIPT, str(file), str(folder / "expected.npz")],
    check=True,
    capture_output=True,
    text=True,
)
print("the same in a fresh process:", answer.stdout.strip())

# %%
# If the file has changed, ``load`` refuses it before anything is built:

from skltransfer import load

broken = folder / "broken.skltransfer"
content = bytearray(file.read_bytes())
content[len(content) // 2] ^= 1
broken.write_bytes(content)
try:
    load(broken)
except ValueError as error:
    print(str(error).replace(str(folder), "..."))

# %%
# A server
# --------
#
# The server receives images as encoded bytes, and passes them to the classifier without decoding
# them. It is built with Python's standard library; in practice, use the web framework of your
# choice. We set ``cache=None``, because users rarely send the same image twice. If a file is not an
# image, the server answers with an error and continues.

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError
from urllib.request import urlopen

served = load(file).set_params(cache=None)
served.predict(X[:1])  # the first call is slow, because it compiles the network


class Answer(BaseHTTPRequestHandler):
    """Probabilities for the image that was sent."""

    def do_POST(self):
        """Answer in JSON, with status 400 for data that cannot be read."""
        image = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            probabilities = served.predict_proba([image])[0].round(4).tolist()
            status, answer = 200, dict(zip(served.classes_.tolist(), probabilities, strict=True))
        except ValueError as error:
            status, answer = 400, {"error": str(error)}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *arguments):
        """Keep quiet."""


server = HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"

png = BytesIO()
Image.fromarray(X[0]).save(png, "PNG")
for sent in (png.getvalue(), b"<html>404 not found</html>"):
    try:
        with urlopen(address, sent) as reply:
            print(reply.status, json.load(reply))
    except HTTPError as error:
        print(error.code, json.load(error))
server.shutdown()
server.server_close()

# %%
# The time for one image, from bytes to probabilities, on the machine that built this page:

import time

import matplotlib.pyplot as plt

milliseconds = []
for _ in range(50):
    start = time.perf_counter()
    served.predict_proba([png.getvalue()])
    milliseconds.append(1e3 * (time.perf_counter() - start))
figure, axis = plt.subplots(figsize=(7, 2.5), layout="constrained")
axis.plot(milliseconds, ".")
axis.set(xlabel="request", ylabel="ms", ylim=(0, None))
axis.axhline(np.median(milliseconds), color="grey", label="median")
axis.legend()
plt.show()

# %%
# A Keras model
# -------------
#
# To predict without scikit-learn and this package, convert the classifier to a Keras model, which
# contains the preprocessing. The model takes pixels in the same range as in ``fit``, and its
# probabilities differ from those of ``predict_proba`` by less than 1e-4.

model = classifier.to_keras()
difference = np.abs(model.predict(X, verbose=0) - classifier.predict_proba(X)).max()
print(f"largest difference below 1e-4: {difference < 1e-4}")
model.save(folder / "patches.keras")
print(sorted(path.name for path in folder.iterdir()))
