"""A study as a page to read and figures to print."""

from percasym.diagnostics.records import ModelRecord, SweepPoint
from percasym.report.page import ReportInput, write_report

__all__ = ["ModelRecord", "ReportInput", "SweepPoint", "write_report"]
