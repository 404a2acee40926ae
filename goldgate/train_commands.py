"""`goldgate models train`: the small models of the project's own."""

from pathlib import Path
from typing import Annotated

import typer

from goldgate.options import DeviceOption

train_app = typer.Typer(help="Train a small model of the project's own.", no_args_is_help=True)


@train_app.command("detector")
def train_detector(
    out: Annotated[Path, typer.Option(help="Folder for the weights.", show_default=False)],
    images: Annotated[int, typer.Option(help="Scenes to render.")] = 2400,
    epochs: Annotated[int, typer.Option(help="Passes over them.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the scenes and of the training.")] = 0,
    device: DeviceOption = "cpu",
) -> int:
    """Train the small detector on rendered scenes."""
    from goldgate.model_commands import train_the_detector

    return train_the_detector(out, images=images, epochs=epochs, seed=seed, device=device)


@train_app.command("sentiment")
def train_sentiment(
    data: Annotated[list[Path], typer.Option(help="Tables with columns text,label.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for weights, tokenizer and card.", show_default=False)],
) -> int:
    """Train the small bilingual sentiment model on labelled texts."""
    from goldgate.model_commands import train_the_sentiment_model

    return train_the_sentiment_model(data, out)


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
