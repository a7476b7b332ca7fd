"""Models, and faster ways to the same result."""
