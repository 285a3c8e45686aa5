"""What pruning did to a model, and what that is worth on disk and in time."""
