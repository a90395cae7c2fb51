"""The limit that all flows share really limits."""

import threading
import time

import pytest

from percasym.errors import PercasymError
from tasks.devices import available, device_slots

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_work_waits_for_devices_that_others_have() -> None:
    assert available() >= 1  # made where there was none
    assert available(3) == 3
    working, most = [0], [0]

    def work(devices: int) -> None:
        with device_slots(devices):
            working[0] += devices
            most[0] = max(most[0], working[0])
            time.sleep(0.3)
            working[0] -= devices

    threads = [threading.Thread(target=work, args=(devices,)) for devices in (2, 2, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 3
    assert working == [0]


def test_more_than_there_are_is_one_line() -> None:
    available(2)
    with (
        pytest.raises(PercasymError, match="3 devices are wanted, but the limit percasym-devices"),
        device_slots(3),
    ):
        pass
