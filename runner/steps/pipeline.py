"""Starts another pipeline for the same date, and waits until its run has ended.

```yaml
params: {region: KR}
steps:
  - id: segments
    pipeline: {name: customer_segments, params: {region: "<< params.region >>"}}
  - id: fire_and_forget
    pipeline: {name: statistics, wait: false}
```

The other run has the date of this one (`date:` for another), its own row, its own state, and `trigger: pipeline`. The wait holds no slot.
The step succeeds when that run does and fails when it fails. A stop of this run stops that one too.

A date runs at most once, so the run may be there already: one that succeeded counts, one that runs is waited for, and what failed of one is run
again, which is what `retries:` and a `rerun` of this step do. `if_exists: fail` refuses, `if_exists: again` makes a further run (`#2`).
It hands on `run`, the other run's name.

**Exit codes.** None: it has no process. Its reason names the other run and what failed there.

**Traps**

- The pipeline is looked for in the folder of this file, then in the pipelines folder. `runner check` warns of one that is in neither.
- Pipelines that start each other in a circle are refused, and so is a depth of more than ten.
- A pipeline that runs several times a day needs `date: "<< ts >>"` or the like, so that it is known which run is meant.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from runner import model
from runner.steps.base import BuildContext, CalledFile, Fault

KIND = "pipeline"
TITLE = "another pipeline for the same date"
SLOTLESS = True
EVERY_SECONDS = 10.0  # its end rings; this is for ends in another process

SCHEMA: Dict[str, Any] = {
    "type": ["string", "object"],
    "description": "The name of a pipeline, or a mapping with `name`.",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "description": "The pipeline. The same as writing it right behind `pipeline:`."},
        "date": {"type": "string", "minLength": 1, "description": "The date of its run. Default: that of this run."},
        "params": {
            "type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "array", "object"]},
            "description": "Its parameters.",
        },
        "wait": {"type": "boolean", "description": "false: do not wait for its end. Default: true."},
        "if_exists": {
            "type": "string", "enum": ["continue", "again", "fail"],
            "description": "When the date has run already: take it and repair what failed, run it once more, or fail. Default: continue.",
        },
    },
}
TEMPLATED = frozenset({"name", "date", "params"})


def normalise(body: Any) -> Dict[str, Any]:
    return {"name": body} if isinstance(body, str) else dict(body)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return []


def check(body: Mapping[str, Any]) -> List[Fault]:
    body = normalise(body)
    if not body["name"].strip():
        return [((), "`name:` is empty", "Write the name of a pipeline.")]
    return []


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    probe = {"for": "pipeline", "pipeline": body["name"], "every": EVERY_SECONDS, "beside": ctx.pipeline_path}
    return model.Command(argv=(), probe={**probe, **{key: value for key, value in body.items() if key != "name"}})
