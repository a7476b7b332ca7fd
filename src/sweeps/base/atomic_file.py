"""Files and folders that appear when they are complete."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from sweeps.base.errors import StorageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to instead, which takes the place of the other when the `with` block ends.

    If the block raises, nothing is left of it. Several processes may do so at once: the last one wins.

    Args:
        path: a file, there or not, or a folder that is absent or empty.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as YAML; see `write_text`."""
    write_text(path, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))


def write_text(path: Path, text: str) -> None:
    """Write a file, which appears when it is complete.

    Raises:
        StorageError: it cannot be written, as when the disk is full.
    """
    try:
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}. Check that there is space, then resume the sweep."
        ) from error
