"""Data files: one the user names, or one that is fetched once and kept."""

import os
import re
import stat
import sys
from pathlib import Path

from sweeps.base.errors import DataError
from sweeps.tasks.rows import listed

CACHE_VARIABLE = "SWEEPS_DATA_DIR"
SECONDS_WITHOUT_AN_ANSWER = 20
RETRIES = 1


def existing_file(path: str | os.PathLike[str] | None, advice: str = "type dataset.path=FILE") -> Path:
    """The file a user named, with "~" resolved.

    Args:
        path: where it is; None where `dataset.path` was left unset.
        advice: how to name another.

    Raises:
        DataError: no path, nothing there, or not a file.
    """
    if path is None or not str(path):
        raise DataError(f"dataset.path is not set: {advice}")
    file = Path(path)
    try:
        file = file.expanduser()
        is_folder = stat.S_ISDIR(file.stat().st_mode)
    except FileNotFoundError as error:
        where = "" if file.is_absolute() else f" (looked in {Path.cwd()})"
        raise DataError(f"{file} does not exist{where}: {advice}") from error
    except (OSError, RuntimeError, ValueError) as error:
        # No permission, a name too long or with a NUL in it, or the home of a user that is not there.
        raise DataError(f"{file} cannot be read: {error}; {advice}") from error
    if is_folder:
        raise DataError(f"{file} is a folder, not a file{_files_in(file)}: {advice}")
    return file


def _files_in(folder: Path) -> str:
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return ""
    return f" (it holds {listed(names)})" if names else " (and empty)"


def fetch(url: str, sha256: str, path: str | os.PathLike[str] | None = None) -> Path:
    """The file at `path`, or else the one at `url`, downloaded on first use and kept.

    It is kept in the folder that the environment variable SWEEPS_DATA_DIR names, by default in the user's cache. A
    kept file whose checksum no longer fits is fetched again.

    Args:
        url: http or https address.
        sha256: checksum of the content, hex. It names the file in the cache too, so that two versions do not collide.
        path: a file to use instead; its checksum is not compared, since a user's own copy may well be an edited one.

    Raises:
        DataError: `path` is not a file; or the download failed or had another checksum, in which case nothing of it is
            kept and the message says where to put the file by hand.

    Source: `pooch` (https://www.fatiando.org/pooch) downloads to a temporary file, compares, and moves it into place.
    """
    if path is not None:
        return existing_file(path)
    import pooch  # a tenth of a second, wanted only here

    name = f"{sha256[:8]}-{re.split('[?#]', url)[0].rpartition('/')[2] or 'data'}"
    cache = pooch.create(
        path=pooch.os_cache("sweeps"),
        env=CACHE_VARIABLE,
        base_url="",
        registry={name: sha256},
        urls={name: url},
        retry_if_failed=RETRIES,
    )
    kept = Path(cache.abspath) / name
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=SECONDS_WITHOUT_AN_ANSWER)
    try:
        return Path(cache.fetch(name, downloader=downloader))
    except (OSError, ValueError) as error:
        # requests' errors are OSErrors, and so are those of a cache folder that cannot be written; a ValueError is
        # pooch's word for a wrong checksum (it names both), and urllib3's for an address that makes no sense.
        stale = ""
        if kept.is_file() and os.access(kept, os.R_OK):
            stale = f" The file that is there has another checksum, {pooch.file_hash(kept)}."
        raise DataError(
            f"{url} could not be downloaded: {error}{stale}\n"
            f"Put the file with the sha256 {sha256} at {kept} (or in another cache folder: {CACHE_VARIABLE}=FOLDER), "
            "or name a copy of yours: dataset.path=FILE"
        ) from error
