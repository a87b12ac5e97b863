"""Check in Chromium that the page of docs/examples/web answers as the classifier does.

A classifier learns which of scikit-learn's two photographs a patch is from, and is exported to
ONNX. onnxruntime-web, which npm installs, runs it in the page. Probabilities of a lossless file
must be those of `predict_proba` to 1e-4. A JPEG is decoded by the browser, so for it the answer
must be the same.

Usage: ``python docs/check_web_page.py``
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from browser import chromium, served
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from sklearn.datasets import load_sample_images

import skltransfer

PAGE = Path(__file__).parent / "examples" / "web" / "index.html"
RUNTIME = "onnxruntime-web@1.30.0"
SECONDS = 120  # to load the model, on a slow machine
TOLERANCE = 1e-4
NAMES = ("china", "flower")
PROBABILITIES = """
const answer = arguments[arguments.length - 1];
classify(element("file").files[0]).then(answer, (error) => answer(error.message));
"""


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", RUNTIME]
        subprocess.run(npm, cwd=folder, check=True)
        shutil.copy(PAGE, folder)
        photographs = dict(zip(NAMES, load_sample_images().images, strict=True))
        classifier = fitted(photographs)
        skltransfer.export(classifier, folder / "photos.onnx")
        (folder / "classes.json").write_text(json.dumps(classifier.classes_.tolist()))
        differences = {}
        with served(folder) as address, chromium() as driver:
            driver.set_script_timeout(SECONDS)
            driver.get(f"{address}/index.html")
            for name, photograph in photographs.items():
                for suffix in (".png", ".jpg"):
                    file = folder / f"{name}{suffix}"
                    Image.fromarray(photograph).save(file, quality=90)
                    (expected,) = classifier.predict_proba([np.asarray(Image.open(file))])
                    found = answer_of(driver, file, name)
                    differences[file.name] = np.abs(found - expected).max()
    print(", ".join(f"{name} differs by {value:.1e}" for name, value in differences.items()))
    if max(value for name, value in differences.items() if name.endswith(".png")) > TOLERANCE:
        sys.exit(f"Lossless photographs may differ by {TOLERANCE}.")


def fitted(photographs):
    corners = np.random.default_rng(0).integers((0, 0), (300, 500), (40, 2))
    names = [NAMES[i % 2] for i in range(len(corners))]
    patches = [
        photographs[name][y : y + 120, x : x + 140]
        for name, (y, x) in zip(names, corners, strict=True)
    ]
    classifier = skltransfer.FineTunedClassifier(freeze_depth=-1, epochs=1, random_state=0)
    return classifier.fit(patches, names)


def answer_of(driver, file, name):
    """Choose a file as a visitor does, wait for the right name, and return all probabilities."""
    driver.find_element(By.ID, "file").send_keys(str(file))
    answer = driver.find_element(By.ID, "answer")
    WebDriverWait(driver, SECONDS).until(lambda _: answer.text not in ("", "…"))
    if not answer.text.startswith(f"{name}: "):
        sys.exit(f"For {file.name} the page says: {answer.text}")
    found = driver.execute_async_script(PROBABILITIES)
    return np.array([row["probability"] for row in found])


if __name__ == "__main__":
    main()
