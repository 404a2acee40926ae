"""`goldgate queue`: what people see first of a lot's drafts, and what they need not see one by one."""

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
