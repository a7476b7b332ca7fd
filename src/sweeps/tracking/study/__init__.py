"""A study as MLflow runs: one parent, and a child for each trial."""
