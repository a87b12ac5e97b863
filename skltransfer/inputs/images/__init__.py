"""Images: which X are images, and how they are read, resized and scaled."""

from skltransfer.inputs.images import files as files  # which registers itself
