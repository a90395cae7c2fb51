"""Locks of stages: one holder at a time, in any thread or process, and none that outlives its process."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.locks import StageLocks

HOLD = """
from tasks.locks import StageLocks
locks = StageLocks()
locks.acquire_lock("sft/key", "other")
print("held", flush=True)
input()
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCASYM_HOME", str(tmp_path))


def test_one_holder_at_a_time() -> None:
    locks, others = StageLocks(), StageLocks()
    assert locks.acquire_lock("sft/key", "a")
    assert locks.is_lock_holder("sft/key", "a")
    assert not locks.is_lock_holder("sft/key", "b")
    assert others.is_locked("sft/key")
    assert not others.acquire_lock("sft/key", "b", acquire_timeout=0)
    assert others.acquire_lock("sft/another", "b", acquire_timeout=0)
    locks.release_lock("sft/key", "a")
    assert not others.is_locked("sft/key")
    assert others.acquire_lock("sft/key", "b", acquire_timeout=0)


def test_only_the_holder_releases() -> None:
    locks = StageLocks()
    locks.acquire_lock("sft/key", "a")
    with pytest.raises(ValueError, match="b does not hold"):
        locks.release_lock("sft/key", "b")
    assert locks.is_lock_holder("sft/key", "a")


def test_waiting_ends_when_the_lock_is_free() -> None:
    locks = StageLocks()
    locks.acquire_lock("sft/key", "a")
    assert not StageLocks().wait_for_lock("sft/key", timeout=0)
    locks.release_lock("sft/key", "a")
    assert StageLocks().wait_for_lock("sft/key")


def test_a_killed_process_leaves_no_lock_behind() -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    assert StageLocks().is_locked("sft/key")
    other.kill()
    other.wait()
    assert StageLocks().acquire_lock("sft/key", "me")
