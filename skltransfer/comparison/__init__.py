"""Does transfer pay: backbones, layers and input sizes against each other and a baseline."""
