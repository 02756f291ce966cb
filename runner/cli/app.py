"""What every command needs: settings, the store, a pipeline by its name, and how to print."""

from __future__ import annotations

import json
import os
import sys
from functools import cached_property
from typing import Any, Mapping, Optional

import click

from runner import config as config_module
from runner.clock import Clock
from runner.config import Config
from runner.errors import EnvironmentFault, InvalidPipeline, NotFound
from runner.spec import finding
from runner.spec.finding import SUFFIXES
from runner.spec.parts import is_part


class App:
    """One call of the command line."""

    def __init__(self, environ: Mapping[str, str], home: Optional[str], pipelines: Optional[str]):
        # A `runner` in a step looks into the same folder, whichever way it was given.
        self.environ = {**environ, "RUNNER_PIPELINES": os.path.abspath(os.path.expanduser(pipelines))} if pipelines else environ
        self._home, self._pipelines = home, pipelines
        self.clock = Clock()

    @cached_property
    def config(self) -> Config:
        return self.load_config()

    def load_config(self) -> Config:
        """The settings as they are now. Raises EnvironmentFault, also for a time zone that is none: every date hangs on it."""
        found = config_module.load(self.environ, self._home, self._pipelines)
        if not _is_place(found.timezone):
            from runner.schedule import zones  # here: a name that is good pays nothing for it

            fault = zones.check_timezone(found.timezone)
            if fault and fault.severity == "error":
                raise EnvironmentFault(f"{found.origin['timezone']}: timezone: {fault.message}", fault.hint)
        return found

    # -- state

    def store(self, create: bool = False):
        """The store. Without `create` a home that has none yet is an error that says so."""
        from runner.store import Store

        if create and config_module.ensure_home(self.config):
            self.say(
                f"made {self.config.home} (timezone {self.config.timezone}, from {self.config.origin['timezone']}; "
                f"change it in settings.yaml)"
            )
        return Store(self.config.database, self.config.durability, create=create, timezone=self.config.timezone)

    def store_if_any(self):
        """The store, or None when nothing ever ran here."""
        return self.store() if os.path.exists(self.config.database) else None

    # -- pipelines

    def site(self):
        """What the meaning of a pipeline file depends on besides its text."""
        from runner.spec.check import Site

        return Site(self.config.timezone, self.config.logical_date, frozenset(self.config.pools), self.config.home, self.config.secrets_command)

    def pipeline_path(self, reference: str) -> str:
        """The file behind a name or a path. Raises NotFound that names near ones."""
        if is_part(reference):
            raise NotFound(f"{reference}: a file whose name begins with _ is a part of pipelines, and none itself", "name a pipeline that takes it; a part is looked at by: runner check FILE")
        if "/" in reference or reference.endswith(SUFFIXES):
            path = os.path.abspath(os.path.expanduser(reference))
            if not os.path.isfile(path):
                kind = "is a folder" if os.path.isdir(path) else "is not a plain file" if os.path.exists(path) else "does not exist"
                raise NotFound(f"{reference}: {kind}", "give the path of a pipeline file, or the name of one in " + self.config.pipelines)
            return path
        return finding.path_of(self.config.pipelines, reference)

    def pipeline_names(self):
        """Names of the files in the pipelines folder, unread."""
        return finding.names(self.config.pipelines)

    def pipeline(self, reference: str):
        """Load and check a pipeline; warnings are told on stderr. Raises InvalidPipeline with every fault."""
        from runner.spec.check import load_pipeline

        return load_pipeline(self.pipeline_path(reference), self.site())

    def pipeline_in_force(self, reference: str):
        """As `pipeline`; of one in the folder whose file has faults the last good version that the daemon keeps, and says so."""
        try:
            return self.pipeline(reference)
        except InvalidPipeline:
            store = None if "/" in reference or reference.endswith(SUFFIXES) else self.store_if_any()
            row = store.pipelines.get(reference) if store else None
            if row is None or not row.definition or row.gone_at:
                raise
        from runner.definitions import Definitions

        found = Definitions(store, self.site()).get(row.definition)
        self.say(f"the file of {reference} has faults: this is its last good version; type: runner check {reference}")
        return found

    def who(self, reason: str = ""):
        """Who acts, for the journal and the audit trail."""
        from runner.acts import Who, actor

        return Who(actor(), "cli", reason)

    # -- printing

    def say(self, text: str = "") -> None:
        """Talk, to stderr."""
        click.echo(text, err=True, color=self.color(sys.stderr))

    def out(self, text: str = "") -> None:
        """A result, to stdout."""
        click.echo(text, color=self.color(sys.stdout))

    def out_json(self, value: Any) -> None:
        click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_json_default))

    def color(self, stream) -> bool:
        return stream.isatty() and not self.environ.get("NO_COLOR") and self.environ.get("TERM") != "dumb"


def _is_place(name: str) -> bool:
    """Whether it is a zone beyond doubt, by the cheapest look; False asks for a closer one."""
    from zoneinfo import ZoneInfo

    try:
        return name[:1].isupper() and bool(ZoneInfo(name)) and "/" in name
    except (OSError, ValueError, KeyError):
        return False


def _json_default(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def need_writable(config: Config) -> None:
    """Say early that a run could not be recorded."""
    if os.path.exists(config.home) and not os.access(config.home, os.W_OK):
        raise EnvironmentFault(f"{config.home}: not writable for this user", "chown it, or point RUNNER_HOME at another folder")
