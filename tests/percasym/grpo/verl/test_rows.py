from pathlib import Path

import pyarrow.parquet as pq
import pytest

from percasym.datasets import iter_split, write_dataset
from percasym.errors import PercasymError
from percasym.grpo.verl.rows import write_rows


def test_a_row_has_what_verl_documents(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    assert write_rows(str(dataset), "train_rl", path) == 8
    ours = list(iter_split(dataset, "train_rl"))
    for index, (row, own) in enumerate(zip(pq.read_table(path).to_pylist(), ours, strict=True)):
        assert row["prompt"] == [{"role": "user", "content": "<image>" + own["query"]}]
        assert row["images"] == [{"bytes": own["image"], "path": None}]
        assert row["reward_model"] == {"style": "rule", "ground_truth": own["ground_truth"]}
        assert row["extra_info"] == {
            "index": index,
            "id": own["id"],
            "puzzle": own["puzzle"],
            "teacher": None,
            "opening": "",
        }
        assert row["data_source"] == "percasym"
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]
    write_rows(str(dataset), "train_rl", path, opening="<think>\n")
    assert {row["extra_info"]["opening"] for row in pq.read_table(path).to_pylist()} == {"<think>\n"}


@pytest.mark.parametrize(
    "change", [{"image": None}, {"prefix": "<caption>"}, {"query": "Look at <image>."}, {"query": "<video>"}]
)
def test_a_row_that_verl_cannot_take_is_refused(
    dataset: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    (row, *_) = iter_split(dataset, "train_rl")
    write_dataset(tmp_path / "data", {"train_rl": [{**row, **change}]})
    with pytest.raises(PercasymError, match=f"{row['id']} is not for verl"):
        write_rows(str(tmp_path / "data"), "train_rl", tmp_path / "rows.parquet")
