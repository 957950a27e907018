"""From features to a model."""
