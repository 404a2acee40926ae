"""`goldgate serve`: the HTTP service in the foreground."""

from pathlib import Path

from contract.terms import Terms, load_terms
from goldgate.console import EXIT_DONE, say
from goldgate.wiring import models_of_terms
from models.registry import default_models_file
from serving.app import serve_forever
from serving.config import ServeSettings, load_settings


def serve_models(config: Path | None, contract: Path | None, *, host: str | None, port: int | None) -> int:
    """Serve until Ctrl-C; options go before the config file's address."""
    settings, address = load_settings(config or default_models_file().with_name("serve.yaml"))
    if contract is not None:
        settings = _under(load_terms(contract), settings)
    host, port = host or address.host, port or address.port
    say(f"goldgate: serving {', '.join(kind.value for kind in settings.models)} on http://{host}:{port} (Ctrl-C stops)")
    serve_forever(settings, host, port)
    return EXIT_DONE


def _under(terms: Terms, settings: ServeSettings) -> ServeSettings:
    """Return `settings` with the labels of `terms`, and with the models that they name."""
    named = models_of_terms(terms)
    models = {
        kind: model.model_copy(update={"name": named[kind]}) if kind in named else model
        for kind, model in settings.models.items()
    }
    return settings.model_copy(update={"terms": terms.model_dump(mode="json"), "models": models})
