"""The result file of benchmarks/serve.py as tables for people."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_TITLES: Final = {"fake": "The predictor without weights", "yolo": "YOLO11n, int8, OpenVINO"}


def table(document: Mapping[str, Any]) -> str:
    """Return `document` in Markdown."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    machine = document["machine"]
    yield "# The front doors under load"
    yield ""
    yield f"{document['protocol']}. Made by `python benchmarks/serve.py`, commit {document['commit']}."
    yield f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, Python {machine['python']}; "
    yield ", ".join(f"{name} {number}" for name, number in document["versions"].items()) + "."
    for part, results in document["results"].items():
        yield from ("", f"## {_TITLES[part]}", "")
        for name, bare in document["bare"][part].items():
            yield f"- bare model, {name}: {bare['items_per_s']:,} items/s"
        yield from ("", "| server | call | clients | requests/s (spread) | items/s | p50 | p95 | p99 ms | batch | errors |")
        yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
        for server, found in results.items():
            for call, at in found.items():
                for clients, figures in at.items():
                    yield _row(server, call, clients, figures)


def _row(server: str, call: str, clients: str, figures: Mapping[str, Any]) -> str:
    low, high = figures["spread"]
    errors = ", ".join(f"{count} {name}" for name, count in figures["errors"].items()) or "none"
    cells = [
        server,
        call,
        clients,
        f"{figures['requests_per_s']:,} ({low:,} to {high:,})",
        f"{figures.get('items_per_s', figures['requests_per_s']):,}",
        *(f"{figures[name]:,}" for name in ("p50_ms", "p95_ms", "p99_ms")),
        str(figures.get("mean_batch", "")),
        errors,
    ]
    return f"| {' | '.join(cells)} |"
