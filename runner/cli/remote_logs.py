"""logs from afar: read in parts, and followed by asking again."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import click

from runner import model
from runner.cli import logs, table
from runner.cli.app import App
from runner.cli.remote import Server, named
from runner.errors import NotFound

WAIT_SECONDS = 0.5


def show_logs(app: App, server: Server, run: str, step: Optional[str], count: Optional[int], everything: bool, follow: bool, number: Optional[int], raw: bool, paths: bool, as_json: bool) -> None:
    logs.check_words(run, count, everything, follow, number, paths, as_json)
    address = f"runs/{named(run)}"
    if step:
        server.get(f"{address}/steps/{named(step)}")
    steps = [step] if step else [each["step"] for each in server.get(f"{address}/logs", lines=0)["steps"]]
    lines = None if everything else count if count is not None else logs.ONE_STEP if len(steps) == 1 else logs.MANY_STEPS
    reader = _Reader(app, server, address, raw or bool(step))
    parts = [part for part in (reader.begin(each, lines, number) for each in steps) if part is not None]
    if number and not parts:
        raise NotFound(f"{'step ' + step + ' of ' if step else ''}run {run} has no attempt {number}", f"type: runner --server URL status {run}")
    if paths:
        app.out("\n".join(part["path"] for part in parts))
    elif as_json:
        app.out_json({"run": run, "steps": [_log_json(reader.whole(part)) for part in parts]})
    else:
        for part in parts:
            reader.print(part, header=not raw and (len(parts) > 1 or follow and not step))
        if follow:
            reader.follow(run, step)
        elif not parts:
            app.say(f"{'step ' + step + ' of ' if step else ''}run {run} printed nothing yet: runner status {run}")


def _log_json(part: Dict[str, Any]) -> Dict[str, Any]:
    """As `runner logs --json` gives it."""
    return {key: value for key, value in part.items() if key not in ("next", "over") and (key != "removed" or value)}


class _Reader:
    """Logs of a run, read in parts."""

    def __init__(self, app: App, server: Server, address: str, plain: bool):
        self._app, self._server, self._address, self._plain = app, server, address, plain
        self._at: Dict[Tuple[str, int], int] = {}  # (step, attempt) -> where to read on
        self._shown: Optional[Tuple[str, int]] = None

    def begin(self, step: str, lines: Optional[int], attempt: Optional[int]) -> Optional[Dict[str, Any]]:
        """The end of one log, or all of it; None for a step that never began."""
        query = {"offset": 0} if lines is None else {"lines": lines}
        try:
            return self._server.get(f"{self._address}/steps/{named(step)}/log", attempt=attempt, **query)
        except NotFound:
            return None

    def whole(self, part: Dict[str, Any]) -> Dict[str, Any]:
        """With all that followed meanwhile."""
        said = list(part["lines"])
        while part["next"] < part["size"]:
            more = self._on(part["step"], part["attempt"], part["next"])
            if not more["lines"]:
                break
            said += more["lines"]
            part = {**more, "offset": part["offset"]}
        return {**part, "lines": said}

    def _on(self, step: str, attempt: int, offset: int) -> Dict[str, Any]:
        return self._server.get(f"{self._address}/steps/{named(step)}/log", attempt=attempt, offset=offset)

    def print(self, part: Dict[str, Any], header: bool) -> None:
        key = (part["step"], part["attempt"])
        while True:
            if part["lines"]:
                if header and self._shown != key:
                    title = f"==> {part['step']} (attempt {part['attempt']}, {part['state']}) <=="
                    self._app.out(("" if self._shown is None else "\n") + click.style(title, fg=table.STATE_COLORS.get(part["state"]), bold=True))
                self._shown = key
                logs.print_lines(self._app, (line.encode("utf-8", "surrogatepass") for line in part["lines"]))
            self._at[key] = part["next"]
            if part["next"] >= part["size"] or not part["lines"]:
                return
            part = self._on(*key, part["next"])

    def follow(self, run: str, step: Optional[str]) -> None:
        """On until the step, or the run, has ended. States are read before the logs are, so that the log of what has ended is whole."""
        etag = ""
        while True:
            answer = self._server.ask("GET", self._address, {}, etag=etag)
            found, etag = answer.data or found, answer.etag  # noqa: F821 - there is one before an answer can be 304
            row = next((each for each in found["steps"] if each["id"] == step), None) if step else found
            ended = row is not None and row["state"] in (model.STEP_TERMINAL if step else model.RUN_TERMINAL)
            for each in found["steps"]:
                if step in (None, each["id"]) and each["tries"]:
                    self._attempts(each["id"])
            if ended:
                self._app.say(f"({step or run}: {row['state']}{': ' + row['reason'] if row['reason'] else ''})")
                return
            if found["interrupted"]:
                self._app.say(f"({run}: interrupted, nobody works on it)")
                return
            self._app.clock.sleep(WAIT_SECONDS)

    def _attempts(self, step: str) -> None:
        """What came to the log of its attempts since the last look."""
        last = self.begin(step, 0, None)
        if last is None:
            return
        for number in range(max((number for name, number in self._at if name == step), default=last["attempt"]), last["attempt"] + 1):
            offset = self._at.get((step, number), 0)
            if number < last["attempt"] or last["size"] > offset:
                self.print(self._on(step, number, offset), header=not self._plain)
