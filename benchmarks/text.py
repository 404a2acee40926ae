"""Texts a second: this predictor beside transformers' pipeline() at its default and at several batch sizes, and the job.

    python benchmarks/text.py [--data ../shared/data/text/zh_shopping.csv] [--model models/bundled/review-sentiment]
                              [--texts 8192] [--job-texts 50000] [--rounds 3] [--device cpu]

The same model, the same texts, in one run: after a warm-up, rounds in turn, median and spread. pipeline() gets texts as a
list and truncates at the model's window; this predictor reads a long text whole, in windows. Its default batch size is 1, so
it is measured on fewer texts. The job reads a CSV file, labels it in process and leaves Parquet shards with receipts; its
time is given with and without intake, beside the bare predictor on the same texts as one call.
"""

import argparse
import csv
import functools
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
SEED = 1
BATCH_SIZES = (4, 8, 16, 32, 64, 128, 256)


def read(path: Path, count: int) -> list[str]:
    """Return `count` texts of the CSV at `path` by chance, the same each time."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file) if row["text"].strip()]
    return random.Random(SEED).sample(texts, min(count, len(texts)))  # noqa: S311


def rates(runs: Mapping[str, tuple[Callable[[], object], int]], rounds: int) -> dict[str, dict[str, object]]:
    """Return name -> texts a second of each run (what to call, how many texts), in turns after one warm-up each."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, (call, texts) in runs.items():
            started = time.perf_counter()
            call()
            if turn:
                found[name].append(texts / (time.perf_counter() - started))
    return {
        name: {
            "texts_per_s": round(statistics.median(each), 1),
            "spread": [round(min(each), 1), round(max(each), 1)],
            "texts": runs[name][1],
        }
        for name, each in found.items()
    }


def pipelines(folder: Path, texts: Sequence[str], device: str) -> dict[str, tuple[Callable[[], object], int]]:
    """Return the runs of transformers' pipeline(): as it comes, and at each batch size."""
    from transformers import pipeline
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()
    classify = pipeline("text-classification", model=str(folder), device=device)
    few = list(texts[: max(1, len(texts) // 8)])

    def run(given: list[str], **options: Any) -> Callable[[], object]:
        return lambda: classify(given, truncation=True, **options)

    runs: dict[str, tuple[Callable[[], object], int]] = {"pipeline, default": (run(few), len(few))}
    for size in BATCH_SIZES:
        runs[f"pipeline, batch {size}"] = (run(list(texts), batch_size=size), len(texts))
    return runs


def predictor_of(folder: Path, device: str, settings: Mapping[str, Any], terms: Any = None) -> Any:
    """Return the loaded predictor of the weights in `folder`."""
    from contract.tables import Kind
    from models.registry import ModelEntry, predictor_of

    entry = ModelEntry(name="text", kind=Kind.TEXT, loader="transformers", path=folder.resolve(), settings=dict(settings))
    predictor = predictor_of(entry, terms=terms)
    predictor.load(device)
    return predictor


def sources_of(texts: Sequence[str]) -> list[Any]:
    """Return texts as what a predictor is asked."""
    from contract.predictor import Source
    from contract.tables import Kind

    return [Source(str(place), Kind.TEXT, "", text.encode()) for place, text in enumerate(texts)]


def contract_for(out: Path, model: Path) -> Path:
    """Write a contract of texts alone, labelled by the weights at `model`, and return its path."""
    document = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    document["contract"] = "TEXT-RATE"
    document["limits"]["max_text_characters"] = 100_000
    document["volumes"].update(images=0, video_hours=0)
    document["acceptance"].update(image=None, video=None)
    document["prelabel"] = {"sentiment": str(model.resolve())}
    path = out / "contract.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


def job_rates(texts: Sequence[str], model: Path, options: argparse.Namespace) -> dict[str, object]:
    """Return texts a second of the bare predictor and of the job from CSV to Parquet over the same texts, in turns."""
    from contract.tables import Kind
    from contract.workfolder import lot_folder
    from goldgate.stages import open_stage
    from goldgate.wiring import Where, named_models, wire
    from prelabel.intake import take_in
    from prelabel.run import Job, read_texts, run_job

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "in").mkdir()
        with (home / "in" / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text"])
            writer.writerows([text] for text in texts)
        stage = open_stage(contract_for(home, model), "lot", home / "work")
        started = time.perf_counter()
        take_in([str(home / "in")], lot=stage.lot, terms=stage.terms, lot_name="lot")
        intake_s = time.perf_counter() - started
        sources = sources_of(list(read_texts(stage.lot).values()))
        with wire(stage.terms, named_models(stage.terms, [], [Kind.TEXT]), Where(device=options.device)) as wired:
            predictor = wired.predictors[Kind.TEXT]
            job = Job(stage.lot, stage.terms, wired.predictors, calls_in_flight=wired.calls_in_flight)

            def label() -> int:
                shutil.rmtree(stage.lot.drafts, ignore_errors=True)
                return run_job(job).labelled

            def everything() -> int:
                lot = lot_folder(home / "again", stage.terms.contract, "lot")
                shutil.rmtree(home / "again", ignore_errors=True)
                take_in([str(home / "in")], lot=lot, terms=stage.terms, lot_name="lot")
                return run_job(Job(lot, stage.terms, wired.predictors, calls_in_flight=wired.calls_in_flight)).labelled

            count = len(sources)
            found: dict[str, Any] = dict(
                rates(
                    {
                        "bare predictor, one call": (lambda: predictor.predict(sources), count),
                        "job, lot to Parquet": (label, count),
                        "intake and job, CSV to Parquet": (everything, count),
                    },
                    options.rounds,
                )
            )
    bare = found["bare predictor, one call"]["texts_per_s"]
    found["job_over_bare"] = round(found["job, lot to Parquet"]["texts_per_s"] / bare, 3)
    found["csv_to_parquet_over_bare"] = round(found["intake and job, CSV to Parquet"]["texts_per_s"] / bare, 3)
    found["first_intake_s"] = round(intake_s, 2)
    return found


def main() -> None:
    """Measure and write benchmarks/results/text.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "text" / "zh_shopping.csv")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "bundled" / "review-sentiment")
    parser.add_argument("--texts", type=int, default=8192)
    parser.add_argument("--job-texts", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "text.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    load_before = os.getloadavg()
    texts = read(options.data, options.texts)
    sources = sources_of(texts)
    variants: dict[str, dict[str, Any]] = {"goldgate": {}, "goldgate, torch": {"runtime": "torch"}}
    if options.device == "cpu":
        variants["goldgate, bfloat16"] = {"precision": "bfloat16"}
    else:
        variants["goldgate, padded"] = {"packed": False}
    predictors = {name: predictor_of(options.model, options.device, settings) for name, settings in variants.items()}
    runs: dict[str, tuple[Callable[[], object], int]] = dict(pipelines(options.model, texts, options.device))
    for name, predictor in predictors.items():
        runs[name] = (functools.partial(predictor.predict, sources), len(texts))
    found = rates(runs, options.rounds)
    speeds = {name: float(str(each["texts_per_s"])) for name, each in found.items()}
    best = max((name for name in speeds if name.startswith("pipeline, batch")), key=speeds.__getitem__)
    result = {
        "texts": len(texts),
        "data": options.data.name,
        "model": options.model.name,
        "machine": {"cores": os.cpu_count(), "platform": platform.platform(), "load_before": load_before},
        "versions": {name: version(name) for name in ("transformers", "tokenizers", "torch", "openvino")},
        "runtimes": {name: predictor.describe().runtime for name, predictor in predictors.items()},
        "padding": {name: round(predictor.padding.ratio, 4) for name, predictor in predictors.items()},
        "rates": found,
        "times_pipeline_default": round(speeds["goldgate"] / speeds["pipeline, default"], 2),
        "times_pipeline_batch_64": round(speeds["goldgate"] / speeds["pipeline, batch 64"], 2),
        "times_pipeline_best": {best: round(speeds["goldgate"] / speeds[best], 2)},
        "job": job_rates(read(options.data, options.job_texts), options.model, options) if options.job_texts else None,
    }
    options.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
