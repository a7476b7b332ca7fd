"""The promoted model as an HTTP service: `python -m sweeps.serve models:/reviews@champion`."""
