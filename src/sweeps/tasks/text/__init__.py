"""Text classification, with scikit-learn."""
