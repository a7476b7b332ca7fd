"""Named arrays in one file, read back as a mapping of it. No pickle: the header says dtype, shape and place of each.

8 bytes   magic
8 bytes   length of the header, little-endian
8 bytes   CRC-32 of all that follows
header    JSON: {"name": [dtype, shape, offset from the end of the header], ...}, padded with spaces
arrays    each starts at a multiple of 64 bytes
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

_MAGIC = b"sweeps\x00\x01"
_START = struct.Struct("<8sQQ")
_ALIGNMENT = 64
_PIECE = 2**24  # bytes written and summed up at a time

Arrays = Mapping[str, np.ndarray]


class DamagedFileError(Exception):
    """The bytes are not what was written."""


def file_size(arrays: Arrays) -> int:
    """The size of a file of these arrays, in bytes."""
    return _START.size + len(_header(arrays)) + _layout(arrays)[1]


def write(file: BinaryIO, arrays: Arrays) -> None:
    """Write arrays to an empty file.

    Args:
        file: open for writing, at its start.
        arrays: C-contiguous, of any dtype without objects.

    Raises:
        OSError: the disk is full, say.
    """
    header = _header(arrays)
    checksum = zlib.crc32(header)
    file.write(_START.pack(_MAGIC, len(header), 0))
    file.write(header)
    at = 0
    for (_, _, offset), array in zip(_layout(arrays)[0].values(), arrays.values(), strict=True):
        padding = bytes(offset - at)
        file.write(padding)
        checksum = zlib.crc32(padding, checksum)
        content = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(content), _PIECE):
            piece = content[start : start + _PIECE]
            file.write(piece)
            checksum = zlib.crc32(piece, checksum)
        at = offset + array.nbytes
    file.seek(0)
    file.write(_START.pack(_MAGIC, len(header), checksum))
    file.flush()


def read(file: BinaryIO, *, verify: bool = True) -> dict[str, np.ndarray]:
    """Map the arrays of a file.

    The mapping is private and copy-on-write: processes share its memory, none can change what another one reads, and
    compiled code sees arrays of the type it was compiled for. Unlinking the file leaves it as it is.

    Args:
        file: open for reading, with a file descriptor.
        verify: compare the checksum, which reads all of it.

    Raises:
        DamagedFileError: truncated, changed or of another format.
        OSError: it cannot be read.
    """
    size = os.fstat(file.fileno()).st_size
    if size < _START.size:
        raise DamagedFileError(f"{size} bytes are no file of arrays")
    content = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
    magic, header_length, checksum = _START.unpack_from(content)
    start = _START.size + header_length
    if magic != _MAGIC or start > size or (verify and _checksum(content) != checksum):
        raise DamagedFileError("the checksum is another")
    try:
        described = json.loads(content[_START.size : start])
        return {
            name: np.ndarray(tuple(shape), np.dtype(dtype), buffer=content, offset=start + offset)
            for name, (dtype, shape, offset) in described.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedFileError(str(error)) from error


def _checksum(content: mmap.mmap) -> int:
    checksum = 0
    with memoryview(content) as view:
        for start in range(_START.size, len(view), _PIECE):
            checksum = zlib.crc32(view[start : start + _PIECE], checksum)
    return checksum


def _header(arrays: Arrays) -> bytes:
    described = json.dumps(_layout(arrays)[0]).encode()
    return described + b" " * (-(_START.size + len(described)) % _ALIGNMENT)


def _layout(arrays: Arrays) -> tuple[dict[str, tuple[str, tuple[int, ...], int]], int]:
    """Dtype, shape and place of each array, and the end of the last."""
    places = {}
    end = 0
    for name, array in arrays.items():
        offset = math.ceil(end / _ALIGNMENT) * _ALIGNMENT
        places[name] = (array.dtype.str, array.shape, offset)
        end = offset + array.nbytes
    return places, end
