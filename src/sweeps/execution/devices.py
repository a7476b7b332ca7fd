"""The devices of this machine that worker processes share."""

from __future__ import annotations

import os
import re
from pathlib import Path


def visible_devices(folder: Path = Path("/dev")) -> list[str]:
    """The devices that trials may use, in the words of `CUDA_VISIBLE_DEVICES`; each worker is given one of them.

    The variable itself wins, with whatever it names: numbers, UUIDs, or MIG names. Without it, every NVIDIA device file
    counts (`/dev/nvidia0`, NVIDIA driver documentation, "Device files").

    Args:
        folder: of device files.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    numbers = (re.fullmatch(r"nvidia(\d+)", path.name) for path in folder.glob("nvidia*"))
    return sorted((match[1] for match in numbers if match), key=int)
