"""Prefect's result records of finished stages, read without Prefect and as nothing but JSON.

Prefect reads a record by the serializer and makes the class that the record itself names, which may be
pickle, or any class of any module. So a record is looked at here before Prefect may see it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

CLASS = "tasks.stage.Reference"
SERIALIZER = {
    "type": "json",
    "jsonlib": "json",
    "object_encoder": "prefect.serializers.prefect_json_object_encoder",
    "object_decoder": "prefect.serializers.prefect_json_object_decoder",
    "dumps_kwargs": {},
    "loads_kwargs": {},
}
FIELDS = {"stage", "label", "key", "run", "uri", "digest", "seal"}


class Kept(NamedTuple):
    """What a result record refers to."""

    run: str
    """MLflow run id."""
    uri: str
    """Where the run's artifact is."""


def read_fields(text: str | bytes) -> Mapping[str, str] | None:
    """The fields of the reference in a record; None if it is anything but the record of a stage."""
    try:
        record = json.loads(text)
        metadata, result = record["metadata"], json.loads(record["result"])
        fields = result["data"]
        plain = (
            record.keys() == {"metadata", "result"}
            and metadata["serializer"] == SERIALIZER
            and metadata["storage_block_id"] is None
            and result == {"__class__": CLASS, "data": fields}
            and fields.keys() == FIELDS
            and all(isinstance(value, str) for value in fields.values())
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return fields if plain else None


def read_record(path: Path) -> Kept | None:
    """What the record at `path` refers to; None if it is not the record of a stage, or is gone."""
    try:
        fields = read_fields(path.read_bytes())
    except OSError:
        return None
    return Kept(fields["run"], fields["uri"]) if fields else None


def torn(path: Path) -> bool:
    """Whether what is at `path` is no record, as Prefect leaves it half written when it is killed then."""
    try:
        return read_fields(path.read_bytes()) is None
    except OSError:
        return False
