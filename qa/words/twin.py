"""The report's JSON twin: what the page says beside the figures of score.json, in both languages, and the digests of all."""

from typing import Any

from qa.report.page import ReportInput, volumes
from qa.words import wording
from qa.words.wording import Words


def twin(report: ReportInput) -> dict[str, Any]:
    """Return the report as a document for JSON; `files` names the digests of the other files beside it."""
    title = wording.WORDS["title" if report.verdict else "score_title"]
    return {
        "title": _both(title),
        "created": report.created.isoformat(timespec="seconds"),
        "software": dict(report.software),
        "notice": _both(report.notice),
        "contract": report.terms.contract if report.terms else None,
        "reading": _both(report.reading),
        "verdict": report.verdict.model_dump(mode="json") if report.verdict else None,
        "volumes": [
            {
                "kind": _both(row.kind),
                "contracted": row.contracted,
                "received": row.received,
                "states": dict(sorted(row.states.items())),
                "missing": row.missing,
                "with_gold": row.with_gold,
            }
            for row in volumes(report)
        ],
        "quality": report.quality.model_dump(mode="json") if report.quality else None,
        "sources": dict(report.sources),
        "files": dict(report.files),
    }


def _both(words: Words | None) -> dict[str, str] | None:
    return None if words is None else {"zh": words.zh, "en": words.en}
