"""Images: what is taken for them, how they are read, resized and scaled."""
