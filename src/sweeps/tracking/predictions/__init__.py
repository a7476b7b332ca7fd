"""Logs of predictions, from memory over disk to MLflow."""
