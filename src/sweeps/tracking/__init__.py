"""Everything that talks to MLflow: the runs of a sweep, and the model registry. Nothing else imports mlflow."""
