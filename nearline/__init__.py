"""Fresh events become fresh features, between batches."""
