"""The slots and the pools: what runs in them."""

from __future__ import annotations

from typing import Any, Dict

from runner.facts import slots as facts
from runner.web.api.ask import Ask
from runner.web.api.operation import read, schemas
from runner.web.api.shapes import many, maybe, ref, text, thing, truth, whole

schemas(
    Room=thing("What can run at once.", name=text("The pool; empty: the slots of the site."), used=whole("What is taken."), of=whole("How many there are.")),
    Pools=thing(
        "What is taken of the slots and of each pool.", slots=ref("Room"), pools=many(ref("Room"), "By name."),
        running=many(thing("A step that goes on.", run=text("The run."), step=text("The step."), kind=text("What it is."), slot=truth("Whether it takes a slot."),
                           pool=maybe(text("Its pool.")), pool_slots=whole("What it takes of it.")), "The steps that go on."),
    ),
)


@read("/pools", ref("Pools"))
def get_pools(ask: Ask) -> Dict[str, Any]:
    """The slots and the pools, and the steps that take them."""
    running = facts.running(ask.store, ask.desk.definitions())
    used = facts.used(running, ask.desk.config.pools)
    return {
        "slots": {"name": "", "used": sum(each["slot"] for each in running), "of": ask.desk.config.slots},
        "pools": [{"name": name, "used": used[name], "of": size} for name, size in sorted(ask.desk.config.pools.items())], "running": running,
    }
