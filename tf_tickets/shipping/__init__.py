"""Files to ship: SavedModel, TFLite, `.keras` that holds its masks, and a report on their sizes."""
