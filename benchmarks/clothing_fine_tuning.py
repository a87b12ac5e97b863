"""Fine-tune the bundled network on photographs of clothes, and time it.

Settings were chosen on a quarter of the training part (``--choose``), which keeps the validation
part apart until they are fixed.

Usage: ``python benchmarks/clothing_fine_tuning.py DATA``, where ``DATA/train`` and
``DATA/validation`` hold a folder of JPEG files for each class, as clothing-dataset-small does
(CC0, https://github.com/alexeygrigorev/clothing-dataset-small).
"""

import argparse
import os
import time
from ast import literal_eval
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from sklearn.model_selection import train_test_split

from skltransfer import FineTunedClassifier, images_from_folder

SETTINGS = {
    "epochs": 8,
    "augment": "flip",
    "n_views": 2,
    "input_size": (336, 336),
    "resize": "pad",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the folders train and validation")
    parser.add_argument("--choose", action="store_true", help="judge on a part of train instead")
    parser.add_argument("--cache", default="memory", help="memory, or a directory")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--settings", type=literal_eval, default={}, help="a dict: other parameters than the usual"
    )
    options = parser.parse_args()
    images, labels, unseen, truth = parts(options)
    for seed in options.seeds:
        settings = {**SETTINGS, **options.settings, "random_state": seed, "cache": options.cache}
        classifier = FineTunedClassifier(**settings)
        start = time.perf_counter()
        classifier.fit(images, labels)
        seconds = time.perf_counter() - start
        accuracy = classifier.score(unseen, truth)
        print(f"{settings}: {seconds:.0f} s to fit {len(images)} images")
        print(f"accuracy on {len(unseen)} others: {accuracy:.4f}", end="")
        if classifier.augment is not None:
            averaged = classifier.set_params(tta=True).score(unseen, truth)
            print(f"; averaged over views, tta=True: {averaged:.4f}", end="")
        print(flush=True)


def parts(options):
    """Images and labels to train on, and those to judge by."""
    train = images_from_folder(options.data / "train")
    if options.choose:
        chosen = train_test_split(
            train.data, train.target, test_size=0.25, stratify=train.target, random_state=0
        )
        return chosen[0], chosen[2], chosen[1], chosen[3]
    validation = images_from_folder(options.data / "validation")
    return train.data, train.target, validation.data, validation.target


if __name__ == "__main__":
    main()
