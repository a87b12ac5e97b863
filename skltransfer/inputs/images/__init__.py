"""Images: what counts as one, and how images are read, resized and scaled."""
