"""The pages of a delivery: statistics and acceptance certificate, in Chinese and English, without scripts or links."""

from typing import Literal

from contract.statistics import Statistics
from qa.report.page import environment
from qa.words.wording import TIMELINES, WORDS

Page = Literal["statistics", "certificate"]


def render_delivery(page: Page, statistics: Statistics) -> str:
    """Return the page as one HTML document; the same statistics give the same bytes."""
    tasks = {"boxes": WORDS["boxes"], "sentiments": WORDS["sentiment"], **TIMELINES}
    return environment().get_template(f"{page}.html.j2").render(of=statistics, tasks=tasks)
