"""Sweeps from Python: the same engine as the commands, with exceptions in place of messages and exit codes."""
