"""Hydra: from a command line and config groups to composed configs, settings and a checked search space."""
