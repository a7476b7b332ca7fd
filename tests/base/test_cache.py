"""Shared work: equal whether computed or read, computed once, bounded, and safe whatever happens to its files."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from sweeps.base.cache import SharedCache, array_file, folder, sweep_folder
from sweeps.base.cache.array_file import DamagedFileError
from sweeps.base.cache.packing import pack, unpack

SPAWN = multiprocessing.get_context("spawn")
MANY = 2**40


@dataclass(frozen=True)
class Result:
    """What is computed here."""

    numbers: np.ndarray
    matrix: sparse.csr_matrix
    name: str
    factor: float


@dataclass(frozen=True)
class Block:
    """Bytes."""

    content: np.ndarray


@dataclass(frozen=True)
class Foreign:
    """What no file can hold."""

    anything: object


def make(seed: int = 0) -> Result:
    random = np.random.default_rng(seed)
    matrix = sparse.random_array((30, 40), density=0.2, rng=random, format="csr")
    return Result(random.normal(size=(50, 3)), sparse.csr_matrix(matrix), f"seed {seed}", 0.1 + seed)


def assert_same(found: Result, expected: Result) -> None:
    for name, one in pack(expected).items():  # type: ignore[union-attr]
        other = pack(found)[name]  # type: ignore[index]
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert type(found.matrix) is type(expected.matrix)
    assert found.matrix.has_sorted_indices == expected.matrix.has_sorted_indices


def shared_with(path: Path | None, max_bytes: int = MANY, memory: int = 2**28) -> SharedCache:
    """A store as another process would have it."""
    cache = SharedCache(memory)
    cache.share(path, max_bytes)
    return cache


class Counting:
    """Computes `make()` and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Result:
        self.calls += 1
        return make()


def entries(path: Path) -> list[Path]:
    return sorted(path.glob("*.arrays"))


def taken(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir() if file.suffix in (".arrays", ".partial"))


# -- the file ------------------------------------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.text(max_size=8),
        hnp.arrays(
            st.sampled_from([np.float64, np.int32, np.bool_, np.uint8, "<U3", ">f4"]), hnp.array_shapes(min_dims=0)
        ),
        max_size=4,
    )
)
def test_arrays_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("file") / "x"
    with path.open("wb") as file:
        array_file.write(file, arrays)
    assert path.stat().st_size == array_file.file_size(arrays)
    with path.open("rb") as file:
        found = array_file.read(file)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_every_flipped_byte_and_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        array_file.write(file, {"a": np.arange(5), "b": np.array(["x", "yz"])})
    whole = path.read_bytes()
    damaged = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for content in [*damaged, *(whole[:length] for length in range(len(whole))), whole + b"\0"]:
        path.write_bytes(content)
        with path.open("rb") as file, pytest.raises(DamagedFileError):
            array_file.read(file)


def test_writing_to_what_was_read_changes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        array_file.write(file, {"a": np.arange(5)})
    with path.open("rb") as file:
        array_file.read(file)["a"][:] = 7
        np.testing.assert_array_equal(array_file.read(file)["a"], np.arange(5))


def test_what_arrays_cannot_stand_for_is_not_packed() -> None:
    assert pack(Foreign(object())) is None
    assert pack(Foreign(np.array([object()]))) is None
    assert pack(Foreign(np.zeros((3, 4)).T)) is None  # in another order it would sum up differently
    assert pack(Foreign(np.ma.masked_array([1.0], [True]))) is None
    wide = make()
    assert_same(unpack(Result, pack(wide)), wide)  # type: ignore[arg-type]


# -- one store, two processes ----------------------------------------------------------------------------------------


def test_computed_mapped_and_remembered_results_are_equal(tmp_path: Path) -> None:
    compute = Counting()
    first, second, alone = shared_with(tmp_path), shared_with(tmp_path), shared_with(None)
    for cache in (first, first, second, second, alone):
        assert_same(cache.get_or_share(("k", 1), Result, compute), make())
    assert compute.calls == 2  # one for the two that share


def test_keys_and_kinds_are_told_apart(tmp_path: Path) -> None:
    cache = shared_with(tmp_path, memory=0)
    keys: list[tuple[str | int | float | bool | None, ...]] = [("1",), (1,), ("1", "2"), ('1", "2',), (None,), (1.5,)]
    for place, key in enumerate(keys):
        cache.get_or_share(key, Block, lambda place=place: Block(np.array([place])))  # type: ignore[misc]
    for place, key in enumerate(keys):
        found = cache.get_or_share(key, Block, lambda: Block(np.array([-1])))
        assert found.content.tolist() == [place]
    assert len(entries(tmp_path)) == len(keys)


def test_what_no_file_can_hold_stays_in_memory(tmp_path: Path) -> None:
    cache, made = shared_with(tmp_path), []

    def compute() -> Foreign:
        made.append(object())
        return Foreign(made[-1])

    assert cache.get_or_share(("k",), Foreign, compute) is cache.get_or_share(("k",), Foreign, compute)
    assert len(made) == 1
    assert not entries(tmp_path)


def test_the_error_of_a_computation_is_raised_and_the_next_one_tries_again(tmp_path: Path) -> None:
    cache = shared_with(tmp_path)

    def fail() -> Result:
        raise OSError("of the computation")

    with pytest.raises(OSError, match="of the computation"):
        cache.get_or_share(("k",), Result, fail)
    assert_same(shared_with(tmp_path).get_or_share(("k",), Result, make), make())


def test_memory_is_bounded(tmp_path: Path) -> None:
    cache = shared_with(tmp_path, memory=10_000)
    for number in range(30):
        cache.get_or_share((number,), Block, lambda: Block(np.zeros(400)))
        assert cache.held_bytes <= 10_000
    assert cache.held_bytes == 3 * 3200
    cache.resize(4000)
    assert cache.held_bytes == 3200


# -- damage ------------------------------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


def make_folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


def make_foreign(path: Path) -> None:
    path.write_bytes(b"something else\n" * 100)


def make_other_arrays(path: Path) -> None:
    with path.open("wb") as file:
        array_file.write(file, {"unheard_of": np.arange(3)})


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [truncate, empty, flip, make_folder, make_foreign, make_other_arrays, remove])
def test_a_damaged_entry_is_computed_again_and_mended(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    compute = Counting()
    writer = shared_with(tmp_path)
    writer.get_or_share(("k",), Result, compute)
    (path,) = entries(tmp_path)
    os.utime(path, ns=(0, 0))  # whatever the clock's grain, the damage has another time
    damage(path)
    assert_same(shared_with(tmp_path).get_or_share(("k",), Result, compute), make())
    assert_same(writer.get_or_share(("k",), Result, compute), make())
    assert compute.calls == 2
    assert_same(shared_with(tmp_path).get_or_share(("k",), Result, compute), make())
    assert compute.calls == 2


@pytest.mark.parametrize("damage", [truncate, empty, flip, make_foreign])
def test_what_is_mapped_is_not_read_after_damage(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    cache = shared_with(tmp_path)
    cache.get_or_share(("k",), Result, make)
    (path,) = entries(tmp_path)
    os.utime(path, ns=(0, 0))
    damage(path)
    assert_same(cache.get_or_share(("k",), Result, make), make())


def test_a_folder_deleted_under_a_sweep_means_no_sharing(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    cache = shared_with(path)
    before = cache.get_or_share(("k",), Result, make)
    shutil.rmtree(path)
    assert_same(before, make())
    for key in ("k", "other"):
        assert_same(cache.get_or_share((key,), Result, make), make())
        assert_same(shared_with(path).get_or_share((key,), Result, make), make())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_means_no_sharing(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert_same(shared_with(tmp_path).get_or_share(("k",), Result, make), make())
        with sweep_folder(tmp_path) as path:
            assert path is None
    finally:
        tmp_path.chmod(0o700)


def test_a_parent_that_is_not_there_means_no_folder(tmp_path: Path) -> None:
    with sweep_folder(tmp_path / "absent") as path:
        assert path is None
    assert_same(shared_with(None).get_or_share(("k",), Result, make), make())


def test_a_disk_that_ends_in_the_middle_of_a_file_means_no_sharing(tmp_path: Path) -> None:
    code = f"""
import resource, signal, numpy as np
from pathlib import Path
from sweeps.base.cache import SharedCache
from test_cache import Block
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cache = SharedCache(2**28)
cache.share(Path({str(tmp_path)!r}), 2**40)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
for size in (1_000, 1_000_000):
    found = cache.get_or_share((size,), Block, lambda: Block(np.arange(size)))
    assert found.content.tolist() == list(range(size))
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True, timeout=60)
    assert len(entries(tmp_path)) == 1
    assert not list(tmp_path.glob("*.partial"))


def test_a_nearly_full_disk_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_SPARE", shutil.disk_usage(tmp_path).free + 2**30)
    assert_same(shared_with(tmp_path).get_or_share(("k",), Result, make), make())
    assert not entries(tmp_path)


# -- the bound ---------------------------------------------------------------------------------------------------------


def test_the_least_recently_used_make_room_and_stay_readable_where_they_are_mapped(tmp_path: Path) -> None:
    writer, reader = shared_with(tmp_path, max_bytes=50_000), shared_with(tmp_path, max_bytes=50_000)
    mapped = []
    for number in range(20):
        mapped.append(writer.get_or_share((number,), Block, lambda number=number: Block(np.full(1250, number))))  # type: ignore[misc]
        reader.get_or_share((0,), Block, lambda: Block(np.zeros(1250)))  # in use all the time
        assert taken(tmp_path) <= 50_000
    assert all((one.content == number).all() for number, one in enumerate(mapped))
    fresh, computed = shared_with(tmp_path, max_bytes=50_000, memory=0), []
    for number in (0, 19, 18, 1):
        fresh.get_or_share((number,), Block, lambda number=number: computed.append(number) or Block(np.zeros(1)))  # type: ignore[misc, func-returns-value]
    assert computed == [1]


def test_what_is_larger_than_the_bound_is_not_stored(tmp_path: Path) -> None:
    cache = shared_with(tmp_path, max_bytes=10_000)
    cache.get_or_share(("small",), Block, lambda: Block(np.zeros(100)))
    cache.get_or_share(("large",), Block, lambda: Block(np.zeros(10_000)))
    assert taken(tmp_path) <= 10_000


def test_what_a_dead_writer_left_half_written_counts_no_longer(tmp_path: Path) -> None:
    (tmp_path / "x.1.partial").write_bytes(bytes(9_000))
    with (tmp_path / "y.2.partial").open("wb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        alive.truncate(1_000)
        cache = shared_with(tmp_path, max_bytes=10_000)
        cache.get_or_share(("k",), Block, lambda: Block(np.zeros(1_000)))
        assert [path.name for path in tmp_path.glob("*.partial")] == ["y.2.partial"]
    assert len(entries(tmp_path)) == 1


# -- processes ---------------------------------------------------------------------------------------------------------


def work(path: Path, max_bytes: int, keys: int, start: Barrier, results: Queue[tuple[int, bool]]) -> None:
    """Ask for every key at the same moment as the others."""
    cache, computed = shared_with(path, max_bytes), 0
    start.wait(60)
    right = True
    for key in range(keys):

        def compute(key: int = key) -> Result:
            nonlocal computed
            computed += 1
            time.sleep(0.05)
            return make(key)

        found = cache.get_or_share((key,), Result, compute)
        right = right and found.name == f"seed {key}" and found.numbers.tobytes() == make(key).numbers.tobytes()
    results.put((computed, right))


@pytest.mark.parametrize("n_entries_on_disk", [8, 3])
def test_eight_processes_compute_each_entry_once_and_keep_the_bound_together(
    tmp_path: Path, n_entries_on_disk: int
) -> None:
    max_bytes = n_entries_on_disk * array_file.file_size(pack(make()) or {}) + 100
    results: Queue[tuple[int, bool]] = SPAWN.Queue()
    start = SPAWN.Barrier(8)
    processes = [SPAWN.Process(target=work, args=(tmp_path, max_bytes, 8, start, results)) for _ in range(8)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        sizes = []
        for file in tmp_path.glob("*.arrays"):
            with suppress(FileNotFoundError):
                sizes.append(file.stat().st_size)
        assert sum(sizes) <= max_bytes
        time.sleep(0.01)
    answers = [results.get(timeout=60) for _ in processes]
    assert all(right for _, right in answers)
    if n_entries_on_disk == 8:
        assert sum(computed for computed, _ in answers) == 8


def hold(path: Path, while_writing: bool, ready: Queue[int]) -> None:
    """Compute, or write, until killed."""
    cache = shared_with(path)

    def wait() -> Result:
        ready.put(os.getpid())
        time.sleep(600)
        return make()

    def write(file: object, arrays: object) -> None:
        file.write(bytes(1000))  # type: ignore[attr-defined]
        file.flush()  # type: ignore[attr-defined]
        wait()

    if while_writing:
        array_file.write = write  # type: ignore[assignment]
    cache.get_or_share(("k",), Result, make if while_writing else wait)


@pytest.mark.parametrize("while_writing", [False, True])
def test_a_killed_process_holds_nothing_up(tmp_path: Path, while_writing: bool) -> None:
    ready: Queue[int] = SPAWN.Queue()
    process = SPAWN.Process(target=hold, args=(tmp_path, while_writing, ready))
    process.start()
    os.kill(ready.get(timeout=60), signal.SIGKILL)
    process.join()
    assert bool(list(tmp_path.glob("*.partial"))) == while_writing
    compute = Counting()
    for _ in range(2):
        assert_same(shared_with(tmp_path).get_or_share(("k",), Result, compute), make())
    assert compute.calls == 1
    assert not list(tmp_path.glob("*.partial"))


# -- the folder of a sweep ---------------------------------------------------------------------------------------------


def own_until_killed(parent: Path, ready: Queue[str]) -> None:
    with sweep_folder(parent) as path:
        assert path is not None
        shared_with(path).get_or_share(("k",), Result, make)
        ready.put(str(path))
        time.sleep(600)


def test_a_folder_is_removed_at_the_end_and_after_a_kill_by_the_next_sweep(tmp_path: Path) -> None:
    ready: Queue[str] = SPAWN.Queue()
    process = SPAWN.Process(target=own_until_killed, args=(tmp_path, ready))
    process.start()
    left = Path(ready.get(timeout=60))
    with sweep_folder(tmp_path) as own:
        assert own is not None
        assert left.is_dir(), "its owner is alive"
        assert own.stat().st_mode & 0o777 == 0o700
        with sweep_folder(tmp_path) as another:
            assert another not in (own, None)
            assert own.is_dir()
    assert not own.exists()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert entries(left)
    with sweep_folder(tmp_path):
        assert not left.exists()
    assert not list(tmp_path.iterdir())
