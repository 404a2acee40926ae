"""The front doors under load, beside the peers' servers with the same models in the same run.

    python benchmarks/serve.py [--quick] [--parts fake yolo] [--clients 1 8 64] [--seconds 5] [--rounds 3] [--out FILE]

Every server is a process of its own on the loopback and is loaded by wrk (one thread, so many connections, each with a
request under way at all times; where requests take long, by threads until so many are answered), all on one machine: what
a client takes is missing to the server. For each door: requests
a second (median and spread of the rounds, after a warm-up), percentiles, errors, and the items of a model call (from
/metrics). The bare model is `predictor.predict` in a loop, in a process of its own.

    fake    the predictor without weights: what the doors cost. Ours on Ray, on Ray with RAY_SERVE_THROUGHPUT_OPTIMIZED, and
            in one process; plain FastAPI, LitServe with its batching, label-studio-ml's server (gunicorn, 8 threads)
    yolo    YOLO11n (int8, OpenVINO): ours by its own predictor, the peers by Ultralytics' predict as their examples do;
            label-studio-ml's also with the network in torch, as its YOLO example runs it (weights untrained, for none lie
            here: the same arithmetic, and no boxes to suppress). Every task is another one, so that no cache answers

Peers need environments of their own: --labelstudioml-python with label-studio-ml, gunicorn, rq<2 and --litserve-python
with litserve, both with Ultralytics and OpenVINO at the versions used here. One that is not named is not run.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.score import commit, machine  # noqa: E402
from benchmarks.serving import calls, load, servers  # noqa: E402
from benchmarks.serving.calls import Call, Material  # noqa: E402
from benchmarks.serving.processes import wait_until_idle  # noqa: E402
from benchmarks.serving.servers import Running  # noqa: E402
from benchmarks.serving.table import table  # noqa: E402

WEIGHTS: Final = "weights/yolo11n_int8_openvino_model"
TASKS: Final = 16
WARM_UP_S: Final = 3.0
VERSIONS: Final = ("ray", "fastapi", "starlette", "uvicorn", "ultralytics-opencv-headless", "openvino", "torch")


@dataclass(frozen=True)
class Setup:
    """A server to start, and what it is asked.

    Args:
        name: in the results.
        start: runs it.
        calls: asked of it, given the running server.
        ours: whether it has /metrics of ours.
    """

    name: str
    start: Callable[[], contextlib.AbstractContextManager[Running]]
    calls: Callable[[Running], Sequence[Call]]
    ours: bool = False


class Bench:
    """Runs the set-ups one after another and keeps the document as it grows."""

    def __init__(self, options: argparse.Namespace, folder: Path, host: str) -> None:
        self.options = options
        self.folder = folder
        self.host = host
        self.weights = str((options.data / WEIGHTS).resolve())
        images = sorted((options.data / "detection" / "images").glob("*.jpg"))
        texts = calls.read_texts(options.data / "text", 256)
        self.material = Material(
            texts=texts,
            images=[image.read_bytes() for image in images],
            hosted=[f"{host}/{image.name}" for image in images],
            classes=_classes(Path(self.weights)),
        )
        self.files = {"image": [str(image) for image in images], "text": _written(texts, folder)}

    def setups(self, part: str) -> Iterator[Setup]:
        """Yield the servers of `part`."""
        image = "fake" if part == "fake" else self.weights
        doors = partial(self._doors, part)
        ours = partial(servers.goldgate, self.folder, image=image, host=self.host)
        yield Setup("goldgate, Ray, throughput", partial(ours, address="ray", optimized=True), doors, ours=True)
        if part == "fake":  # a model that works hides what it changes
            yield Setup("goldgate, Ray", partial(ours, address="ray"), doors, ours=True)
        yield Setup("goldgate, one process", partial(ours, address="local"), doors, ours=True)
        for kind in ("text", "image") if part == "fake" else ("image",):
            yield from self._peers(f"fake-{kind}" if part == "fake" else self.weights, kind)

    def _doors(self, part: str, server: Running) -> list[Call]:
        material = self.material
        function = next(iter(server.get("/cvat/api/functions")))
        model = next(iter(server.get("/xanylabeling/v1/models")["data"]))
        texts = [calls.sentiment(material), calls.labelstudio_texts(material)] if part == "fake" else []
        images = [
            calls.detect(material),
            calls.labelstudio_images(material, tasks=1),
            calls.labelstudio_images(material, tasks=TASKS),
            calls.cvat(material, function=function),
            calls.xanylabeling(material, model=model),
        ]
        return texts + images

    def _peers(self, model: str, kind: str) -> Iterator[Setup]:
        material, options, folder = self.material, self.options, self.folder
        call = calls.plain_texts(material) if kind == "text" else calls.plain_images(material)
        yield Setup(f"FastAPI, a thread, {kind}", partial(servers.plain, folder, model), lambda _: [call])
        if options.litserve_python:
            batch = servers.TEXT_BATCH if kind == "text" else servers.IMAGE_BATCH
            lit = partial(servers.litserve, options.litserve_python, folder, model, batch=batch)
            yield Setup(f"LitServe, batches to {batch}, {kind}", lit, lambda _: [call])
        if options.labelstudioml_python:
            asked = (
                [calls.labelstudio_texts(material, prefix="")]
                if kind == "text"
                else [calls.labelstudio_images(material, tasks=tasks, prefix="") for tasks in (1, TASKS)]
            )
            peer = partial(servers.labelstudioml, options.labelstudioml_python, folder, model)
            yield Setup(f"label-studio-ml, {kind}", peer, lambda _: asked)
            if not model.startswith("fake"):
                peer = partial(servers.labelstudioml, options.labelstudioml_python, folder, "yolo11n.yaml")
                yield Setup(f"label-studio-ml, {kind}, torch", peer, lambda _: asked)

    def run(self, setup: Setup, *, fixed: bool) -> dict[str, Any]:
        """Start a server, load each of its calls (`fixed`: with so many requests), and return what was found."""
        print(f"-- {setup.name}", flush=True)
        found: dict[str, Any] = {}
        with setup.start() as server:
            for call in setup.calls(server):
                if self.options.calls and self.options.calls not in call.name:
                    continue
                drive = self._driver(server, call, fixed=fixed)
                found[call.name] = {}
                for clients in self.options.yolo_clients if fixed else self.options.clients:
                    found[call.name][str(clients)] = self._measure(setup, server, call, partial(drive, clients=clients))
        return found

    def _driver(self, server: Running, call: Call, *, fixed: bool) -> Callable[..., dict[str, Any]]:
        """Return what loads `call`, after a warm-up by it."""
        if fixed:
            load.complete(server.url, call, clients=8, passes=1)
            return partial(load.complete, server.url, call, passes=4 if call.items > 1 else 2)
        place = load.spread_out(call, self.folder)
        load.drive(server.url, call, place, clients=8, seconds=self.options.warm_up)
        return partial(load.drive, server.url, call, place, seconds=self.options.seconds)

    def _measure(self, setup: Setup, server: Running, call: Call, drive: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        before = server.batches() if setup.ours else {}
        rounds = []
        for _ in range(self.options.rounds):
            wait_until_idle(server.process.pid)
            rounds.append(drive())
        result = load.summed(rounds, items=call.items)
        for kind, (items, count) in (server.batches() if setup.ours else {}).items():
            earlier = before.get(kind, (0.0, 0.0))
            if count > earlier[1]:
                result["mean_batch"] = round((items - earlier[0]) / (count - earlier[1]), 2)
        said = {name: result[name] for name in ("requests_per_s", "items_per_s", "p50_ms", "p99_ms", "errors", "mean_batch")
                if name in result}  # fmt: skip
        print(f"{call.name:<34} {json.dumps(said)}", flush=True)
        return result

    def bare(self, part: str) -> dict[str, Any]:
        """Return the rates of the models by themselves."""
        found = {}
        for kind in ("text", "image") if part == "fake" else ("image",):
            for batch in (1, servers.IMAGE_BATCH):
                order: dict[str, Any] = {"kind": kind, "model": "fake" if part == "fake" else self.weights, "batch": batch}
                order |= {"seconds": self.options.seconds, "files": self.files[kind]}
                command = [sys.executable, "-m", "benchmarks.serving.bare", json.dumps(order)]
                environment = os.environ | {"PYTHONPATH": str(ROOT)}
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
                found[f"{kind}, batch {batch}"] = json.loads(done.stdout.splitlines()[-1])
        return found


def _classes(weights: Path) -> list[str]:
    import yaml

    names = yaml.safe_load((weights / "metadata.yaml").read_text(encoding="utf-8"))["names"]
    return list(names.values())


def _written(texts: Sequence[str], folder: Path) -> list[str]:
    files = []
    for index, text in enumerate(texts):
        path = folder / f"text-{index}"
        path.write_text(text, encoding="utf-8")
        files.append(str(path))
    return files


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--parts", nargs="+", choices=["fake", "yolo"], default=["fake", "yolo"])
    parser.add_argument("--only", help="set-ups whose name holds this")
    parser.add_argument("--calls", help="calls whose name holds this")
    parser.add_argument("--again", action="store_true", help="put what is measured into the document that is there")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--yolo-clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=5.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=float, default=WARM_UP_S, help="seconds before the rounds of a call")
    parser.add_argument("--labelstudioml-python", type=Path)
    parser.add_argument("--litserve-python", type=Path)
    parser.add_argument("--quick", action="store_true", help="one round of a second, and no result file")
    parser.add_argument("--out", type=Path, help="benchmarks/results/serve.json; none with --quick")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds, options.warm_up = 1.0, 1, 1.0
    elif options.out is None:
        options.out = ROOT / "benchmarks" / "results" / "serve.json"
    return options


def package_versions(options: argparse.Namespace) -> dict[str, str]:
    """Return the versions of what ran, the peers' among them."""
    found = {name: version(name) for name in VERSIONS}
    asked = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    for name, python in (("label-studio-ml", options.labelstudioml_python), ("litserve", options.litserve_python)):
        if python:
            done = subprocess.run([python, "-c", asked, name], capture_output=True, text=True, check=True)
            found[name] = done.stdout.strip()
    return found


def main() -> None:
    """Measure, and write the documents after every server."""
    options = parsed()
    started = time.time()
    document: dict[str, Any] = {
        "what": "the front doors under load, beside peers with the same models: requests a second, percentiles, batches",
        "protocol": f"wrk, {options.rounds} rounds of {options.seconds:g} s after a warm-up, medians; YOLO by threads",
        "machine": machine(),
        "commit": commit(),
        "versions": package_versions(options),
        "bare": {},
        "results": {},
    }
    images = options.data / "detection" / "images"
    with tempfile.TemporaryDirectory() as folder, servers.image_host(images) as host:
        bench = Bench(options, Path(folder), host)
        if options.again:
            before = json.loads(options.out.read_text(encoding="utf-8"))
            document["bare"], document["results"] = before["bare"], before["results"]
            document["commit_before"] = before["commit"]
        for part in options.parts:
            if part not in document["bare"]:
                document["bare"][part] = bench.bare(part)
                print(json.dumps(document["bare"][part]), flush=True)
            results = document["results"].setdefault(part, {})
            for setup in bench.setups(part):
                if options.only and options.only not in setup.name:
                    continue
                results.setdefault(setup.name, {}).update(bench.run(setup, fixed=part == "yolo"))
                document["seconds"] = round(time.time() - started)
                if options.out:
                    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
                    options.out.with_suffix(".md").write_text(table(document), encoding="utf-8")


if __name__ == "__main__":
    main()
