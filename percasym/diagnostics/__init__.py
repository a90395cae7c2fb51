"""Why a model is as good as it is: shares of the training signal, causes, associations, misreadings, paired
tests."""

from percasym.diagnostics.diagnosis import Diagnosis, ModelDiagnosis, diagnose
from percasym.diagnostics.records import ModelRecord, SweepPoint

__all__ = ["Diagnosis", "ModelDiagnosis", "ModelRecord", "SweepPoint", "diagnose"]
