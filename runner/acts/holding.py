"""Pausing a schedule, and holding a pipeline or one of its steps: switches that stay as they are set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, List, Mapping, Tuple

from runner.acts.named import check_steps, known
from runner.acts.preview import Preview
from runner.acts.who import Who, command, record
from runner.errors import Conflict, RunnerError
from runner.shown import minute
from runner.store import Store


def held(store: Store, pipeline: str) -> List[str]:
    """What of a pipeline is held, in words."""
    return [f"{pipeline} {step}".strip() + f" is {words}" for step, words in store.pipelines.holds().get(pipeline, {}).items()]


@dataclass(frozen=True)
class Pause:
    """Stop a pipeline's schedule."""

    pipeline: str
    act: ClassVar[str] = "pause"

    def words(self) -> List[str]:
        return [self.act, self.pipeline]

    def ready(self, app: Any, store: Any = None) -> "Switching":
        return Switching(app, self, *known(app, self.pipeline))

    def change(self, store: Store, name: str, path: str, who: Who, at: Any) -> None:
        store.pipelines.pause(name, path, who.name, at, who.reason)

    def refusal(self, store: Store, name: str) -> Any:
        row = store.pipelines.get(name)
        if row and row.paused_by:
            since = f"{name} is paused by {row.paused_by} since {minute(row.paused_at, store.zone)}" + (f": {row.pause_reason}" if row.pause_reason else "")
            return Conflict(since, f"type: runner unpause {name}")
        return None

    def states(self, store: Store, name: str) -> Tuple[Mapping[str, Any], Mapping[str, Any]]:
        return {"paused": False}, {"paused": True}

    def warnings(self, app: Any, store: Store, name: str) -> List[str]:
        row = store.pipelines.get(name)
        first = [f"the run of {minute(row.next_due, store.zone)} is the first that does not begin"] if row and row.next_due else []
        return [*first, "what runs or waits goes on; runs made by hand are not stopped"]


@dataclass(frozen=True)
class Unpause(Pause):
    """Let a paused schedule go on."""

    act: ClassVar[str] = "unpause"

    def change(self, store: Store, name: str, path: str, who: Who, at: Any) -> None:
        store.pipelines.pause(name, path, None, at)

    def refusal(self, store: Store, name: str) -> Any:
        row = store.pipelines.get(name)
        return None if row and row.paused_by else Conflict(f"{name} is not paused", f"type: runner next {name}")

    def states(self, store: Store, name: str) -> Tuple[Mapping[str, Any], Mapping[str, Any]]:
        row = store.pipelines.get(name)
        return {"paused": True, "by": row.paused_by if row else "", "reason": row.pause_reason if row else ""}, {"paused": False}

    def warnings(self, app: Any, store: Store, name: str) -> List[str]:
        return ["times that passed meanwhile stay missed; a backfill runs them"]


@dataclass(frozen=True)
class Hold(Pause):
    """Let nothing new of a pipeline begin, or of one of its steps."""

    step: str = ""
    act: ClassVar[str] = "hold"

    def words(self) -> List[str]:
        return [self.act, self.pipeline, *([self.step] if self.step else [])]

    def ready(self, app: Any, store: Any = None) -> "Switching":
        found = known(app, self.pipeline)
        if self.step:
            check_steps(app.pipeline(self.pipeline), [self.step])
        return Switching(app, self, *found)

    def change(self, store: Store, name: str, path: str, who: Who, at: Any) -> None:
        store.pipelines.hold(name, self.step, who.name, at, who.reason)

    def refusal(self, store: Store, name: str) -> Any:
        held = store.pipelines.holds().get(name, {})
        what = f"{name} {self.step}".strip()
        return Conflict(f"{what} is {held[self.step]}", f"type: runner release {what}") if self.step in held else None

    def states(self, store: Store, name: str) -> Tuple[Mapping[str, Any], Mapping[str, Any]]:
        return {"held": False, **self._which()}, {"held": True, **self._which()}

    def _which(self) -> Mapping[str, str]:
        return {"step": self.step} if self.step else {}

    def warnings(self, app: Any, store: Store, name: str) -> List[str]:
        return ["what runs goes on; what would follow waits"]


@dataclass(frozen=True)
class Release(Hold):
    """Let a held pipeline or step go on."""

    act: ClassVar[str] = "release"

    def ready(self, app: Any, store: Any = None) -> "Switching":
        return Switching(app, self, *known(app, self.pipeline))

    def change(self, store: Store, name: str, path: str, who: Who, at: Any) -> None:
        store.pipelines.let_go(name, self.step)

    def refusal(self, store: Store, name: str) -> Any:
        held = store.pipelines.holds().get(name, {})
        if self.step in held:
            return None
        return Conflict(f"{name} {self.step}".strip() + " is not held", "held: " + ", ".join(f"{name} {each}".strip() for each in held) if held else "")

    def states(self, store: Store, name: str) -> Tuple[Mapping[str, Any], Mapping[str, Any]]:
        held = store.pipelines.holds().get(name, {}).get(self.step, "")
        return {"held": True, "words": held, **self._which()}, {"held": False, **self._which()}

    def warnings(self, app: Any, store: Store, name: str) -> List[str]:
        return []


@dataclass(frozen=True)
class Switching:
    """A switch that may be set: of a pipeline, also one whose file is gone or faulty."""

    app: Any
    asked: Pause
    name: str
    path: str

    def preview(self, store: Store, reason: str = "", commands: int = 0) -> Preview:
        refusal = self.asked.refusal(store, self.name)
        before, after = self.asked.states(store, self.name)
        return Preview(
            self.asked.act, self.name, (command(self.asked.words(), reason),), before={} if refusal else before, after={} if refusal else after,
            warnings=() if refusal else tuple(self.asked.warnings(self.app, store, self.name)),
            refusal=(refusal.message, refusal.hint) if isinstance(refusal, RunnerError) else ("", ""),
        )

    def do(self, store: Store, who: Who) -> str:
        """What was set: the pipeline, or the pipeline and its step. Raises Conflict when it is so already."""
        now, asked = self.app.clock.now(), self.asked
        with store.transaction():
            refusal = asked.refusal(store, self.name)
            if refusal:
                raise refusal
            before, after = asked.states(store, self.name)
            asked.change(store, self.name, self.path, who, now)
            record(store, who, asked.act, now, pipeline=self.name, before=before, after=after)
        return " ".join([self.name, *asked.words()[2:]])
