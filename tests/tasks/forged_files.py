"""Every file that differs from one of a stored model in one array or scalar.

As a program, `python -m tasks.forged_files KIND FOLDER` in the folder `tests` loads each forged model and
predicts with it. It prints a line of JSON before each and one after it, so that whoever reads them knows which file has
crashed it.
"""

from __future__ import annotations

import copy
import io
import json
import math
import shutil
import sys
import traceback
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stored_models import TEXT_KINDS, store
from sweeps.base.errors import DataError, ModelError
from sweeps.tasks.ratings.model import Recommender
from sweeps.tracking.models.pyfunc import load_predictor


def arrays_like(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What may stand in an array's place; some are of its shape and type with other values."""
    yield "empty", array[:0] if array.ndim else np.empty(0, array.dtype)
    yield "0-dimensional", np.array(array.flat[0] if array.size else 0)
    yield "2-dimensional", array[None] if array.ndim != 2 else array.ravel()
    yield "transposed", np.ascontiguousarray(array.T) if array.ndim > 1 else np.flip(array)
    yield "longer", np.concatenate([array, array]) if array.ndim else np.repeat(array, 2)
    yield "shorter", array[:-1] if array.ndim else array
    yield "textual", np.full(array.shape, "text")
    if array.dtype.kind in "iuf":
        yield "another type", array.astype(np.float32 if array.dtype.kind in "iu" else np.int64)
        yield "negative", (-array.astype(np.float64) - 1).astype(array.dtype)
        yield "large", np.full_like(array, np.iinfo(array.dtype).max if array.dtype.kind in "iu" else 1e300)
        yield "complex", array.astype(np.complex128)
    if array.dtype.kind == "f":
        yield "not a number", np.full_like(array, np.nan)


MISSING = object()
SCALARS = [MISSING, None, True, -1, 2.5, 10**12, math.nan, "text", [], [1, "a"], {"a": 1}]


def in_json(found: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Copies of a JSON value, each with another value at one place, or nothing there."""

    def at(value: Any, place: tuple[Any, ...]) -> Any:
        made = inner = copy.deepcopy(found)
        for key in place[:-1]:
            inner = inner[key]
        if value is MISSING:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value
        return made

    def places(node: Any, here: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else []
        for key, value in items:
            yield (*here, key)
            yield from places(value, (*here, key))

    for one in places(found, place):
        for value in SCALARS:
            yield f"{'.'.join(map(str, one))}: {'missing' if value is MISSING else value!r}", at(value, one)


def in_npz(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Copies of an `.npz` file, each with another array in one place, or nothing there."""
    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored)
    for name, array in arrays.items():
        others = {key: value for key, value in arrays.items() if key != name}
        for what, made in [("missing", None), *arrays_like(array)]:
            target = io.BytesIO()
            np.savez(target, **others | ({} if made is None else {name: made}))
            yield f"{name}: {what}", target.getvalue()


def _npy(array: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def _in_schema(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Another scalar in each place of a skops schema that holds one, and each entry of a dictionary left out."""
    alike: dict[str, int] = {}

    def nodes(node: Any, here: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(node, dict):
            if "__loader__" in node:
                yield here, node
            for key, value in node.items():
                yield from nodes(value, f"{here}.{key}")
        elif isinstance(node, list):
            for index, value in enumerate(node):
                yield from nodes(value, f"{here}.{index}")

    for place, node in nodes(schema, ""):
        pattern = place.rpartition(".")[0]
        alike[pattern] = alike.get(pattern, 0) + 1
        content = node.get("content")
        if node["__loader__"] == "JsonNode":
            if "vocabulary_" in place and alike[pattern] > 2:
                continue  # one word is as good as another
            for value in SCALARS:
                if value is not MISSING:
                    node["content"] = json.dumps(value)
                    yield f"{place}: {value!r}", schema
        elif node["__loader__"] == "DictNode" and isinstance(content, dict) and "vocabulary_" not in place:
            for key in list(content):
                types = node["key_types"]["content"]
                number = list(content).index(key)
                node["content"] = {name: value for name, value in content.items() if name != key}
                node["key_types"]["content"] = types[:number] + types[number + 1 :]
                yield f"{place}.{key}: missing", schema
                node["key_types"]["content"] = types
        node["content"] = content


def in_skops(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Copies of a `.skops` file, each with another array or scalar in one place, or nothing there."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def packed(name: str, made: bytes) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for member, data in (members | {name: made}).items():
                archive.writestr(member, data)
        return target.getvalue()

    for name, data in members.items():
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(data))
            for what, made in arrays_like(array):
                yield f"{name} ({array.dtype}, {array.shape}): {what}", packed(name, _npy(made))
        elif name.endswith(".npz"):
            for what, changed in in_npz(data):
                yield f"{name}: {what}", packed(name, changed)
    for what, schema in _in_schema(json.loads(members["schema.json"])):
        yield f"schema{what}", packed("schema.json", json.dumps(schema).encode())


def forged(folder: Path) -> Iterator[tuple[str, Path, bytes | None]]:
    """What to write into each file of a stored model, one at a time; None for a file that is taken away."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        yield "gone", file, None
        yield "cut short", file, content[: len(content) // 2]
        yield "bytes", file, bytes(range(256)) * 4
        if file.suffix == ".json":
            for what, made in in_json(json.loads(content)):
                yield what, file, json.dumps(made).encode()
            for text in ("[]", "3", "null", '"text"', "[" * 100_000, "{}"):
                yield text[:20], file, text.encode()
        else:
            for what, changed in (in_npz if file.suffix == ".npz" else in_skops)(content):
                yield what, file, changed


def predict(kind: str, folder: Path) -> str:
    """Load and predict: `predicted`, or the name of the error that users are meant to see."""
    try:
        predictor = load_predictor(folder)
        if kind in TEXT_KINDS:
            predictor.predict(pd.DataFrame({"text": ["good day", "", "nothing known", "bad sad rain " * 20]}))
        else:
            frame = pd.DataFrame({"user": ["a", "b", "nobody"], "item": [1, 2, 99]})
            predictor.predict(frame)
            assert isinstance(predictor, Recommender)
            predictor.recommend("a", 2)
    except (ModelError, DataError) as error:
        return type(error).__name__
    return "predicted"


def main(kind: str, folder: Path) -> None:
    """Store a model, and try every forgery of it."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    store(kind, folder)
    assert predict(kind, folder) == "predicted"
    for what, file, made in forged(folder):
        kept = file.read_bytes()
        sys.stdout.write(json.dumps([f"{file.relative_to(folder)}: {what}", None]) + "\n")
        sys.stdout.flush()
        file.unlink() if made is None else file.write_bytes(made)
        try:
            outcome = predict(kind, folder)
        except Exception:  # noqa: BLE001 - it is what is looked for
            outcome = traceback.format_exc()[-1500:]
        file.write_bytes(kept)
        sys.stdout.write(json.dumps([f"{file.relative_to(folder)}: {what}", outcome]) + "\n")
        sys.stdout.flush()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
