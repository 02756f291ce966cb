"""Sends all that waits: a process of its own, so that no server, however slow, holds up a run.

One sender works on a RUNNER_HOME at a time. What it was killed over is sent again, with the same key: at least once.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Callable, Iterator, List, Mapping, Optional, Sequence, Set

from runner import config as config_module, faults, logtail, model, template, workorder
from runner.actor import actor
from runner.alerts import channels, deliver, grouping
from runner.alerts import message as wording
from runner.alerts.message import Message, Place
from runner.clock import Clock
from runner.config import Config
from runner.definitions import Definitions
from runner.errors import EnvironmentFault, InvalidPipeline, RunnerError
from runner.sitevalues import SiteValues
from runner.store.alerts import Alert, Delivery

LOCK = "alerts.lock"
HOOK_SECONDS = 60.0  # a hook may take this long
_FOR_STEPS = re.compile(r"<<.*\b(secret|outputs)\.")  # variables of a pipeline that its hooks do without
KEEP_DAYS = 90  # of the log, where the settings keep runs for ever


def place_of(config: Config) -> Place:
    return Place(socket.gethostname(), config.home, actor())


@contextmanager
def only_one(home: str, clock: Clock, patience: float = 0.0) -> Iterator[bool]:
    """Whether this process may send; another one's end is waited for as long as `patience`."""
    fd = os.open(os.path.join(home, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        until = clock.monotonic() + patience
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if clock.monotonic() >= until:
                    yield False
                    return
                clock.sleep(0.1)
        yield True
    finally:
        os.close(fd)


class Sender:
    def __init__(
        self, store, definitions: Definitions, config: Config, environ: Mapping[str, str], clock: Clock, say: Callable[[str], None],
        may_hold: bool = True,
    ):
        """`may_hold`: the later part of a storm may be kept for a minute; False where nobody would come back for it."""
        self._store, self._definitions, self._config, self._environ = store, definitions, config, environ
        self._clock, self._say, self._may_hold = clock, say, may_hold
        self.place = place_of(config)
        self.failed = 0

    def work(self) -> None:
        """One go at everything that is to be sent now; who fails in it is left for later, so that nobody waits twice for one server."""
        bad: Set[str] = {name for name, last in self._store.alerts.last_deliveries().items() if last.outcome != "sent"}
        while True:
            waiting = self._store.alerts.channels_due(self._clock.now())
            if not waiting:
                break
            # The slow ones last: who failed before, and hooks, which may take their time.
            name = min(waiting, key=lambda each: (each == channels.BASH, each in bad))
            self._serve(name)
        days = self._config.keep_days or KEEP_DAYS
        with self._store.transaction():
            self._store.alerts.prune(self._clock.now() - timedelta(days=days))

    def _serve(self, name: str) -> None:
        now = self._clock.now()
        alerts = self._store.alerts.due(name, now)
        hopeless = [alert for alert in alerts if alert.tries and grouping.is_hopeless(alert.at, now)]
        if hopeless:
            self._give_up(name, hopeless, now)
        alerts = [alert for alert in alerts if alert not in hopeless]
        if not alerts:
            return
        if name == channels.BASH:
            self._run_hook(alerts[0])
            return
        try:
            book = channels.load(self._config.home)
            if name == channels.DEFAULT:
                self._spread(book, alerts, now)
                return
            channel = book.channels.get(name)
            if channel is None:
                known = ", ".join(book.channels) or "none"
                raise EnvironmentFault(f"there is no channel {name} in {channels.path_of(self._config.home)}", f"channels: {known}")
        except RunnerError as error:
            self._put_off(name, alerts, error, now, 0.0, Message(alerts[0].key, alerts[0].run or alerts[0].pipeline, ""))
            return
        self._deliver(book, channel, alerts, now)

    def _spread(self, book: channels.Book, alerts: Sequence[Alert], now: datetime) -> None:
        """What was left open while alerts.yaml had a fault goes to whom it names now."""
        with self._store.transaction():
            for alert in alerts:
                for each in book.default.get(alert.event, ()):
                    about = {"pipeline": alert.pipeline, "run": alert.run, "step": alert.step}
                    self._store.alerts.add(alert.key, each, alert.event, alert.at, alert.body, **about)
            self._store.alerts.end(alerts, "sent", now, "handed on to the channels of default:", tried=False)

    def _deliver(self, book: channels.Book, channel: channels.Channel, alerts: List[Alert], now: datetime) -> None:
        sent, first = self._store.alerts.delivered_since(channel.name, now - timedelta(seconds=book.within))
        go = grouping.decide(len(alerts), sent, first, now, book.more_than, book.within, self._may_hold)
        if go.hold:
            with self._store.transaction():
                self._store.alerts.put_off(alerts, go.hold, "one of many: kept for one message with a list")
            return
        for batch in [alerts] if go.together else [[alert] for alert in alerts[:go.single]]:
            if not self._send(channel, batch, alerts):
                return

    def _send(self, channel: channels.Channel, batch: List[Alert], others: List[Alert]) -> bool:
        began = self._clock.monotonic()
        message = Message(batch[0].key, batch[0].run or batch[0].pipeline, "")
        try:
            message = self._message(batch)
            detail = deliver.send(channel, message, self._config.home, self._environ)
        except Exception as caught:  # noqa: BLE001 - also a fault of ours must not keep the others waiting
            error = _as_ours(caught)
            self._put_off(channel.name, others, error, self._clock.now(), self._clock.monotonic() - began, message, tried=batch)
            return False
        faults.point("alerts.sent")
        now = self._clock.now()
        with self._store.transaction():
            self._store.alerts.end(batch, "sent", now)
            self._log(channel.name, message, len(batch), "sent", detail, self._clock.monotonic() - began)
        return True

    def _message(self, batch: Sequence[Alert]) -> Message:
        messages = [self._worded(alert) for alert in batch]
        return messages[0] if len(batch) == 1 else wording.of_many(batch, messages, self.place)

    def _worded(self, alert: Alert) -> Message:
        if alert.event == "summary":
            from runner.alerts import summary

            return summary.message(alert.key, summary.gather(self._store, self._config, alert.at), self.place)
        return wording.of_alert(alert, self.place, last_lines)

    def _put_off(
        self, name: str, alerts: Sequence[Alert], error: RunnerError, now: datetime, took: float, message: Message,
        tried: Optional[Sequence[Alert]] = None,
    ) -> None:
        self.failed += 1
        reason = error.message + (f"; {error.hint}" if error.hint else "")
        until = grouping.next_try(max(alert.tries for alert in alerts) + 1, now)
        with self._store.transaction():
            for alert in alerts:
                self._store.alerts.put_off([alert], until, reason, tried=tried is None or alert in tried)
            self._log(name, message, len(tried or alerts), "failed", reason, took)
        self._say(f"channel {name}: {reason}; tried again {until:%H:%M:%S} UTC")

    def _give_up(self, name: str, alerts: Sequence[Alert], now: datetime) -> None:
        message = Message(alerts[0].key, f"{len(alerts)} alerts", "")
        with self._store.transaction():
            self._store.alerts.end(alerts, "given_up", now, "a day has passed", tried=False)
            self._log(name, message, len(alerts), "given_up", "not delivered within a day; runner alert log", 0.0)
        self._say(f"channel {name}: {len(alerts)} alerts given up after a day")

    def _log(self, name: str, message: Message, count: int, outcome: str, detail: str, took: float) -> None:
        self._store.alerts.log(Delivery(self._clock.now(), name, message.subject, message.key, count, outcome, detail[:1000], round(took, 3)))

    # -- hooks

    def _run_hook(self, alert: Alert) -> None:
        """Once: what a script does cannot be taken back, so a failed one is told in the log and not tried again."""
        began = self._clock.monotonic()
        message = wording.of_alert(alert, self.place, last_lines)
        try:
            text, env, cwd = self._hook(alert)
            detail, outcome = deliver.execute(["bash", "-c", text], {**env, **deliver.variables(message)}, message.text, cwd, HOOK_SECONDS), "sent"
        except InvalidPipeline as error:
            detail, outcome = f"its definition: {error.problems[0].message}", "given_up"
        except Exception as caught:  # noqa: BLE001 - as in _send
            error = _as_ours(caught)
            detail, outcome = error.message + (f"; {error.hint}" if error.hint else ""), "given_up"
        if outcome == "given_up":
            self.failed += 1
            self._say(f"hook of {alert.run or alert.pipeline}: {detail}")
        with self._store.transaction():
            self._store.alerts.end([alert], outcome, self._clock.now(), detail)
            self._log(channels.BASH, message, 1, outcome, detail, self._clock.monotonic() - began)

    def _hook(self, alert: Alert):
        """The script with its templates filled in, its environment, its folder."""
        env = {**config_module.inherited(self._environ), **config_module.handed_on(self._environ), "RUNNER_HOME": self._config.home}
        text = alert.body["bash"]
        if not alert.run:
            return text, env, self._config.home
        run = self._store.run(alert.run)
        pipeline: model.Pipeline = self._definitions.of(run)
        step = pipeline.step(alert.step) if alert.step else pipeline.steps[0]
        site = SiteValues(self._config.home)
        context = workorder.context_of(pipeline, run, step, int(alert.body.get("number") or 1), {}, None, site.makers())
        plain = {name: str(value) for name, value in pipeline.env.items() if not _FOR_STEPS.search(str(value))}
        env.update({name: template.render(value, context) for name, value in plain.items()})
        env.update(template.environment(context))
        if not alert.step:
            env.pop("RUNNER_STEP", None)
        return site.no_secret(template.render(text, context)), env, pipeline.folder


def _as_ours(error: Exception) -> RunnerError:
    """What went wrong, in words."""
    return error if isinstance(error, RunnerError) else RunnerError(f"a fault of runner itself: {type(error).__name__}: {error}")


def last_lines(path: str) -> List[str]:
    """The end of a log; a missing or damaged one has none."""
    try:
        return logtail.last_lines(path, wording.LOG_LINES)
    except (OSError, RunnerError):
        return []
