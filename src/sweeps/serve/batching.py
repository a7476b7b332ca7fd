"""Predictions off the event loop: single ones answered together, batches one after another beside them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sweeps.serve.problems import Problem

_TOGETHER = 64
R = TypeVar("R")


class MicroBatcher:
    """Answers single items together: those that arrive while a prediction runs go into the next one.

    An item alone is predicted at once, so nothing waits for company.

    Args:
        predict: answers for items, in their order; runs in a thread of its own.
        max_waiting: items that may wait.
    """

    def __init__(self, predict: Callable[[list[Any]], Sequence[Any]], max_waiting: int) -> None:
        self._predict = predict
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="single predictions")
        self._running: asyncio.Task[None] | None = None

    async def ask(self, item: Any) -> Any:
        """The answer for an item.

        Raises:
            Problem: too many wait.
        """
        if len(self._waiting) >= self._max_waiting:
            raise too_busy()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = loop.create_task(self._run(loop))
        return await future

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
                taken = [(item, future) for item, future in taken if not future.done()]  # whose client has left
                if taken:
                    await self._answer(loop, taken)
        finally:
            self._running = None

    async def _answer(self, loop: asyncio.AbstractEventLoop, taken: list[tuple[Any, asyncio.Future[Any]]]) -> None:
        try:
            answers = await loop.run_in_executor(self._thread, self._predict, [item for item, _ in taken])
        except Exception as error:  # noqa: BLE001 - it is given to who asked
            if len(taken) == 1:
                _settle(taken[0][1], error)
                return
            for one in taken:  # so that an item that cannot be predicted fails alone
                if not one[1].done():
                    await self._answer(loop, [one])
            return
        for (_, future), answer in zip(taken, answers, strict=True):
            _settle(future, answer)


class InTurn:
    """Runs long work in a few threads, with a limited queue.

    Args:
        n_threads: how many run at once.
        max_waiting: how many may wait or run.
    """

    def __init__(self, n_threads: int, max_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="batches")
        self._max_waiting = max_waiting
        self._n_inside = 0

    async def run(self, work: Callable[..., R], *arguments: Any) -> R:
        """The result of the work.

        Raises:
            Problem: too much waits.
        """
        if self._n_inside >= self._max_waiting:
            raise too_busy()
        self._n_inside += 1
        future = self._threads.submit(work, *arguments)
        loop = asyncio.get_running_loop()
        # Counted until the thread is done with it, which is later than a client that leaves or times out.
        future.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._leave))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self) -> None:
        self._n_inside -= 1


def too_busy() -> Problem:
    """The refusal of what would wait too long."""
    return Problem(503, "too_busy", "Too many requests are waiting; try again in a second.", {"Retry-After": "1"})


def _settle(future: asyncio.Future[Any], outcome: Any) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
