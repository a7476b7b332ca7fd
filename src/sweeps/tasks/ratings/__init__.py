"""Recommendation from ratings, with Surprise."""
