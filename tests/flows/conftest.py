"""Servers that the tests of several files look at."""

from collections.abc import Iterator

import pytest
from fixtures.up import Running, running_up


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`percasym up` without any settings, for all tests with a browser, as it takes a while to start."""
    with running_up(tmp_path_factory.mktemp("up") / "home") as running:
        yield running
