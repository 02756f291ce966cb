"""The last runs of a pipeline as small squares. A page has thousands of them: each is as short as it can be."""

from __future__ import annotations

from html import escape
from typing import Any, Mapping, Sequence

from runner.shown import STATE_SIGNS


def ticks(runs: Sequence[Mapping[str, Any]], said: Mapping[str, str]) -> str:
    """Links that lead from a page directly below the root; the title is said of those that did not go well. `said`: state -> words.

    The script lets Tab pass them by, thousands as they are; the right arrow leads from the name of the pipeline into them.
    """
    out = []
    for run in runs:
        state = run["state"]
        title = "" if state == "success" else f' title="{escape(run["label"])} {escape(said[state])}"'
        out.append(f'<a class="s-{state}" href="r/{run["id"]}"{title}>{STATE_SIGNS[state]}</a>')
    return "".join(out)
