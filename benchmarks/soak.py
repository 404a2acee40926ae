"""A service at twice what it can do, for a long time: nothing but 200 and 503, flat memory, nothing lost, /healthz alive.

    python benchmarks/soak.py [--minutes 30] [--address ray] [--over 2.0] [--out FILE]

The service is `goldgate serve` with the predictor without weights. What it can do is measured first (wrk, 64 connections).
Then requests come at a steady rate, whatever is answered (benchmarks/serving/steady.py), each with an id and texts whose
answers are known: an answer that is missing, doubled, or another's is counted. The sender gives way to the service (nice),
for it stands for callers on other machines. How many items the models answered, by
/metrics, must be exactly how many the accepted requests carried. Memory is that of every process of the service, read
from /proc every few seconds; its slope is a line fitted to the last two thirds of the time. /healthz is asked all the while.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.score import commit, machine  # noqa: E402
from benchmarks.serving import calls, load, servers  # noqa: E402
from benchmarks.serving.calls import Material  # noqa: E402
from benchmarks.serving.processes import family, resident_mib  # noqa: E402
from benchmarks.serving.servers import Running  # noqa: E402

CONNECTIONS: Final = 600  # more than the 256 items that may wait, so that the end of the queue is met
TEXTS: Final = 1_000
MEMORY_EVERY_S: Final = 5.0
HEALTH_EVERY_S: Final = 0.1
CAPACITY_CLIENTS: Final = 64


class Watch:
    """Asks /healthz and reads the memory while a block runs."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._health), threading.Thread(target=self._memory)]
        self.health_ms: list[float] = []
        self.health_failures: list[str] = []
        self.memory: list[tuple[float, dict[str, float]]] = []

    def __enter__(self) -> "Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _health(self) -> None:
        host = self._server.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30)
        while not self._done.wait(HEALTH_EVERY_S):
            started = time.perf_counter()
            try:
                connection.request("GET", "/healthz")
                reply = connection.getresponse()
                reply.read()
            except (OSError, http.client.HTTPException) as error:
                self.health_failures.append(type(error).__name__)
                connection.close()
                continue
            self.health_ms.append(1000 * (time.perf_counter() - started))
            if reply.status != 200:
                self.health_failures.append(str(reply.status))

    def _memory(self) -> None:
        started = time.monotonic()
        while not self._done.wait(MEMORY_EVERY_S):
            sums: dict[str, float] = {}
            for pid, name in family(self._server.process.pid).items():
                sums[name] = sums.get(name, 0.0) + resident_mib(pid)
            self.memory.append((time.monotonic() - started, sums))


def slope(points: list[tuple[float, float]]) -> float | None:
    """Return the slope of the line through points by least squares, a unit a second; None of fewer than three."""
    if len(points) < 3:
        return None
    fitted = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return fitted.slope


def memory_report(samples: list[tuple[float, dict[str, float]]]) -> dict[str, Any]:
    """Return first, last, largest and slope of the memory: of all processes together, and of each name."""
    names = sorted({name for _, sums in samples for name in sums})
    series = {"all": [(at, sum(sums.values())) for at, sums in samples]}
    series |= {name: [(at, sums.get(name, 0.0)) for at, sums in samples] for name in names}
    report = {}
    for name, points in series.items():
        late = [(at, mib) for at, mib in points if at >= points[-1][0] / 3]
        grown = slope(late)
        report[name] = {
            "first_mib": round(points[0][1], 1),
            "last_mib": round(points[-1][1], 1),
            "largest_mib": round(max(mib for _, mib in points), 1),
            "mib_an_hour": None if grown is None else round(3600 * grown, 1),
        }
    return report


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50, p99 and the largest of milliseconds."""
    if not values:
        return {}
    ranked = sorted(values)
    at = {f"p{share}_ms": round(ranked[min(len(ranked) - 1, len(ranked) * share // 100)], 1) for share in (50, 99)}
    return {**at, "max_ms": round(ranked[-1], 1), "asked": len(ranked)}


def capacity(server: Running, folder: Path) -> float:
    """Return how many requests a second the service answers."""
    texts = [f"review {index}: 不错, not bad" for index in range(256)]
    call = calls.sentiment(Material(texts, [], [], []))
    place = load.spread_out(call, folder)
    load.drive(server.url, call, place, clients=CAPACITY_CLIENTS, seconds=5)
    return float(load.drive(server.url, call, place, clients=CAPACITY_CLIENTS, seconds=10)["requests_per_s"])


def soak(server: Running, rate: float, seconds: float) -> dict[str, Any]:
    """Send for some seconds and return what came of it."""
    time.sleep(3)  # until what wrk left behind is labelled, too
    before = server.batches().get("text", (0.0, 0.0))
    order = {"port": int(server.url.rpartition(":")[2]), "rate": rate, "seconds": seconds}
    order |= {"connections": CONNECTIONS, "texts": TEXTS}
    command = ["nice", "-n", "10", sys.executable, "-m", "benchmarks.serving.steady", json.dumps(order)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Watch(server) as watch:
        started = time.perf_counter()
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        took = time.perf_counter() - started
    found = json.loads(done.stdout.splitlines()[-1])
    items, count = server.batches()["text"]
    found["client_cores"] = round(found.pop("cpu_seconds") / took, 2)
    found["items_labelled_by_models"] = round(items - before[0])
    found["mean_batch"] = round((items - before[0]) / max(1, count - before[1]), 1)
    return {
        **found,
        "healthz": percentiles(watch.health_ms),
        "healthz_failures": watch.health_failures,
        "memory": memory_report(watch.memory),
    }


def verdict(found: dict[str, Any]) -> dict[str, bool]:
    """Return what holds."""
    return {
        "only_200_and_503": set(found["statuses"]) <= {"200", "503"},
        "every_request_answered": not found["unanswered"] and not found["connections_lost"],
        "every_answer_its_own": not found["wrong_answers"] and not found["answers_of_others"],
        "every_accepted_item_labelled_once": found["items_labelled_by_models"] == found["items_answered"],
        "refusals_say_when": not found["refusals_without_retry_after"],
        "healthz_always_answered": not found["healthz_failures"],
    }


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--address", choices=["ray", "local"], default="ray")
    parser.add_argument("--over", type=float, default=2.0, help="times what the service can do")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "soak.json")
    return parser.parse_args()


def main() -> int:
    """Measure, write the document, and say by the exit status whether all holds."""
    options = parsed()
    with tempfile.TemporaryDirectory() as folder:
        starting = servers.goldgate(
            Path(folder), image="fake", host="http://127.0.0.1:1", address=options.address, optimized=True
        )
        with starting as server:
            able = capacity(server, Path(folder))
            print(f"able to answer {able:.0f} requests/s; now {options.over:g} times as many", flush=True)
            found = soak(server, options.over * able, 60 * options.minutes)
    document = {
        "what": "the service at more than it can do: statuses, losses, memory, /healthz",
        "protocol": f"python benchmarks/soak.py --minutes {options.minutes:g} --over {options.over:g}",
        "machine": machine(),
        "commit": commit(),
        "address": options.address,
        "minutes": options.minutes,
        "capacity_requests_per_s": round(able, 1),
        "offered_requests_per_s": round(options.over * able, 1),
        "holds": verdict(found),
        "found": found,
    }
    options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({"holds": document["holds"], **found}, indent=2))
    return 0 if all(document["holds"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
