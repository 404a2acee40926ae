"""Intake in a process of its own: a file that breaks a decoder costs its job, never the service.

Run as ``python -m goldgate.jobs.intake_process``: one JSON object on standard input says what to take in, lines of JSON on
standard output tell how far it is, and the last one how it ended. When standard input closes the process ends at once, so
that it never outlives a service that was killed.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

from contract import errors
from contract.terms import load_terms
from contract.workfolder import LotFolder
from prelabel.intake import take_in

_EVERY: Final = 50


def _tell(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _progress(done: int, found: int) -> None:
    if done % _EVERY == 0 or done == found:
        _tell({"done": done, "found": found})


def _end_with_the_service() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> int:
    """Take in what standard input says, and tell the end."""
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_service, daemon=True).start()
    terms = load_terms(Path(order["contract"]))
    try:
        take_in(
            order["sources"], lot=LotFolder(Path(order["lot"])), terms=terms, lot_name=order["lot_name"], progress=_progress
        )
    except errors.GoldgateError as error:
        _tell({"error": type(error).__name__, "detail": str(error)})
    else:
        _tell({"taken_in": True})
    return 0


if __name__ == "__main__":
    # The thread that waits for the service holds standard input, which an ordinary end would try to close.
    status = main()
    sys.stdout.flush()
    os._exit(status)
