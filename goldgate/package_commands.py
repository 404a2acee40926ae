"""`goldgate deliver`, `verify` and `unpack`: packages out of the vendor's house, and what the client does with them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldgate.options import WORK, ContractOption, JsonOption, WorkOption

if TYPE_CHECKING:
    from delivery.opening import PackageFindings

PackageArgument = Annotated[Path, typer.Argument(help="Folder of the package.", show_default=False)]
SignerOption = Annotated[Path, typer.Option("--signer", help="Public key (.pub) of who signed it.")]
OfContractOption = Annotated[str | None, typer.Option("--contract-id", help="Refuse a package of another contract.")]
_MOST_LINES = 50


def deliver(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    key: Annotated[Path, typer.Option("--key", help="The private signing key.")],
    to: Annotated[Path, typer.Option("--to", help="The client's public key: a .pub file, or age1... in a file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the package; the same command goes on with half of one.")],
    lot: Annotated[list[str] | None, typer.Option("--lot", help="An accepted lot; repeat it. All lots if left out.")] = None,
    media: Annotated[bool, typer.Option(help="Images and videos beside their labels.")] = True,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Write accepted lots into one package that only the client can read."""
    from goldgate.delivering import Parcel
    from goldgate.delivering import deliver as deliver_lots

    return deliver_lots(contract, work, lot or [], Parcel(key, to, out, media), as_json=json_)


def verify(
    package: PackageArgument,
    signer: SignerOption,
    identity: Annotated[Path | None, typer.Option("--identity", help="The recipient's private key, to look inside.")] = None,
    contract_id: OfContractOption = None,
    json_: JsonOption = False,
) -> int:
    """Check a package offline: signature, every file, and with --identity the totals (exit 2 if something was changed)."""
    from delivery.keys import read_identity, read_signatory
    from delivery.opening import verify_package
    from goldgate.console import progress_of_files

    opened = read_identity(identity) if identity else None
    with progress_of_files("verify") as step:
        found = verify_package(package, read_signatory(signer), identity=opened, contract=contract_id, step=step)
    return _tell(found, None, as_json=json_)


def unpack(
    package: PackageArgument,
    signer: SignerOption,
    identity: Annotated[Path, typer.Option("--identity", help="The recipient's private key.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder.")],
    contract_id: OfContractOption = None,
    json_: JsonOption = False,
) -> int:
    """Check a package and write its files into a new folder: all of them, or none (exit 2)."""
    from delivery.keys import read_identity, read_signatory
    from delivery.opening import unpack as unpack_package
    from goldgate.console import progress_of_files

    with progress_of_files("unpack") as step:
        found = unpack_package(
            package, read_signatory(signer), out, identity=read_identity(identity), contract=contract_id, step=step
        )
    return _tell(found, out, as_json=json_)


def _tell(found: "PackageFindings", out: Path | None, *, as_json: bool) -> int:
    from goldgate.console import EXIT_BAD_INPUT, EXIT_DONE, emit_json, emit_text

    document, manifest = found.document, found.manifest
    if as_json:
        emit_json(
            {
                "contract": document.contract,
                "package": document.number,
                "created": document.created.isoformat(),
                "signer": document.signer,
                "objects": found.objects,
                "files": found.files,
                "lots": [lot.model_dump(mode="json") for lot in manifest.lots] if manifest else None,
                "not_recounted": sorted(found.uncounted),
                "problems": found.problems,
            }
        )
        return EXIT_BAD_INPUT if found.problems else EXIT_DONE
    lines = [f"package {document.number} of {document.contract}, {document.created:%F %R} UTC, signed by {document.signer}"]
    lines += [f"  PROBLEM: {problem}" for problem in found.problems[:_MOST_LINES]]
    if len(found.problems) > _MOST_LINES:
        lines.append(f"  and {len(found.problems) - _MOST_LINES} more")
    if not found.problems:
        lines.append(f"  {found.objects} encrypted files are as they were signed")
        lines += _inside(found) if manifest else ["  not looked inside: that takes --identity"]
        lines += [f"  written to {out}"] if out else []
    emit_text("\n".join(lines))
    return EXIT_BAD_INPUT if found.problems else EXIT_DONE


def _inside(found: "PackageFindings") -> list[str]:
    lines = [f"  {found.files} files inside are as the manifest says, and its totals are those of its own files"]
    for lot in found.manifest.lots if found.manifest else ():
        items = ", ".join(f"{sum(states.values())} {kind}" for kind, states in lot.totals.items.items())
        labels = ", ".join(f"{sum(counts.values())} {task}" for task, counts in lot.totals.labels.items())
        lines.append(f"  lot {lot.lot}: {items}; {labels}; verdict {lot.verdict} ({lot.verdict_sha256[:12]})")
    if found.uncounted:
        lines.append(f"  labels in {', '.join(sorted(found.uncounted))} were not counted again; the tables were")
    return lines
