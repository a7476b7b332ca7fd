"""A third kind of work, as a user's own package: regression on the numbers of a CSV file."""
