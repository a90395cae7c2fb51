"""What the results say about the asymmetry, in numbers: comparisons, shares, causes, associations."""

import json
from pathlib import Path

from percasym.sections import Section
from tasks.records import model_records, sweep_points
from tasks.show import plain, show_markdown
from tasks.stage import Work, stage

DIAGNOSIS = "diagnosis.json"


@stage()
def diagnose(
    work: Work,
    config: Section,
    data: Path,
    results: dict[str, Path],
    trainings: dict[str, Path],
    starts: dict[str, str],
    best: str | None,
) -> None:
    from percasym.diagnostics.diagnosis import diagnose as account_for

    models = model_records(results, trainings, starts, best)
    diagnosis = account_for(models, data, "test", sweep_points(results))
    (work.folder / DIAGNOSIS).write_text(json.dumps(diagnosis, indent=2))
    show_markdown("diagnosis", plain(diagnosis["headline"]))
