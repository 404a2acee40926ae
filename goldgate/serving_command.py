"""`goldgate serve`: the HTTP service in the foreground."""

from pathlib import Path

from contract.terms import load_terms
from goldgate.console import EXIT_DONE, say
from models.registry import default_models_file
from serving.app import serve_forever
from serving.config import load_settings


def serve_models(config: Path | None, contract: Path | None, *, host: str | None, port: int | None) -> int:
    """Serve until Ctrl-C; options go before the config file's address."""
    settings, address = load_settings(config or default_models_file().with_name("serve.yaml"))
    if contract is not None:
        settings = settings.model_copy(update={"terms": load_terms(contract).model_dump(mode="json")})
    host, port = host or address.host, port or address.port
    say(f"goldgate: serving {', '.join(kind.value for kind in settings.models)} on http://{host}:{port} (Ctrl-C stops)")
    serve_forever(settings, host, port)
    return EXIT_DONE
