"""Cross-validate classifiers of 1,797 scanned digits, with a pretrained network, offline.

The digits come with scikit-learn, the pretrained network with skltransfer. The same classifier is
cross-validated twice: on the pixels, and on the features of the network. The images are tiny, so a
small input size is enough, and features from the middle of the network are useful in addition to
those from later layers.

Run with ``python quickstart.py [IMAGE]``; it writes quickstart.png to the current folder.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skltransfer import PretrainedFeatureExtractor


def main(image="quickstart.png"):
    digits = load_digits()  # images: 1797 images of 8 x 8 pixels with values from 0 to 16
    extractor = PretrainedFeatureExtractor(
        layer=["block3b_add", "block4c_add", "block5c_add"],
        pixel_range=(0, 16),
        input_size=(32, 32),
    )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    model = make_pipeline(extractor, *classifier)

    from_pixels = cross_val_predict(classifier, digits.data, digits.target, cv=5)
    print(f"5 folds, from pixels:       {accuracy_score(digits.target, from_pixels):.3f}")
    from_network = cross_val_predict(model, digits.images, digits.target, cv=5)
    accuracy = accuracy_score(digits.target, from_network)
    print(f"5 folds, from the network:  {accuracy:.3f}")

    draw(digits.images, digits.target, from_network, accuracy, image)
    print(f"image written: {image}")


def draw(images, labels, predicted, accuracy, panel_image):
    """Show every 25th digit and its predicted class."""
    figure, axes = plt.subplots(6, 12, figsize=(9, 6), layout="constrained")
    for axis, image, label, guess in zip(
        axes.flat, images[::25], labels[::25], predicted[::25], strict=True
    ):
        axis.imshow(image, cmap="gray_r")
        axis.axis("off")
        if guess == label:
            axis.set_title(guess)
        else:
            axis.set_title(f"{guess}, not {label}", color="tab:red")
    figure.suptitle(f"Every 25th of {len(images)} digits; right over all: {accuracy:.1%}")
    figure.savefig(panel_image, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
