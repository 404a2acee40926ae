"""Cases drawn from the doors' OpenAPI documents, and against them, on a real server: none may end in a 5xx.

    python benchmarks/fuzz_serve.py [--cases 20000] [--tool-cases 5000] [--doors rest cvat ...] [--seed 0] [--out FILE]

The server is `goldgate serve --address local` with the predictor without weights, in a process of its own. A door is drawn
from the document that it serves; Label Studio's, which serves none, from tests/oracles/labelstudioapi.py. schemathesis runs
its phases (examples, coverage, fuzzing) with its checks, round after round with a further seed, until a door has had its
cases. Only server errors and unanswered calls are looked for where the document is not the door's own.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

EXAMPLES: Final = 600  # of an operation in a round
LONGEST_S: Final = 3_600.0  # of a round
MOST_SHOWN: Final = 20
DOORS: Final = ("rest", "labelstudio", "cvat", "xanylabeling")

# Small limits, so that cases reach them.
SETTINGS: Final = """
applications:
  - name: goldgate
    import_path: goldgate.application:build
    args:
      models: {{image: {{name: fake, device: cpu}}, text: {{name: fake, device: cpu}}, video: {{name: fake, device: cpu}}}}
      access: {{auth: none}}
      limits: {{max_body_bytes: 20000, max_video_bytes: 30000}}
      jobs: {{max_body_bytes: 40000, max_contents: 8, max_queued: 1000000}}
      work: {work}
      doors: {{labelstudio: {{port: {labelstudio}}}, cvat: {{port: {cvat}}}, xanylabeling: {{port: {xanylabeling}}}}}
"""

# What a document cannot say: a damaged Arrow stream is as good as any other to one that names its media type, and an order
# must name a contract of the work folder, COCO holds no sentiments, and a job that was cancelled can still be asked about.
CHECKS: Final = """
[[operations]]
include-path-regex = "/v1/predict/.*"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/v1/jobs"
include-method = "POST"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/v1/jobs/{job}/results"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path-regex = "/v1/jobs/.*"
checks.use_after_free.enabled = false
"""

# The doors of tools take more than their documents tell, for no version of a tool sends quite the same; and a client of
# X-AnyLabeling takes every refusal for an empty image, so that its door refuses nothing.
_LENIENT: Final = "positive_data_acceptance,negative_data_rejection"
EXCLUDED: Final = {
    "rest": [],
    "labelstudio": ["--checks", "not_a_server_error"],
    "cvat": ["--exclude-checks", _LENIENT],
    "xanylabeling": ["--exclude-checks", f"{_LENIENT},unsupported_method"],
}


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[dict[str, str], "subprocess.Popen[bytes]"]]:
    """Run the service and yield the URLs of its doors, and its process."""
    from benchmarks.serving.processes import free_port, stopped, wait_until_up

    ports = {door: free_port() for door in DOORS}
    contract = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))["contract"]
    (folder / "work" / contract).mkdir(parents=True)
    shutil.copy(ROOT / "configs" / "demo.yaml", folder / "work" / contract / "contract.yaml")
    (folder / "serve.yaml").write_text(SETTINGS.format(**ports, work=folder / "work"), encoding="utf-8")
    program = str(Path(sys.executable).with_name("goldgate"))
    command = [
        program,
        "serve",
        "--no-auth",
        "--address",
        "local",
        "--config",
        str(folder / "serve.yaml"),
        "--port",
        str(ports["rest"]),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            urls = {door: f"http://127.0.0.1:{port}" for door, port in ports.items()}
            wait_until_up(f"{urls['rest']}/healthz", process)
            yield urls, process
        finally:
            stopped(process)


def fuzz(door: str, url: str, folder: Path, cases: int, *, seed: int) -> dict[str, Any]:
    """Run rounds against `door` until `cases` have been sent, and return what came of them."""
    location = _document(door, url, folder)
    (folder / "checks.toml").write_text(CHECKS if door == "rest" else "", encoding="utf-8")
    rounds: list[dict[str, Any]] = []
    started = time.perf_counter()
    while sum(each["test_cases"]["generated"] for each in rounds) < cases:
        rounds.append(_round([*location, *EXCLUDED[door]], folder, seed=seed + len(rounds)))
        if not rounds[-1]["test_cases"]["generated"]:
            raise SystemExit(f"{door}: no case was drawn: {json.dumps(rounds[-1]['errors'])}")
    return _summed(rounds, time.perf_counter() - started)


def _document(door: str, url: str, folder: Path) -> list[str]:
    """Return where schemathesis reads the document."""
    if door != "labelstudio":
        return [f"{url}/openapi.json"]
    from tests.oracles.labelstudioapi import document

    path = folder / "labelstudio.json"
    path.write_text(json.dumps(document(url)), encoding="utf-8")
    return [str(path), "--url", url]


def _round(location: list[str], folder: Path, *, seed: int) -> dict[str, Any]:
    report = folder / "report.json"
    program = str(Path(sys.executable).with_name("st"))
    options = ["--max-examples", str(EXAMPLES), "--seed", str(seed), "--generation-database", "none"]
    reports = ["--report", "json", "--report-json-path", str(report), "--continue-on-failure", "--no-color"]
    done = subprocess.run(
        [program, "--config-file", str(folder / "checks.toml"), "run", *location, *options, *reports],
        env=os.environ | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.oracles.openapi"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if not report.exists():
        raise SystemExit(f"schemathesis ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    report.unlink()
    return {**result, "said": done.stdout} if result["failures"] or result["errors"] else result


def _summed(rounds: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    failures: Counter[str] = Counter()
    for each in rounds:
        for failure in each["failures"]:
            failures.update({f"{failure['title']}: {operation}": 1 for operation in failure["operations"]})
    said = "\n".join(each["said"].partition("= FAILURES =")[2][:4000] for each in rounds if "said" in each)
    return {
        "cases": sum(each["test_cases"]["generated"] for each in rounds),
        "operations": rounds[0]["operations"]["selected"],
        "rounds": len(rounds),
        "seconds": round(seconds, 1),
        "server_errors": sum(count for name, count in failures.items() if "erver error" in name),
        "rounds_with_failure": dict(failures),
        "errors": [error for each in rounds for error in each["errors"]][:MOST_SHOWN],
        **({"said": said[:20_000]} if said else {}),
    }


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="of REST")
    parser.add_argument("--tool-cases", type=int, default=5_000, help="of each door of a tool")
    parser.add_argument("--doors", nargs="+", choices=list(DOORS), default=list(DOORS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "fuzz_serve.json")
    return parser.parse_args()


def main() -> int:
    """Fuzz the doors and write the result file after each; the exit status says whether anything was found."""
    from benchmarks.score import commit

    arguments = parsed()
    document: dict[str, Any] = {
        "what": "cases drawn from the doors' OpenAPI documents and against them, sent to a running server",
        "protocol": "python benchmarks/fuzz_serve.py; schemathesis, all checks, round after round with further seeds",
        "commit": commit(),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in ("schemathesis", "hypothesis", "fastapi", "starlette", "uvicorn")},
        },
        "seed": arguments.seed,
        "doors": {},
    }
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (urls, process):
        for door in arguments.doors:
            cases = arguments.cases if door == "rest" else arguments.tool_cases
            result = fuzz(door, urls[door], Path(folder), cases, seed=arguments.seed)
            document["doors"][door] = {**result, "server_still_runs": process.poll() is None}
            print(door, json.dumps({key: value for key, value in result.items() if key != "said"}), flush=True)
            arguments.out.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    found = document["doors"].values()
    return 1 if any(each["rounds_with_failure"] or not each["server_still_runs"] for each in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
