"""Locks on stages that the operating system frees, whatever becomes of their holder.

Prefect's own file locks stay behind when a process is killed, and then every later run waits for ever.
"""

import asyncio

from filelock import BaseFileLock, FileLock, Timeout
from prefect.locking.protocol import LockManager

from percasym.home import Home


def stage_lock(key: str) -> BaseFileLock:
    """The lock of the stage `key` (STAGE/KEY) in the current home folder, not yet acquired."""
    folder = Home.current().locks
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{key.replace('/', '-')}.lock", thread_local=False)


def held(key: str) -> bool:
    """Whether anybody holds the lock `key`."""
    lock = stage_lock(key)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


class StageLocks(LockManager):
    """Prefect's protocol on top of `stage_lock`; holders are Prefect's names for its transactions."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, BaseFileLock]] = {}

    def __deepcopy__(self, memo: object) -> "StageLocks":
        return self  # a task that is copied keeps its locks

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        if self.is_lock_holder(key, holder):
            return True
        lock = stage_lock(key)
        try:
            lock.acquire(timeout=-1 if acquire_timeout is None else acquire_timeout)
        except Timeout:
            return False
        self._held[key] = (holder, lock)
        return True

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        return await asyncio.to_thread(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        if not self.is_lock_holder(key, holder):
            raise ValueError(f"{holder} does not hold the lock of {key}")
        self._held.pop(key)[1].release()

    def is_lock_holder(self, key: str, holder: str) -> bool:
        return key in self._held and self._held[key][0] == holder

    def is_locked(self, key: str) -> bool:
        return key in self._held or held(key)

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        lock = stage_lock(key)
        try:
            lock.acquire(timeout=-1 if timeout is None else timeout)
        except Timeout:
            return False
        lock.release()
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return await asyncio.to_thread(self.wait_for_lock, key, timeout)
