"""The grey levels to which all images are scaled."""

from __future__ import annotations

BLACK_TO_WHITE = (0.0, 255.0)
