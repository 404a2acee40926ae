"""The command line: one command an arrow of the flow. Heavy libraries are imported by the command that needs them."""

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from goldgate import lot_commands, plan_commands, review_commands
from goldgate.console import guarded, log_to_stderr
from goldgate.delivery_app import add_delivery
from goldgate.keys_commands import keys_app
from goldgate.options import (
    TOKEN_ENV,
    WORK,
    AgainstOption,
    ContractOption,
    DeviceOption,
    FormatOption,
    JsonOption,
    LotOption,
    MeasureOption,
    ModelsFileOption,
    OrderOption,
    ProjectOption,
    TokenEnvOption,
    WorkOption,
)
from goldgate.sample_commands import sample_app
from goldgate.train_commands import calibrate, train_app

app = typer.Typer(
    name="goldgate",
    help="Model-assisted pre-labelling with a contract's acceptance gate at its end.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="List, fetch and train models.", no_args_is_help=True)
app.add_typer(models_app, name="models")
models_app.add_typer(train_app, name="train")
models_app.command("calibrate")(calibrate)
app.add_typer(lot_commands.lot_app, name="lot")
app.add_typer(sample_app, name="sample")
app.add_typer(keys_app, name="keys")
app.add_typer(lot_commands.dispute_app, name="dispute")
app.command("rework")(lot_commands.rework)
app.command("settle")(lot_commands.settle)
app.command("plan")(plan_commands.plan)
app.command("queue")(review_commands.queue)
app.command("duplicates")(review_commands.duplicates)
app.command("saving")(lot_commands.saving)
add_delivery(app)

_TASKS: Final = ("boxes", "sentiment", "shots", "keyframes", "events")


@app.command()
def demo(work: WorkOption = WORK, address: Annotated[str, typer.Option(help="local or ray.")] = "ray") -> int:
    """Run the whole flow on made material, with no network."""
    from goldgate.demo.story import tell

    return tell(work, address=address)


@app.command()
def check(
    contract: Annotated[Path, typer.Argument(help="The contract's terms (YAML).")],
    picture: Annotated[Path | None, typer.Option(help="Draw what the terms accept into this .svg or .png.")] = None,
    json_: JsonOption = False,
) -> int:
    """Validate the terms; print their reading and what they make of good and bad work."""
    from goldgate.checking import check_terms

    return check_terms(contract, picture=picture, as_json=json_)


@app.command()
def intake(
    contract: ContractOption,
    lot: LotOption,
    paths: Annotated[list[str] | None, typer.Argument(help="Files, folders, globs, text tables or a manifest.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare the lot with the files on disk.")] = False,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Probe, hash and sign off a lot, or --verify it."""
    from goldgate import checking
    from goldgate.stages import open_stage

    stage = open_stage(contract, lot, work)
    if verify:
        return checking.verify_lot(stage, as_json=json_)
    return checking.take_in_lot(stage, contract, paths or [], as_json=json_)


@app.command()
def prelabel(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    model: Annotated[list[str] | None, typer.Option("--model", help="ROLE=NAME or ROLE=PATH.")] = None,
    address: Annotated[str, typer.Option(help="local, ray, or the http address of a server.")] = "local",
    device: DeviceOption = "auto",
    models_file: ModelsFileOption = None,
    key_file: Annotated[Path | None, typer.Option(help="Holds the key of the server; else GOLDGATE_KEY.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates (PEM) to trust for an https address.")] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Of each model, with --address ray.")] = 1,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Label the lot with models, resumably."""
    from goldgate.prelabelling import prelabel_lot
    from goldgate.stages import open_stage
    from goldgate.wiring import Where

    where = Where(address, device, models_file, key_file, ca_file, replicas)
    return prelabel_lot(open_stage(contract, lot, work), model or [], where, as_json=json_)


@app.command()
def keyframes(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    out: Annotated[Path, typer.Option(help="Folder to write into, a folder below for each video.", show_default=False)],
    from_: Annotated[str, typer.Option("--from", help="drafts[:RUN], submission[:N] or gold[:V].")] = "drafts",
    format_: Annotated[str, typer.Option("--format", help="jpeg or webp.")] = "jpeg",
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the pictures.")] = 92,
    sheet: Annotated[bool, typer.Option(help="A contact sheet for each video.")] = True,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Write keyframes as pictures that say of which frame of which video they are."""
    from goldgate.keyframes_command import look_of, write_keyframes
    from goldgate.stages import open_stage

    look = look_of(format_, quality=quality, sheet=sheet)
    return write_keyframes(open_stage(contract, lot, work), out, look, from_=from_, as_json=json_)


@app.command()
def export(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    format_: FormatOption,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write into.")] = None,
    to_url: Annotated[str | None, typer.Option("--to-url", help="Or the Label Studio to send to.")] = None,
    project: ProjectOption = None,
    token_env: TokenEnvOption = TOKEN_ENV,
    media: Annotated[
        str | None, typer.Option(help="Where that finds images and videos: an address before each name.")
    ] = None,
    from_: Annotated[str, typer.Option("--from", help="drafts[:RUN], submission[:N], gold[:V] or seeds:N.")] = "drafts",
    sample: Annotated[int | None, typer.Option(help="Only this sample's items; its blind ones without labels.")] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Of the sample only the blind items.")] = False,
    skip_duplicates: Annotated[
        bool, typer.Option("--skip-duplicates", help="Near-duplicates' representatives only.")
    ] = False,
    order: OrderOption = "none",
    measure: MeasureOption = "margin",
    against: AgainstOption = None,
    seed_errors: Annotated[float | None, typer.Option(help="Make this share of the drafts wrong, to see who looks.")] = None,
    seed_secret: Annotated[
        Path | None, typer.Option(help="File with the secret that decides which; made if left out.")
    ] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Write drafts, a submission or gold for a review tool, or send them to its project."""
    from goldgate.exchange import Asked, export_labels, portion_of
    from goldgate.reviewqueue import order_of
    from goldgate.seeds import plant
    from goldgate.stages import open_stage

    if (out is None) == (to_url is None):
        raise typer.BadParameter("give --out FOLDER, or --to-url ADDRESS and --project NUMBER")

    stage, portion = open_stage(contract, lot, work), portion_of(sample, blind=blind)
    wanted = order_of(order, measure, against)
    source = from_ if seed_errors is None else f"seeds:{plant(stage, from_, seed_errors, seed_secret)}"
    asked = Asked(source, portion, wanted, skip_duplicates)
    if out is not None:
        return export_labels(stage, format_, out, asked, as_json=json_)
    from goldgate.labelstudioproject import at_of, send_labels

    at = at_of(to_url or "", project, token_env, media, format_name=format_)
    return send_labels(stage, at, asked, as_json=json_)


@app.command(name="import")
def import_(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    format_: FormatOption,
    as_: Annotated[str, typer.Option("--as", help="submission or gold.")],
    paths: Annotated[list[Path] | None, typer.Argument(help="The review tool's export, in one file or several.")] = None,
    from_inbox: Annotated[bool, typer.Option("--from-inbox", help="What Label Studio's webhooks brought instead.")] = False,
    from_url: Annotated[str | None, typer.Option("--from-url", help="Or the Label Studio to fetch from.")] = None,
    project: ProjectOption = None,
    token_env: TokenEnvOption = TOKEN_ENV,
    add_to: Annotated[int | None, typer.Option(help="Take along all labels of this earlier number.")] = None,
    replace: Annotated[
        int | None, typer.Option(help="Like --add-to, but items in the file take the place of older.")
    ] = None,
    copy_duplicates: Annotated[
        bool, typer.Option("--copy-duplicates", help="Near-duplicates that are not in it get their representative's labels.")
    ] = False,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Bring corrected work back as submission or gold."""
    from goldgate.exchange import Manner, base_of, import_labels
    from goldgate.inbox import paths_or_inbox
    from goldgate.stages import open_stage

    base, stage = base_of(add_to, replace), open_stage(contract, lot, work)
    if from_url is None:
        files = paths_or_inbox(stage, format_, paths or [], role=as_, from_inbox=from_inbox)
    else:
        if paths or from_inbox:
            raise typer.BadParameter("give files, --from-inbox or --from-url, one of them")
        from goldgate.labelstudioproject import at_of, fetch_export

        files = fetch_export(stage, at_of(from_url, project, token_env, None, format_name=format_))
    return import_labels(stage, format_, files, Manner(as_, base, copy_duplicates), as_json=json_)


@app.command()
def score(  # noqa: PLR0913 - a command's options are its public face
    task: Annotated[str, typer.Option(help="boxes, sentiment, shots, keyframes or events.")],
    labels: Annotated[Path, typer.Option(help="The labels to score.", show_default=False)],
    gold: Annotated[Path, typer.Option(help="The gold.", show_default=False)],
    contract: Annotated[Path | None, typer.Option("--contract", "-c", help="Terms whose profile to use.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for score.json, matches and defects, and the report.")] = None,
    tolerance: Annotated[int | None, typer.Option(min=0, help="Of shots: frames; 2 if left out.")] = None,
    shot_match: Annotated[str | None, typer.Option(help="Of shots: from the gold's start, or its transition.")] = None,
    device: DeviceOption = "cpu",
    json_: JsonOption = False,
) -> int:
    """Score any labels against any gold, with or without a contract."""
    if task not in _TASKS:
        raise typer.BadParameter(f"{task!r} is none of {', '.join(_TASKS)}", param_hint="--task")
    from contract.tables import Task
    from goldgate.judging import emit_score, score_files, shots_profile

    profile = shots_profile(task, contract, tolerance=tolerance, match=shot_match)
    chosen = Task.SENTIMENTS if task == "sentiment" else Task(task)
    result = score_files(chosen, labels, gold, contract=profile or contract, out=out, device=device)
    return emit_score(result, out, as_json=json_)


@app.command()
def accept(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    submission: Annotated[int | None, typer.Option(help="Number of the submission; the newest if left out.")] = None,
    gold: Annotated[int | None, typer.Option(help="Version of the gold; the newest if left out.")] = None,
    device: DeviceOption = "cpu",
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Judge a submission (exit 0 ACCEPT, 3 REJECT, 4 EXTEND)."""
    from goldgate.judging import accept_submission
    from goldgate.stages import open_stage

    return accept_submission(open_stage(contract, lot, work), submission, gold, device=device, as_json=json_)


@app.command()
def bias(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    submission: Annotated[int | None, typer.Option(help="Number of the submission; the newest if left out.")] = None,
    gold: Annotated[int | None, typer.Option(help="Version of the gold; the newest if left out.")] = None,
    run: Annotated[str | None, typer.Option(help="Run of the drafts; the newest if left out.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of the wrong drafts planted; the newest of the run.")] = None,
    blind: Annotated[
        Path | None, typer.Option(help="File of items with blind gold, one a line; else by the samples.")
    ] = None,
    epsilon_px: Annotated[float, typer.Option(help="How far a side of an untouched box may differ.")] = 0.5,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Tell what became of the drafts: left untouched, right or wrong, and the wrong ones that were planted."""
    from goldgate.bias_command import tell_bias
    from goldgate.draft_bias import Choice, read_blind
    from goldgate.stages import open_stage

    choice = Choice(run, seeds, read_blind(blind) if blind else None, epsilon_px)
    return tell_bias(open_stage(contract, lot, work), submission, gold, choice, as_json=json_)


@app.command()
def consistency(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    submission: Annotated[int | None, typer.Option(help="Number of the submission; the newest if left out.")] = None,
    other: Annotated[int | None, typer.Option(help="Another submission of the same items to compare with.")] = None,
    by_source: Annotated[bool, typer.Option("--by-source", help="Compare the sources within the submission.")] = False,
    pairs: Annotated[Path | None, typer.Option(help="CSV of items with the same content: item,same_as.")] = None,
    gold: Annotated[int | None, typer.Option(help="Version of the gold; the newest if left out.")] = None,
    other_gold: Annotated[int | None, typer.Option(help="Gold of the same items by somebody else.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Compare what was labelled twice, and count what is labelled, empty, excused or missing."""
    from goldgate.quality_commands import Asked, tell_consistency
    from goldgate.stages import open_stage

    asked = Asked(submission, other, by_source, pairs, gold, other_gold)
    return tell_consistency(open_stage(contract, lot, work), asked, as_json=json_)


@app.command(name="verify-report")
def verify_report_(
    folder: Annotated[Path, typer.Argument(help="A folder with score.json, its evidence and report.html.")],
    json_: JsonOption = False,
) -> int:
    """Compute a report's figures again from the files beside it (exit 2 if one disagrees)."""
    from goldgate.report_commands import verify_report

    return verify_report(folder, as_json=json_)


@app.command()
def serve(  # noqa: PLR0913 - a command's options are its public face
    config: Annotated[Path | None, typer.Option(help="Settings of the server; configs/serve.yaml if left out.")] = None,
    contract: Annotated[Path | None, typer.Option("--contract", "-c", help="Terms whose labels to speak.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; that of the settings if left out.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; that of the settings if left out.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate chain (PEM); with --key.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of the certificate (PEM).")] = None,
    keys: Annotated[Path | None, typer.Option(help="File of the keys that callers need; 'goldgate keys' makes it.")] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask for no keys; on a loopback address only.")] = False,
    address: Annotated[str, typer.Option(help="Where the models run: ray, or local for this process.")] = "ray",
) -> int:
    """Serve the models over HTTP until Ctrl-C; SIGHUP exchanges models."""
    from goldgate.serving_command import Listening, serve_models

    return serve_models(config, contract, Listening(host, port, certificate, key, keys, no_auth), run_on=address)


@models_app.command("list")
def models_list(models_file: ModelsFileOption = None, json_: JsonOption = False) -> int:
    """List the models that configs/models.yaml names."""
    from goldgate.model_commands import list_models

    return list_models(models_file, as_json=json_)


@models_app.command("pull")
def models_pull(name: str, models_file: ModelsFileOption = None) -> int:
    """Fetch a model once, and check or print its digest."""
    from goldgate.model_commands import pull_model

    return pull_model(name, models_file)


@models_app.command("build")
def models_build(
    name: Annotated[str, typer.Argument(help="A detector of the models file, or .pt weights.")],
    calibration: Annotated[
        Path, typer.Option(help="Pictures like the contract's, with their COCO instances if you have them.")
    ],
    runtime: Annotated[
        str | None, typer.Option(help="openvino, onnxruntime, tensorrt or torch; the device's if left out.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="bf16, int8, fp16 or fp32; the runtime's if left out.")] = None,
    device: DeviceOption = "auto",
    models_file: ModelsFileOption = None,
) -> int:
    """Make a detector ready for its runtime ahead of time, unless its AP would change."""
    from goldgate.model_building import build_model, read_order

    return build_model(name, read_order(runtime, precision, device, calibration), models_file)


def run(arguments: Sequence[str]) -> int:
    """Run the command line on `arguments` and return the exit status."""
    debug = "--debug" in arguments
    rest = [argument for argument in arguments if argument != "--debug"]
    log_to_stderr(debug=debug)
    return guarded(lambda: app(rest, standalone_mode=False), debug=debug)


def main() -> None:
    """Entry point of the `goldgate` script."""
    status = run(sys.argv[1:])
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        # A job that was stopped leaves calls in flight, which have written nothing and may run for minutes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
