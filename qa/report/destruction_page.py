"""The page of a certificate of destruction, in Chinese and English."""

from collections.abc import Mapping
from typing import Any

from qa.report.page import environment


def render_destruction(certificate: Mapping[str, Any]) -> str:
    """Return the certificate (the fields of `delivery.destruction.DestructionCertificate`) as one HTML document."""
    return environment().get_template("destruction.html.j2").render(of=certificate)
