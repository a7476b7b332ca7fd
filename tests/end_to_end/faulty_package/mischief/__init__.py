"""A kind of work that takes no time and does what it is told to go wrong, in a package outside the project."""
