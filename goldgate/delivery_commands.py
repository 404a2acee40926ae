"""`goldgate keypair`, `checkpoint` and `verify-log`: what parties sign with, and what either can check alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contract.errors import InputError
from goldgate.options import WORK, ContractOption, JsonOption, WorkOption

if TYPE_CHECKING:
    from delivery.keys import PublicKey

keypair_app = typer.Typer(help="Keys to sign with, and keys that packages are encrypted to.", no_args_is_help=True)
NameOption = Annotated[str, typer.Option("--name", help="Of whose key it is, for example vendor.example.")]
OutOption = Annotated[Path, typer.Option("--out", help="File for the private key; its public half lies beside it as .pub.")]
ExpiresOption = Annotated[str | None, typer.Option(help="365d, or a date; never if left out.")]
SignerOption = Annotated[Path | None, typer.Option("--signer", help="Public key (.pub) of who signed.")]


@keypair_app.command("signing")
def keypair_signing(name: NameOption, out: OutOption, expires: ExpiresOption = None, json_: JsonOption = False) -> int:
    """Make a key that signs checkpoints and packages (Ed25519)."""
    from delivery.keys import make_signing_key
    from goldgate.keys_commands import end_of

    return _tell_key(make_signing_key(out, name, expires=end_of(expires)), out, as_json=json_)


@keypair_app.command("recipient")
def keypair_recipient(name: NameOption, out: OutOption, expires: ExpiresOption = None, json_: JsonOption = False) -> int:
    """Make a key that packages are encrypted to (age, X25519)."""
    from delivery.keys import make_recipient_key
    from goldgate.keys_commands import end_of

    return _tell_key(make_recipient_key(out, name, expires=end_of(expires)), out, as_json=json_)


def _tell_key(public: "PublicKey", out: Path, *, as_json: bool) -> int:
    from delivery.keys import public_path
    from goldgate.console import EXIT_DONE, emit_json, emit_text
    from goldgate.stages import shown

    if as_json:
        emit_json({**public.model_dump(mode="json"), "private": str(out), "public": str(public_path(out))})
    else:
        emit_text(f"{public.document} of {public.name}: {public.key}")
        emit_text(f"  {shown(out)} is private; give {shown(public_path(out))} to the other party by a channel you trust")
    return EXIT_DONE


def checkpoint(
    contract: ContractOption,
    key: Annotated[Path, typer.Option("--key", help="The private signing key.")],
    out: Annotated[Path | None, typer.Option(help="Also write the signed note there.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Sign the audit log as it is now; whoever keeps the note can later show that nothing before it was changed."""
    from contract.files import write_bytes
    from contract.terms import load_terms
    from delivery.auditlog import keep_checkpoint, log_path, origin_of
    from delivery.keys import now_utc, read_signer
    from goldgate.console import EXIT_DONE, emit_json, emit_text

    name, signer = load_terms(contract).contract, read_signer(key)
    signer.public.require(now_utc(), origin=str(key))
    found, note = keep_checkpoint(log_path(work, name), origin_of(name), signer)
    if out is not None:
        write_bytes(out, note.encode())
    if json_:
        emit_json({"log": found.origin, "entries": found.size, "root": found.root.hex(), "note": note})
    else:
        emit_text(note.rstrip("\n"))
    return EXIT_DONE


def verify_log(
    log: Annotated[Path, typer.Argument(help="log.jsonl, or the folder of its contract.", show_default=False)],
    checkpoint: Annotated[list[Path] | None, typer.Option("--checkpoint", help="A signed note kept from before.")] = None,
    signer: SignerOption = None,
    json_: JsonOption = False,
) -> int:
    """Check an audit log against itself and against older checkpoints (exit 2 if it was changed)."""
    from delivery.auditlog import open_checkpoint
    from delivery.keys import read_signatory
    from delivery.logcheck import check_log

    if checkpoint and signer is None:
        raise InputError("--checkpoint goes with --signer, the public key of who signed it")
    if signer is not None and not checkpoint:
        raise InputError("--signer goes with --checkpoint, the signed note that the log is compared with")
    held = []
    if signer is not None:
        signatory = read_signatory(signer)
        held = [(str(path), open_checkpoint(_note(path), signatory, origin=str(path))) for path in checkpoint or []]
    return _tell_log(_log_in(log), check_log(_log_in(log), held), held=len(held), as_json=json_)


def _note(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a signed note; name the file that was kept") from error


def _log_in(path: Path) -> Path:
    places = (path / "audit" / "log.jsonl", path / "log.jsonl")
    return next((place for place in places if place.is_file()), path)


def _tell_log(path: Path, found: Any, *, held: int, as_json: bool) -> int:
    from goldgate.console import EXIT_BAD_INPUT, EXIT_DONE, emit_json, emit_text

    if as_json:
        emit_json(
            {
                "entries": found.entries,
                "root": found.root.hex(),
                "checkpoints": held,
                "problems": found.problems,
                "remarks": found.remarks,
            }
        )
    else:
        lines = [f"{path}: {found.entries} entries, root {found.root.hex()}"]
        lines += [f"  PROBLEM: {problem}" for problem in found.problems]
        lines += [f"  remark: {remark}" for remark in found.remarks]
        if not found.problems:
            agreed = f"{held} checkpoint(s) agree" if held else "compared with no checkpoint, so that its end may be missing"
            lines.append(f"  every entry follows from those before it; {agreed}")
        emit_text("\n".join(lines))
    return EXIT_BAD_INPUT if found.problems else EXIT_DONE


def destroy(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    key: Annotated[Path, typer.Option("--key", help="The private key that signs the certificate.")],
    confirm: Annotated[str, typer.Option(help="The contract's id once more: what is deleted does not come back.")],
    unsettled: Annotated[bool, typer.Option("--unsettled", help="Also where lots are not settled.")] = False,
    verifier: Annotated[str | None, typer.Option(help="Who looked at the result, for the certificate.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Delete all data of a contract from the work folder, and write a signed certificate of destruction."""
    from goldgate.destroying import Order
    from goldgate.destroying import destroy as destroy_data

    return destroy_data(contract, work, Order(key, confirm, unsettled, verifier), as_json=json_)


def verify_certificate(
    folder: Annotated[Path, typer.Argument(help="Folder of the certificate.", show_default=False)],
    signer: Annotated[Path, typer.Option("--signer", help="Public key (.pub) of who signed it.")],
    json_: JsonOption = False,
) -> int:
    """Check a certificate of destruction offline."""
    from delivery.destruction import verify_certificate as verified
    from delivery.keys import read_signatory
    from goldgate.console import EXIT_DONE, emit_json, emit_text

    found = verified(folder, read_signatory(signer))
    if json_:
        emit_json(found.model_dump(mode="json"))
    else:
        emit_text(
            f"certificate {found.number} of {found.contract}: {found.files} files, {found.bytes} bytes, "
            f"{found.finished:%F %R} UTC, by {found.operator}; left over: {', '.join(found.left) or 'nothing'}"
        )
    return EXIT_DONE
