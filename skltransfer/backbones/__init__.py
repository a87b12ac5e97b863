"""Pretrained networks, by name, file and content."""

from skltransfer.backbones import images as images
from skltransfer.backbones import sounds as sounds
