"""From an asynchronous engine, asked for one completion at a time, to a stream of completions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice

from percasym.engines.base import Completion, Request


def complete(
    runner: asyncio.Runner,
    requests: Iterable[Request],
    ask: Callable[[Request], Awaitable[Completion]],
    at_once: int,
) -> Iterator[Completion]:
    """The completions in the order in which they finish; `at_once` requests are on their way.

    The first request that fails ends those on their way, and its error is raised; closing the iterator ends
    them too.
    """
    source = iter(requests)
    loop = runner.get_loop()

    async def _ask(request: Request) -> Completion:
        return await ask(request)

    async def first_of(tasks: set[asyncio.Task[Completion]]) -> set[asyncio.Task[Completion]]:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done

    async def end(tasks: set[asyncio.Task[Completion]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    waiting = {loop.create_task(_ask(request)) for request in islice(source, at_once)}
    try:
        while waiting:
            done = runner.run(first_of(waiting))
            waiting -= done
            yield from (task.result() for task in done if not task.exception())
            for task in done:
                task.result()  # raises the error, if there is one
            waiting |= {loop.create_task(_ask(request)) for request in islice(source, len(done))}
    finally:
        runner.run(end(waiting))
