"""Files that appear when they are complete."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from sweeps.base.errors import StorageError


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as YAML; see `write_text`."""
    write_text(path, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))


def write_text(path: Path, text: str) -> None:
    """Write a file, which appears when it is complete.

    Raises:
        StorageError: it cannot be written, as when the disk is full.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")  # other processes may write it, too
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise StorageError(
            f"{path} cannot be written: {error.strerror}. Check that there is space, then resume the sweep."
        ) from error
