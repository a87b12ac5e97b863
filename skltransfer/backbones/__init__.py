"""What was pretrained: networks by name, by file and by content."""

from skltransfer.backbones import images as images
