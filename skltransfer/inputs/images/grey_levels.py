"""The grey levels that all images are brought to."""

from __future__ import annotations

BLACK_TO_WHITE = (0.0, 255.0)
