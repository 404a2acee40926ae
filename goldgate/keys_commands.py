"""`goldgate keys`: who may call the service."""

import datetime
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from contract.errors import InputError
from goldgate.options import JsonOption

if TYPE_CHECKING:
    from serving.access.keys import Key, Scope

keys_app = typer.Typer(help="Named keys of the HTTP service, stored as their digests.", no_args_is_help=True)
FileOption = Annotated[Path, typer.Option("--file", help="The file of keys; access.keys_file of the service.")]

KEYS_FILE: Final = Path("keys.json")
_SPAN: Final = re.compile(r"(\d{1,4})([dhm])")
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


@keys_app.command("add")
def add(  # noqa: PLR0913 - a command's options are its public face
    name: Annotated[str, typer.Argument(help="Of the person or the program that will use it.", show_default=False)],
    scope: Annotated[list[str], typer.Option(help="predict, jobs, score or admin; may be given several times.")],
    expires: Annotated[str | None, typer.Option(help="90d, 12h, 30m, or a date; never if left out.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second in the long run.", min=0.001)] = None,
    concurrent: Annotated[int | None, typer.Option(help="Requests under way at a time.", min=1)] = None,
    file: FileOption = KEYS_FILE,
    json_: JsonOption = False,
) -> int:
    """Make a key and print it once: nobody can read it again."""
    from goldgate import auditing
    from goldgate.console import EXIT_DONE, emit_json, emit_text, say
    from serving.access.keys import add_key

    limits = {"rate_per_s": rate, "concurrent": concurrent}
    key, token = add_key(file, name, [_scope(each) for each in scope], expires=end_of(expires), limits=limits)
    if json_:
        emit_json({**_shown(key), "key": token})
    else:
        say(f"goldgate: this is the key of {key.name}; it is shown this once")
        emit_text(token)
    auditing.of_keys(file, "keys.add", key.name, key.id)
    return EXIT_DONE


@keys_app.command("list")
def list_(file: FileOption = KEYS_FILE, json_: JsonOption = False) -> int:
    """Show the keys by name: what they may do, and until when."""
    from goldgate.console import EXIT_DONE, emit_json, emit_text
    from serving.access.keys import now_utc, read_keys

    keys = read_keys(file)
    if json_:
        emit_json({"keys": [_shown(key) for key in keys]})
    elif not keys:
        emit_text(f"{file}: no keys")
    else:
        now = now_utc()
        emit_text("\n".join(_line(key, now) for key in keys))
    return EXIT_DONE


@keys_app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name.", show_default=False)],
    file: FileOption = KEYS_FILE,
) -> int:
    """Take a key out; a running service notices at once."""
    from goldgate import auditing
    from goldgate.console import EXIT_DONE, emit_text
    from serving.access.keys import revoke_key

    key = revoke_key(file, name)
    auditing.of_keys(file, "keys.revoke", key.name, key.id)
    emit_text(f"{key.name} ({key.id}) is revoked")
    return EXIT_DONE


def _scope(word: str) -> "Scope":
    from serving.access.keys import Scope

    try:
        return Scope(word)
    except ValueError as error:
        raise InputError(f"--scope {word!r}: write {', '.join(each.value for each in Scope)}") from error


def end_of(expires: str | None) -> datetime.datetime | None:
    """Return when a key's time is over: after a span, or with the end of a day (UTC).

    Raises:
        InputError: it is neither, or it has passed.
    """
    if expires is None:
        return None
    now = datetime.datetime.now(datetime.timezone.utc)
    span = _SPAN.fullmatch(expires)
    if span:
        return now + datetime.timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        day = datetime.date.fromisoformat(expires)
    except ValueError as error:
        raise InputError(f"--expires {expires!r}: write 90d, 12h, 30m, or a date such as 2027-01-31") from error
    end = datetime.datetime.combine(day + datetime.timedelta(days=1), datetime.time(), datetime.timezone.utc)
    if end <= now:
        raise InputError(f"--expires {expires}: that day is over")
    return end


def _shown(key: "Key") -> dict[str, object]:
    return key.model_dump(mode="json", exclude={"sha256"})


def _line(key: "Key", now: datetime.datetime) -> str:
    until = "never expires"
    if key.expires is not None:
        until = f"{'over since' if key.expired(now) else 'until'} {key.expires:%F %R} UTC"
    return f"{key.name}  {key.id}  {','.join(scope.value for scope in key.scopes)}  {until}"
