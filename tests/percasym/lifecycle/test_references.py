"""Over any graph of flows and stages: exactly what nothing refers to goes."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.place import Place
from hypothesis import given, settings
from hypothesis import strategies as st

from percasym.tracking import Tracker


@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Flows and stages in the order in which they were made; a stage names a flow and earlier stages."""
    flows = draw(st.integers(1, 3))
    nodes: list[dict[str, Any]] = [{"kind": "flow", "deleted": draw(st.booleans())} for _ in range(flows)]
    for number in range(draw(st.integers(1, 6))):
        stages = range(flows, flows + number)
        some = st.sets(st.sampled_from(stages), max_size=2) if stages else st.just(set())
        nodes.append(
            {
                "kind": "stage",
                "flow": draw(st.integers(0, flows - 1)),
                "inputs": draw(some),
                "hits": draw(st.sets(st.integers(0, flows - 1), max_size=1)),  # flows that found it
                "deleted": draw(st.sampled_from([False, False, False, True])),
                "registered": draw(st.sampled_from([False, False, False, True])),
                "record": draw(st.booleans()),
            }
        )
    return nodes


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Iterator[Place]:
    """One place for many graphs, each of which adds to it: to open a database takes longest."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copy(mlflow_tables, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERCASYM_HOME", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield Place(folder, Tracker.current())


def expected(nodes: list[dict[str, Any]]) -> set[int]:
    """The stages that something refers to, by adding until nothing is added any more."""
    kept: set[int] = set()
    while True:
        more = {
            number
            for number, node in enumerate(nodes)
            if node["kind"] == "stage"
            and (
                node["registered"]
                or any(not nodes[flow]["deleted"] for flow in node["hits"])
                or (not nodes[node["flow"]]["deleted"] and not node["deleted"])
                or any(number in nodes[other]["inputs"] for other in kept)
            )
        }
        if more == kept:
            return kept
        kept = more


@settings(max_examples=30)
@given(nodes=graphs())
def test_exactly_what_nothing_refers_to_goes(shared: Place, nodes: list[dict[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERCASYM_HOME", str(shared.root))
        ids = build(shared, nodes)
        kept = expected(nodes)
        stages = {number: ids[number] for number, node in enumerate(nodes) if node["kind"] == "stage"}
        found = shared.collector().find()
        assert {one.run for one in found.garbage} == {stages[number] for number in stages.keys() - kept}
        shared.gc()
        for number, run in stages.items():
            assert shared.has(run) == (number in kept)
            record = shared.root / "results" / "sft" / f"{ids[0]}-{number}"
            assert record.exists() == (nodes[number]["record"] and number in kept)
            assert shared.deleted(run) == (nodes[number]["deleted"] or number not in kept)
        assert shared.gc() == []


def build(place: Place, nodes: list[dict[str, Any]]) -> list[str]:
    """Makes the runs; returns their ids."""
    ids: list[str] = []
    for number, node in enumerate(nodes):
        if node["kind"] == "flow":
            ids.append(place.flow())
            continue
        name = f"{ids[0]}-{number}"
        inputs = {f"results.{other}": ids[other] for other in node["inputs"]}
        ids.append(place.stage(ids[node["flow"]], name, node["record"], **inputs))
        for flow in node["hits"]:
            place.client.set_tag(ids[flow], f"stage.evaluate.{number}", ids[number])
        if node["registered"]:
            place.tracker.register(name, "somewhere", ids[number], {})
    for node, run_id in zip(nodes, ids, strict=True):
        if node["deleted"]:
            place.client.delete_run(run_id)
    return ids
