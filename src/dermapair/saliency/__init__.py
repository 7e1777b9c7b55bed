"""Which pixels speak for a class: maps, where their cells lie in the image, boxes and overlays."""
