"""`goldgate verify-report`: every figure of a report, computed again from the files beside it."""

from pathlib import Path

from contract.errors import InputError
from goldgate.console import EXIT_BAD_INPUT, EXIT_DONE, emit_json, emit_text
from qa.verifier.report import lines, verify


def verify_report(folder: Path, *, as_json: bool) -> int:
    """Verify a report's folder and print one line for each disagreement.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the one that holds score.json and report.html")
    findings = verify(folder)
    if as_json:
        emit_json(
            {
                "agreed": findings.agreed,
                "disagreements": findings.disagreements,
                "not_recomputed": findings.not_recomputed,
            }
        )
    else:
        emit_text("\n".join(lines(findings)))
    return EXIT_BAD_INPUT if findings.disagreements else EXIT_DONE
