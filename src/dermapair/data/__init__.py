"""From a source folder to batches of pixels: case tables, adapters, splits, prepared pixels, lesions."""
