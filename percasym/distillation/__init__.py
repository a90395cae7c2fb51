"""Chains of thought from a teacher who is told what the image shows, checked before anybody learns from them.

The teacher gets the query and p*, the canonical text of the image, never the image. It reasons and answers;
the response that the student learns is `<caption>` p* `</caption>` reasoning `<answer>` answer `</answer>`.
"""

from percasym.distillation.distill import Choice, Report, distill, keep
from percasym.distillation.solver import SolverTeacher
from percasym.distillation.teacher import Attempt, Request, Teacher

__all__ = ["Attempt", "Choice", "Report", "Request", "SolverTeacher", "Teacher", "distill", "keep"]
