"""The work itself, one folder for each kind: data, models, metrics, and what is stored. It knows no framework."""
