"""What people see: one sentence on errors, progress with rate and time left, one JSON document for scripts."""

import contextlib
import datetime
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn
from typer.exceptions import TyperException

from contract.errors import GoldgateError, InputError

if TYPE_CHECKING:  # the job's libraries would make every command start a second later
    from prelabel.run import Progress as JobProgress

EXIT_DONE: Final = 0
EXIT_FAULT: Final = 1
EXIT_BAD_INPUT: Final = 2
_SECONDS_BETWEEN_LINES: Final = 10.0
_TYPER_INTERRUPTED: Final = 130
_INTERRUPTED: Final = "stopped by Ctrl-C; what was finished stands, and the same command goes on from there"

messages = Console(stderr=True, highlight=False, soft_wrap=True)


def emit_json(document: Any) -> None:
    """Write the one JSON document of a command to standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def emit_text(text: str) -> None:
    """Write a command's result for people to standard output."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """Tell people what goes on, on standard error."""
    messages.print(text, markup=False)


def log_to_stderr(*, debug: bool) -> None:
    """Send log records to standard error: warnings, and with --debug everything that goldgate itself logs."""
    handler = RichHandler(console=messages, show_time=False, show_path=debug, rich_tracebacks=False)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s", force=True)
    for package in ("contract", "models", "serving", "prelabel", "qa", "delivery", "goldgate"):
        logging.getLogger(package).setLevel(logging.DEBUG if debug else logging.NOTSET)


def guarded(command: Callable[[], int | None], *, debug: bool) -> int:
    """Run `command` and turn whatever it raises into one sentence and an exit status.

    0 done, 2 bad input or usage (a full disk and Ctrl-C included), 1 a fault of ours; the traceback only with --debug.
    """
    try:
        status = command() or EXIT_DONE
        if status != _TYPER_INTERRUPTED:
            return status
        status, sentence = EXIT_BAD_INPUT, _INTERRUPTED
    except GoldgateError as error:
        status, sentence = (EXIT_BAD_INPUT if isinstance(error, InputError) else EXIT_FAULT), str(error)
    except TyperException as error:
        status, sentence = EXIT_BAD_INPUT, f"{error.format_message()} (try: goldgate --help)"
    except KeyboardInterrupt:
        status, sentence = EXIT_BAD_INPUT, _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except Exception as error:  # noqa: BLE001 - the command line's outermost loop: a fault of ours is one sentence too
        status = EXIT_FAULT
        sentence = f"a fault of goldgate: {type(error).__name__}: {error} (run again with --debug for the traceback)"
    if debug:
        traceback.print_exc()
    say(f"goldgate: {sentence}")
    return status


@contextlib.contextmanager
def progress_of_job(title: str, due: datetime.date) -> Iterator[Callable[["JobProgress"], None]]:
    """Show a job's progress with rate, time left, and the contract's deadline: a bar, or lines where no terminal is."""
    if not messages.is_terminal:
        yield _line_now_and_then(title, due)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=messages) as bar:
        task = bar.add_task(title, total=None, note="")

        def update(now: "JobProgress") -> None:
            bar.update(task, total=now.items, completed=now.done, note=_note(now, due))

        yield update


@contextlib.contextmanager
def progress_of_files(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many files are done, on a terminal only: intake is quick enough to need no log lines."""
    with Progress(console=messages, disable=not messages.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _line_now_and_then(title: str, due: datetime.date) -> Callable[["JobProgress"], None]:
    last_said = 0.0

    def update(now: "JobProgress") -> None:
        nonlocal last_said
        if now.done == now.items or now.seconds - last_said >= _SECONDS_BETWEEN_LINES:
            last_said = now.seconds
            say(f"{title}: {now.done}/{now.items}, {_note(now, due)}")

    return update


def _note(now: "JobProgress", due: datetime.date) -> str:
    if now.items_per_s is None or now.seconds_left is None:
        return f"due {due}"
    left = datetime.timedelta(seconds=round(now.seconds_left))
    end = datetime.datetime.now(tz=datetime.timezone.utc) + left
    late = ", LATE" if end.date() > due else ""
    return f"{now.items_per_s:.1f}/s, {left} left, {now.rejected} rejected, due {due}{late}"
