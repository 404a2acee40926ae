"""What the report of a verdict says beside accuracy: consistency, completeness, the gold's ceiling, and the drafts' bias."""

from collections.abc import Mapping

from contract.quality import Quality
from contract.scores import Score
from contract.tables import Task
from goldgate.draft_bias import bias_or_why_not
from goldgate.quality import kept_ceiling, report_consistency
from goldgate.stages import Stage
from prelabel.handoff import Sealed


def quality_of(stage: Stage, submission: Sealed, gold: Sealed, scores: Mapping[Task, Score]) -> Quality:
    """Return it all, from what stands in the lot."""
    bias, why_not = bias_or_why_not(stage, submission, gold, scores)
    consistency = report_consistency(stage, submission, gold.labels)
    return Quality(consistency=consistency, ceiling=kept_ceiling(stage), bias=bias, no_bias=why_not)
