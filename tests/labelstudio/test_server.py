"""The Label Studio that other tests stand on: it runs, knows its user, and keeps what it is given."""

import subprocess

import pytest

from tests.labelstudio.server import EMAIL, VERSION, LabelStudio

pytestmark = [pytest.mark.labelstudio, pytest.mark.slow]

CONFIG = '<View><Text name="text" value="$text"/><Choices name="c" toName="text"><Choice value="good"/></Choices></View>'


def test_it_is_the_real_one(labelstudio: LabelStudio) -> None:
    versions = labelstudio.api.get("/api/version").json()
    assert (versions["label-studio-os-package"]["version"], versions["edition"]) == (VERSION, "Community")
    assert labelstudio.api.get("/api/current-user/whoami").json()["email"] == EMAIL


def test_a_project_keeps_its_tasks_in_order(labelstudio: LabelStudio) -> None:
    project = labelstudio.create_project("order", CONFIG)
    tasks = labelstudio.import_tasks(project, [{"data": {"text": f"text {number}"}} for number in range(3)])
    assert [labelstudio.task(task)["data"]["text"] for task in tasks] == ["text 0", "text 1", "text 2"]


def test_its_environment_has_the_sdk(labelstudio: LabelStudio) -> None:
    command = [str(labelstudio.python), "-c", "import label_studio_sdk; print(label_studio_sdk.__version__)"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    assert said.strip()[0].isdigit()
