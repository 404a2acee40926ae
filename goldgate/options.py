"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Final

import typer

# As contract.terms.Format, which is not imported for the sake of a help text.
FORMATS: Final = "coco, labelstudio, cvat, yolo, yolo-darknet, voc, xanylabeling, jsonl or activitynet."

ContractOption = Annotated[Path, typer.Option("--contract", "-c", help="The contract's terms (YAML).", show_default=False)]
LotOption = Annotated[str, typer.Option("--lot", help="Name of the lot.", show_default=False)]
WorkOption = Annotated[Path, typer.Option("--work", help="The work folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
FormatOption = Annotated[str, typer.Option("--format", help=FORMATS, show_default=False)]
ModelsFileOption = Annotated[Path | None, typer.Option("--models-file", help="Instead of configs/models.yaml.")]

WORK: Final = Path("work")
