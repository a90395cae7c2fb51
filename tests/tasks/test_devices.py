"""The limit that all flows share really limits, and each child is shown GPUs of its own."""

import threading
import time
from pathlib import Path

import pytest

from percasym import launch
from percasym.errors import PercasymError
from tasks.devices import CORES, GPUS, VISIBLE, available, device_slots, local_gpus

pytestmark = pytest.mark.usefixtures("prefect_server", "home")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of which three GPUs are ours."""
    monkeypatch.setenv(VISIBLE, "1,2,5")
    available(3)


@pytest.mark.usefixtures("gpus")
def test_work_waits_for_devices_that_others_have() -> None:
    working: list[str] = []
    seen: list[set[str]] = []

    def work(devices: int) -> None:
        with device_slots(devices) as environment:
            mine = environment[VISIBLE].split(",")
            assert len(mine) == devices
            assert not set(mine) & set(working)
            working.extend(mine)
            seen.append(set(working))
            time.sleep(0.3)
            for name in mine:
                working.remove(name)

    threads = [threading.Thread(target=work, args=(devices,)) for devices in (2, 2, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 3  # none failed
    assert set().union(*seen) <= {"1", "2", "5"}


@pytest.mark.usefixtures("gpus")
def test_more_than_there_are_is_one_line() -> None:
    with pytest.raises(PercasymError, match=f"4 devices are wanted, but the limit {GPUS}"), device_slots(4):
        pass


def test_without_gpus_cores_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "")
    assert local_gpus() == []
    assert available(2) == 2
    with device_slots(1) as environment:
        assert environment == {}
    with pytest.raises(PercasymError, match=CORES), device_slots(3):
        pass


@pytest.mark.usefixtures("gpus")
def test_a_child_sees_the_gpus_that_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "child_of_gpus.py").write_text(
        f"import json, os; print(json.dumps({{'shown': os.environ.get({VISIBLE!r})}}))"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with launch.slots(1, device_slots):
        [given] = launch.run("child_of_gpus", {}, tmp_path, devices=2)
        [other] = launch.run("child_of_gpus", {}, tmp_path)
    assert len(given["shown"].split(",")) == 2
    assert other["shown"] == "1,2,5"
