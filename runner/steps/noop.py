"""Does nothing, and succeeds at once, without a process.

```yaml
steps:
  - {id: kr, bash: ./load.sh KR}
  - {id: us, bash: ./load.sh US}
  - id: loaded
    needs: [kr, us]
    noop:
```

A place for others to wait for: ten steps that need `loaded` need not name each load. `needs:`, `when:` and `trigger_rule:` work
as for every step. It takes no keys; `noop: true` and `noop: {}` mean the same as the bare `noop:`.

**Exit codes.** None: nothing runs. It succeeds, is skipped, or is upstream_failed.

**Traps**

- `retries:`, `timeout:` and `env:` have no effect.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from runner import model
from runner.steps.base import BuildContext, CalledFile, Fault

KIND = "noop"
TITLE = "nothing: a joint between steps"

SCHEMA: Dict[str, Any] = {
    "type": ["null", "boolean", "object"],
    "description": "Nothing to say: write `noop:` alone.",
    "additionalProperties": False,
    "properties": {},
}
TEMPLATED = frozenset()
SLOTLESS = True


def normalise(body: Any) -> Dict[str, Any]:
    return {}


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return []


def check(body: Mapping[str, Any]) -> List[Fault]:
    return []


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    """An empty argv: the engine takes it as success."""
    return model.Command(argv=())
