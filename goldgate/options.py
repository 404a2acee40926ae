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
ProjectOption = Annotated[int | None, typer.Option("--project", help="Number of the project at that address.")]
TokenEnvOption = Annotated[str, typer.Option("--token-env", help="Environment variable with the token for it.")]
OrderOption = Annotated[
    str, typer.Option("--order", help="none, uncertainty, disagreement, rare, novelty, or a mix: uncertainty=2,rare=1.")
]
MeasureOption = Annotated[str, typer.Option("--measure", help="Of uncertainty: margin, entropy or least_confidence.")]
AgainstOption = Annotated[
    str | None, typer.Option("--against", help="Run of the second drafts, of disagreement; the newest other one.")
]

WORK: Final = Path("work")
TOKEN_ENV: Final = "LABEL_STUDIO_API_KEY"  # noqa: S105 - the name of a variable, as Label Studio's own package has it
