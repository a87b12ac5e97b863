"""Features as columns of an engine's own table, for frames of pandas, some rows at a time."""

import pandas as pd

from skltransfer import extract_batch


def with_features(frame, extractor):
    """Add the columns of `extract_batch` to a frame with a column "path"."""
    batch = extract_batch(extractor, frame["path"].tolist())
    # Parts without an error have the same type as the others.
    batch["error"] = pd.array(batch["error"], "string")
    return frame.assign(**{**batch, "features": list(batch["features"])})
