"""`goldgate queue` and `duplicates`: what people see first of a lot's drafts, and what they need not see one by one."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from goldgate.options import (
    WORK,
    AgainstOption,
    ContractOption,
    JsonOption,
    LotOption,
    MeasureOption,
    OrderOption,
    WorkOption,
)

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN: Final = 5  # of each kind, on the terminal


def queue(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    order: OrderOption = "uncertainty",
    measure: MeasureOption = "margin",
    against: AgainstOption = None,
    run: Annotated[str | None, typer.Option(help="Run of the drafts; the newest if left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the whole queue into this .csv or .parquet.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Put the drafts into the order in which people should see them, and say which need a sample only."""
    from goldgate.console import EXIT_DONE, emit_json, emit_text
    from goldgate.reviewqueue import order_of, queue_in_lot
    from goldgate.stages import open_stage, shown

    found = queue_in_lot(open_stage(contract, lot, work), order_of(order, measure, against), run=run)
    if out is not None:
        write_table(out, found.table)
    if json_:
        emit_json({**found.document(), "items": found.table.num_rows, "file": None if out is None else str(out)})
        return EXIT_DONE
    lines = [f"run {found.run}, {found.table.num_rows} items {found.sentences()}"]
    first = [row for row in found.table.to_pylist() if row["rank"] <= _SHOWN]
    lines += [f"  {row['kind']} {row['rank']}: {row['item']} ({_number(row['priority'])})" for row in first]
    lines += [] if out is None else [f"the whole queue: {shown(out)}"]
    emit_text("\n".join(lines))
    return EXIT_DONE


def _number(value: float | None) -> str:
    return "no draft" if value is None else f"{value:.4f}"


def write_table(path: Path, table: "pa.Table") -> None:
    """Write `table` as CSV (UTF-8, with a byte order mark so that spreadsheets read Chinese) or Parquet, by its ending.

    Raises:
        InputError: the ending is neither.
    """
    from contract.errors import InputError
    from contract.files import write_bytes, write_parquet

    if path.suffix == ".parquet":
        write_parquet(path, table)
        return
    if path.suffix != ".csv":
        raise InputError(f"{path}: a table is written as .csv or .parquet; give the file one of these endings")
    text = io.StringIO(newline="")
    rows: list[dict[str, Any]] = table.to_pylist()
    writer = csv.DictWriter(text, table.column_names)
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, ("\ufeff" + text.getvalue()).encode())


def duplicates(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    radius: Annotated[int, typer.Option(min=0, max=15, help="Bits of 64 in which hashes of pictures may differ.")] = 6,
    colours: Annotated[float, typer.Option(min=0, max=1, help="Mean difference of their colours, of full range.")] = 0.03,
    text_share: Annotated[float, typer.Option(max=1, help="Of runs of three characters that texts share.")] = 0.9,
    keyframes: Annotated[bool, typer.Option("--keyframes", help="Compare the newest drafts' keyframes, too.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the groups into this .csv or .parquet as well.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Find images, texts and keyframes that are nearly the same, and who stands for whom."""
    from contract.errors import InputError
    from goldgate.console import EXIT_DONE, emit_json, emit_text
    from goldgate.lotduplicates import Limits, find_duplicates
    from goldgate.stages import open_stage, shown

    if text_share <= 0:
        raise InputError(f"--text-share {text_share:g}: write a share over 0 and at most 1")
    limits = Limits(radius=radius, colours=colours, text_share=text_share, keyframes=keyframes)
    found = find_duplicates(open_stage(contract, lot, work), limits)
    if out is not None:
        write_table(out, found.table)
    receipt = found.receipt
    if json_:
        emit_json({**receipt.model_dump(mode="json"), "file": None if out is None else str(out)})
        return EXIT_DONE
    counts = [f"{count} {kind}s" for kind, count in receipt.duplicates.items()]
    counts += [f"{receipt.keyframes} keyframes"] if receipt.keyframes else []
    lines = [f"duplicates {receipt.number}: {receipt.groups} groups with {', '.join(counts) or 'nothing'} to spare"]
    lines += [] if out is None else [f"the groups: {shown(out)}"]
    emit_text("\n".join(lines))
    return EXIT_DONE
