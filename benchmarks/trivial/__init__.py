"""A task that costs nothing, so that a benchmark measures what surrounds a trial."""
