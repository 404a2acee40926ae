"""`goldgate sample`: its sub-commands, as people call them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goldgate.options import WORK, ContractOption, JsonOption, LotOption, WorkOption

if TYPE_CHECKING:
    from contract.sample import Sample

sample_app = typer.Typer(help="Draw the sample that the verdict stands on.", no_args_is_help=True)
SizeOption = Annotated[
    list[str] | None, typer.Option("-n", help="Items of each kind, or KIND=NUMBER; the terms' number if left out.")
]


@sample_app.command("commit")
def commit(
    contract: ContractOption,
    lot: LotOption,
    party: Annotated[str, typer.Option(help="client or vendor.")],
    nonce: Annotated[Path | None, typer.Option(help="The party's secret; made in this folder if left out.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Publish the SHA-256 of a party's nonce, before the submission is sealed."""
    from goldgate import sampling_lot
    from goldgate.console import EXIT_DONE, emit_json, emit_text
    from goldgate.stages import open_stage

    path, published = sampling_lot.commit(open_stage(contract, lot, work), party, nonce)
    if json_:
        emit_json({"party": party, "nonce": str(path), "commitment": published})
    else:
        emit_text(f"{party} committed to {published}; keep {path} secret until the submission is sealed")
    return EXIT_DONE


@sample_app.command("draw")
def draw(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    client_nonce: Annotated[Path | None, typer.Option(help="The client's nonce.")] = None,
    vendor_nonce: Annotated[Path | None, typer.Option(help="The vendor's nonce.")] = None,
    n: SizeOption = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Draw the sample from both nonces, once the submission is sealed."""
    from goldgate import sampling_lot
    from goldgate.stages import open_stage

    given = {"client": client_nonce, "vendor": vendor_nonce}
    nonces = {side: path for side, path in given.items() if path is not None}
    sizes = sampling_lot.sizes_of(n or [])
    return _emit(sampling_lot.draw(open_stage(contract, lot, work), nonces, sizes), as_json=json_)


@sample_app.command("extend")
def extend(
    contract: ContractOption,
    lot: LotOption,
    n: SizeOption = None,
    whole: Annotated[bool, typer.Option("--whole", help="Every item, beyond extend_to: inspection of all.")] = False,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Take the next items of the draw, up to extend_to of the terms."""
    from goldgate import sampling_lot
    from goldgate.stages import open_stage

    sizes = sampling_lot.sizes_of(n or [])
    return _emit(sampling_lot.extend(open_stage(contract, lot, work), sizes, whole=whole), as_json=json_)


@sample_app.command("list")
def list_(
    contract: ContractOption,
    lot: LotOption,
    sample: Annotated[int | None, typer.Option(help="Number of the sample; the newest if left out.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """List a sample's items, and which are blind or labelled twice."""
    from goldgate import lotlife, sampling_lot
    from goldgate.console import EXIT_DONE, emit_text
    from goldgate.stages import open_stage

    stage = open_stage(contract, lot, work)
    found = sampling_lot.read_sample(stage, lotlife.history_of(stage), sample)
    if json_:
        return _emit(found, as_json=True)
    marks = {(True, False): " blind", (False, True): " double", (True, True): " blind double", (False, False): ""}
    emit_text("\n".join(f"{each.kind.value} {each.item}{marks[each.blind, each.double]}" for each in found.items))
    return EXIT_DONE


def _emit(sample: "Sample", *, as_json: bool) -> int:
    from goldgate.console import EXIT_DONE, emit_json, emit_text

    if as_json:
        emit_json(sample.model_dump(mode="json"))
        return EXIT_DONE
    of = f", which extends sample {sample.extends}" if sample.extends else ""
    lines = [f"sample {sample.number}{of}: {len(sample.items)} items of submission {sample.submission}"]
    lines += [f"  {row.kind.value}, {row.stratum}: {row.drawn} of {row.items}" for row in sample.strata]
    blind, double = (sum(getattr(each, mark) for each in sample.items) for mark in ("blind", "double"))
    lines.append(f"  {blind} of them blind (no draft shown), {double} labelled twice")
    emit_text("\n".join(lines))
    return EXIT_DONE
