"""Settings of the Label Studio door: which servers are trusted, and whose finished work goes into which lot."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from serving.inbox import Place
from serving.settings import Settings


class LabelStudioHost(Settings):
    """One Label Studio; its token is named here, never written."""

    url: str
    token_env: str | None = None
    token_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no address such as https://labelstudio.example.org")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _one_token(self) -> "LabelStudioHost":
        if self.token_env is not None and self.token_file is not None:
            raise ValueError("name token_env or token_file, not both")
        return self


class LotOfProject(Settings):
    """Where the finished annotations of a project go: by its number or title; a task's own data.lot goes before `lot`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    project: int | str
    contract: Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]
    lot: str | None = None
    role: Annotated[Literal["submission", "gold"], Field(alias="as")] = "submission"


class LabelStudioSettings(Settings):
    """The Label Studio door: whose files may be fetched with whose token, and whose annotations are kept."""

    hosts: tuple[LabelStudioHost, ...] = ()
    lots: tuple[LotOfProject, ...] = ()

    def place_of(self, project: int, title: str | None) -> Place | None:
        """Return where the annotations of a project go, or None where nobody said."""
        for each in self.lots:
            if each.project in (project, title):
                return Place(each.contract, each.lot, each.role)
        return None
