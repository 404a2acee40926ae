"""`goldgate models`: what there is, fetching it once, and training the bundled ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contract.errors import WeightsError
from goldgate.console import EXIT_DONE, emit_json, emit_text, say
from models.registry import ModelEntry, load_registry, weights_of


def list_models(models_file: Path | None, *, as_json: bool) -> int:
    """Print every model of the models file, and whether its weights are here and as pinned."""
    registry = load_registry(models_file)
    rows = [
        {
            "name": entry.name,
            "kind": entry.kind.value,
            "loader": entry.loader,
            "from": entry.hub or (str(entry.path) if entry.path else None),
            "default": registry.defaults.get(entry.kind) == entry.name,
            "weights": _state(entry),
        }
        for entry in registry.entries.values()
    ]
    if as_json:
        emit_json(rows)
        return EXIT_DONE
    for row in rows:
        star = "*" if row["default"] else " "
        emit_text(f"{star} {row['name']:<22} {row['kind']:<6} {row['loader']:<13} {row['weights']}")
    emit_text("* the default of its kind")
    return EXIT_DONE


def _state(entry: ModelEntry) -> str:
    if entry.loader == "fake":
        return "needs no weights"
    if entry.loader == "video":
        return "ready, its shot network comes along"
    try:
        return f"ready, sha256 {weights_of(entry).sha256[:12]}"
    except WeightsError as error:
        return str(error)


def pull_model(name: str, models_file: Path | None) -> int:
    """Fetch the weights of `name` once and print their digest."""
    from models.hub import pull

    weights = pull(name, models_file=models_file)
    emit_text(f"{name}: {weights.path}, sha256 {weights.sha256}")
    return EXIT_DONE


def train_the_detector(out: Path, *, images: int, epochs: int, seed: int, device: str) -> int:
    """Train the scene detector into `out`."""
    from models.train_detector import train_detector

    measured = train_detector(out, images=images, epochs=epochs, seed=seed, device=device, report=say)
    emit_text(f"weights in {out}; on held-out scenes mAP50 {measured['map50']:.3f}, mAP50-95 {measured['map50_95']:.3f}")
    return EXIT_DONE


def train_the_sentiment_model(data: Sequence[Path], out: Path, *, demanded: float) -> int:
    """Train the sentiment model on tables of text,label into `out`."""
    from goldgate.training import Abstain
    from models.train_sentiment import train_sentiment

    measured = train_sentiment(out, texts=data, abstain=Abstain(demanded), tell=say)
    emit_text(f"weights, tokenizer, calibration and card in {out}")
    emit_text(_calibration(measured["calibration"]))
    return EXIT_DONE


def calibrate_the_model(folder: Path, data: Sequence[Path], *, demanded: float, as_json: bool) -> int:
    """Calibrate the text classifier in `folder` on tables of text,label that it was not trained on."""
    from goldgate.training import Abstain
    from models.calibrating import calibrate_folder
    from models.review_texts import read_reviews

    found = calibrate_folder(folder, read_reviews(data), abstain=Abstain(demanded))
    if as_json:
        emit_json(found)
    else:
        emit_text(f"{found['texts']} texts; calibration.json in {folder}\n{_calibration(found)}")
    return EXIT_DONE


def _calibration(found: Mapping[str, Any]) -> str:
    below = found["abstain_below"]
    people = (
        "no confidence is proven to suffice" if below is None else f"people look first at what scores less than {below:.4f}"
    )
    return (
        f"temperature {found['temperature']:.3f}: expected calibration error {found['ece_before']:.4f} before, "
        f"{found['ece_after']:.4f} after; {people}"
    )


def train_the_shot_network(material: Sequence[Path], out: Path, *, steps: int, seed: int, device: str) -> int:
    """Train the shot network on videos and pictures into `out`."""
    from models.train_shots import TrainSettings, train_shots

    chosen = TrainSettings(steps=steps, seed=seed)
    measured = train_shots(out, material=material, settings=chosen, device=device, run=(1, say))
    emit_text(f"weights and card in {out}; on streams of takes put aside F1 {measured['f1']:.3f}")
    return EXIT_DONE
