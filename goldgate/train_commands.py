"""`goldgate models train`: the small models of the project's own."""

from pathlib import Path
from typing import Annotated

import typer

from goldgate.options import WORK, DeviceOption, JsonOption, ModelsFileOption, WorkOption

AccuracyOption = Annotated[
    float, typer.Option(min=0.01, max=0.9999, help="Share of right texts from which on people need not look.")
]
TrainingContractOption = Annotated[Path | None, typer.Option("--contract", "-c", help="Terms that allow training.")]
GoldLotOption = Annotated[list[str] | None, typer.Option("--lot", help="A lot whose newest gold to learn from; repeat it.")]
BaseOption = Annotated[str | None, typer.Option("--base", help="The model to go on from; the default one if left out.")]

train_app = typer.Typer(help="Train a small model of the project's own.", no_args_is_help=True)


@train_app.command("detector")
def train_detector(  # noqa: PLR0913 - a command's options are its public face
    out: Annotated[Path, typer.Option(help="Folder for the weights.", show_default=False)],
    images: Annotated[int, typer.Option(help="Scenes to render.")] = 2400,
    from_: Annotated[str, typer.Option("--from", help="scenes, or gold: fine-tune on the gold of lots.")] = "scenes",
    contract: TrainingContractOption = None,
    lot: GoldLotOption = None,
    base: BaseOption = None,
    learning_rate: Annotated[float, typer.Option(min=1e-7, max=1.0, help="Of fine-tuning.")] = 5e-4,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes: 10 over scenes, at most 30 over gold.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the scenes and of the training.")] = 0,
    device: DeviceOption = "cpu",
    models_file: ModelsFileOption = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Train the small detector on rendered scenes, or fine-tune a detector on gold and promote it if it is better."""
    if from_ == "gold":
        if contract is None:
            raise typer.BadParameter("--from gold needs --contract")
        from goldgate.gold_detector import train_detector_from_gold
        from goldgate.gold_training import FromGold
        from models.tune_detector import TuneDetectorSettings

        settings = TuneDetectorSettings(epochs=epochs or 30, learning_rate=learning_rate, seed=seed, device=device)
        asked = FromGold(contract, tuple(lot or ()), work, base, models_file)
        return train_detector_from_gold(asked, out, settings=settings, as_json=json_)
    if from_ != "scenes" or lot:
        raise typer.BadParameter("--from is scenes, or gold with --contract and --lot")
    from goldgate.model_commands import train_the_detector

    return train_the_detector(out, images=images, epochs=epochs or 10, seed=seed, device=device)


@train_app.command("sentiment")
def train_sentiment(  # noqa: PLR0913 - a command's options are its public face
    out: Annotated[Path, typer.Option(help="Folder for weights, tokenizer and card.", show_default=False)],
    data: Annotated[list[Path] | None, typer.Option(help="Tables with columns text,label.")] = None,
    from_: Annotated[str, typer.Option("--from", help="data, or gold: fine-tune on the gold of lots.")] = "data",
    contract: TrainingContractOption = None,
    lot: GoldLotOption = None,
    base: BaseOption = None,
    accuracy: AccuracyOption = 0.95,
    learning_rate: Annotated[float, typer.Option(min=1e-7, max=1.0, help="Of fine-tuning.")] = 2e-5,
    epochs: Annotated[int, typer.Option(min=1, help="Passes of fine-tuning, at most.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of fine-tuning.")] = 20_240,
    models_file: ModelsFileOption = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Train the small sentiment model on labelled texts, or fine-tune a model on gold and promote it if it is better."""
    if from_ == "gold":
        if contract is None or data:
            raise typer.BadParameter("--from gold needs --contract and takes no --data")
        from goldgate.gold_training import FromGold, train_sentiment_from_gold
        from models.tune_sentiment import TuneSettings

        settings = TuneSettings(epochs=epochs, learning_rate=learning_rate, seed=seed)
        asked = FromGold(contract, tuple(lot or ()), work, base, models_file)
        return train_sentiment_from_gold(asked, out, settings=settings, accuracy=accuracy, as_json=json_)
    if from_ != "data" or not data or lot:
        raise typer.BadParameter("give --data TABLE, or --from gold with --contract and --lot")
    from goldgate.model_commands import train_the_sentiment_model

    return train_the_sentiment_model(data, out, demanded=accuracy)


def calibrate(
    folder: Annotated[Path, typer.Argument(help="A text classifier, as transformers writes it.")],
    data: Annotated[list[Path], typer.Option(help="Tables with columns text,label.", show_default=False)],
    accuracy: AccuracyOption = 0.95,
    json_: JsonOption = False,
) -> int:
    """Calibrate a text classifier on labelled texts that it was not trained on."""
    from goldgate.model_commands import calibrate_the_model

    return calibrate_the_model(folder, data, demanded=accuracy, as_json=json_)


@train_app.command("shots")
def train_shots(
    material: Annotated[list[Path], typer.Option(help="Folders of videos and pictures.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for weights and card.", show_default=False)],
    steps: Annotated[int, typer.Option(min=1, help="At most; less where it gets no better.")] = 3000,
    seed: Annotated[int, typer.Option(min=0, help="Of the streams and of the training.")] = 0,
    device: DeviceOption = "cpu",
) -> int:
    """Train the shot network on changes made out of any material."""
    from goldgate.model_commands import train_the_shot_network

    return train_the_shot_network(material, out, steps=steps, seed=seed, device=device)
