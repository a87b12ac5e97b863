"""Write ``keras_applications.json``: facts that only building each Keras network reveals.

Run ``python -m skltransfer.backbones.measure_keras_applications`` when Keras has new networks; a
test compares the file with the installed Keras.
"""

from __future__ import annotations

import gc
import json

from skltransfer.backbones import keras_applications as applications
from skltransfer.backbones.random_state import seeded_python_random


def measure(name: str) -> dict[str, list[int] | int]:
    """Return the native size, and the number of parameters without the top."""
    size = applications.measured_size(name)
    gc.collect()
    with seeded_python_random(0):
        features = applications.build(name, (*size, 3))
    return {"input_size": list(size), "n_parameters": features.count_params()}


def main() -> None:
    """Measure all networks, one after another."""
    found = {name: measure(name) for name in applications.constructors()}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(fact)}" for name, fact in found.items())
    applications.FACTS_FILE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
