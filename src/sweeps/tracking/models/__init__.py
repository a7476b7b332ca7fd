"""Models in the registry: stored as plain data, gated, found and loaded."""
