"""Features and a model become recommendations."""
