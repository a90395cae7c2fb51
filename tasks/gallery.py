"""What one model got wrong, to look at: a page, and a table for MLflow's UI."""

from pathlib import Path

from percasym.sections import Section
from tasks.evaluate import RESULTS
from tasks.records import label
from tasks.show import show_failures
from tasks.stage import Work, stage

SPLIT = "test"
LIMIT = 120
RIGHT = 8  # of each kind: right ones, to compare the failures with


@stage()
def gallery(work: Work, config: Section, data: Path, results: Path) -> None:
    """Failures of each cause in turn and some right items; and the first items of the split as a table."""
    from percasym.diagnostics.records import read_results
    from percasym.report.gallery import FILE, write_gallery
    from percasym.report.sample_table import LOGGED, write_sample_table
    from percasym.report.samples import answered

    rows = read_results(results / RESULTS)
    model = answered(label(work.label), rows)
    write_gallery(
        work.folder / FILE, f"{model.label}: what went wrong", [model], data, SPLIT, limit=LIMIT, right=RIGHT
    )
    table = write_sample_table(work.folder, rows, data, SPLIT)
    work.run.tags(LOGGED)
    show_failures(work.folder, table, work.label, work.run.id)
