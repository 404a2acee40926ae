"""A report's folder: score, evidence, verdict, the page and its JSON twin, bound together by their digests."""

import dataclasses
from typing import Any

from contract.files import json_bytes, parquet_bytes, sha256_bytes, sha256_json
from qa.report.dossier import evidence_tables
from qa.report.page import ReportInput, render
from qa.words.twin import twin

REPORT_PAGE = "report.html"
TWIN_CONTENT = "report.json (…)"  # all of it but its key `files`, as canonical JSON


def report_files(document: object, report: ReportInput) -> dict[str, bytes]:
    """Return what is kept of a score, by file name; `document` is that of its figures.

    The page names the digests of the score, the verdict, the evidence and what its twin report.json says; the twin those of
    all files beside it, the page's own among them. So a change of any file disagrees with another.
    """
    files = {"score.json": json_bytes(document)}
    tables = evidence_tables(report.scores, labels=report.labels, gold=report.gold)
    files |= {name: parquet_bytes(table) for name, table in tables.items()}
    if report.quality is not None and report.quality.bias is not None:
        files["bias-items.parquet"] = parquet_bytes(report.quality.bias.rows)
    if report.verdict is not None:
        files["verdict.json"] = json_bytes(report.verdict.model_dump(mode="json"))
    pinned = {name: sha256_bytes(data) for name, data in files.items()}
    pinned[TWIN_CONTENT] = sha256_json(_content(report))
    files[REPORT_PAGE] = render(dataclasses.replace(report, files=pinned)).encode()
    del pinned[TWIN_CONTENT]
    pinned[REPORT_PAGE] = sha256_bytes(files[REPORT_PAGE])
    files["report.json"] = json_bytes(_content(report) | {"files": pinned})
    return files


def _content(report: ReportInput) -> dict[str, Any]:
    """Return the twin without the digests of the files: what the page can pin, since the twin pins the page."""
    content = twin(report)
    del content["files"]
    return content
