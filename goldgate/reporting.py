"""A report's folder: score, evidence, verdict, the page and its JSON twin, bound together by their digests."""

import dataclasses

from contract.files import json_bytes, parquet_bytes, sha256_bytes
from qa.dossier import evidence_tables
from qa.report import ReportInput, render
from qa.twin import twin

REPORT_PAGE = "report.html"


def report_files(document: object, report: ReportInput) -> dict[str, bytes]:
    """Return what is kept of a score, by file name; `document` is that of its figures.

    The page names the digests of the score, the verdict and the evidence, and report.json those and the page's own.
    """
    files = {"score.json": json_bytes(document)}
    tables = evidence_tables(report.scores, labels=report.labels, gold=report.gold)
    files |= {name: parquet_bytes(table) for name, table in tables.items()}
    if report.quality is not None and report.quality.bias is not None:
        files["bias-items.parquet"] = parquet_bytes(report.quality.bias.rows)
    if report.verdict is not None:
        files["verdict.json"] = json_bytes(report.verdict.model_dump(mode="json"))
    pinned = {name: sha256_bytes(data) for name, data in files.items()}
    files[REPORT_PAGE] = render(dataclasses.replace(report, files=pinned)).encode()
    pinned[REPORT_PAGE] = sha256_bytes(files[REPORT_PAGE])
    files["report.json"] = json_bytes(twin(dataclasses.replace(report, files=pinned)))
    return files
