"""Where the documentation is, for the links in the HTML representation of estimators."""

from __future__ import annotations

from typing import ClassVar

DOCUMENTATION = "https://skltransfer.readthedocs.io/en/latest"


class Documented:
    """An estimator whose page in the documentation scikit-learn can link to."""

    _doc_link_module: ClassVar[str] = "skltransfer"
    _doc_link_template: ClassVar[str] = (
        f"{DOCUMENTATION}/generated/skltransfer.{{estimator_name}}.html"
    )
