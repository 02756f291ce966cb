"""The site: the daemon, the disk, the database, the versions; and how all of it is, for a monitor."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
from typing import Any, Dict
from zoneinfo import ZoneInfo

from runner import __version__, acts, mounts
from runner.facts import health as facts
from runner.web.api.ask import Ask
from runner.web.api.acting import Doing
from runner.web.api.operation import act, read, schemas
from runner.web.api.shapes import many, maybe, moment, names, number, one_of, ref, text, thing, truth, whole

_DAEMON = thing("The daemon that lives.", pid=whole("Its process."), since=text("Since when, UTC."), version=text("Its version."), beat_age=number("Seconds since it turned last."),
                blocked=text("Why it lets nothing begin; empty: it may."), page=text("Why its page is not served; empty: it is, or shall not be."))
schemas(
    Health=thing(
        "How the site is.", state=one_of(facts.STATES, "The worst of what was found."),
        findings=many(thing("Something that is not as it should be.", level=one_of(facts.STATES, "How bad."), text=text("What.")), "What was found."),
        daemon=maybe(_DAEMON), running=whole("Runs that go on."), queued=whole("Runs that wait."), failed=names("Runs that failed within a day."), faulty=names("Pipelines whose file has faults."),
        broken=names("Pipelines whose schedule cannot be worked out."), free=whole("Bytes that are free on the disk."), blocked=text("Why nothing begins; empty: it may."),
        alerts=names("What is wrong with telling people."), next_due=maybe(moment("When the next run begins.")),
    ),
    Site=thing(
        "The server.", name=text("Its name."), version=text("Of runner."), python=text("Of Python."), sqlite=text("Of the database's library."), home=text("Where all state lives."),
        pipelines=text("Where the files are."), timezone=text("Of pipelines that name none."), now=moment("Its clock."), slots=whole("Steps at once."), daemon=maybe(_DAEMON),
        page_url=text("Where people reach the page."),
        disk=thing("The disk of the home.", mount=text("Where it is mounted."), free=whole("Bytes that are free."), size=whole("Bytes it has."), reason=text("Why nothing begins; empty: it may.")),
        database=thing("The database.", size=whole("Bytes of its file."), wal=whole("Bytes that are not yet in it.")),
        me=thing("Who asks.", name=text("The name; empty: the daemon's own user."), role=text("The role."), tags=names("Tags that limit the acts; none: all."), source=text("From where: page, api, token NAME.")),
        may=names("The acts that this one may do."), accounts=truth("Whether people sign in."),
    ),
)


@read("/site", ref("Site"))
def get_site(ask: Ask) -> Dict[str, Any]:
    """The server, its versions, its disk; and who asks."""
    from runner.web.viewer import ACTS

    config, viewer = ask.desk.config, ask.viewer
    size = {suffix: os.path.getsize(config.database + suffix) if os.path.exists(config.database + suffix) else 0 for suffix in ("", "-wal")}
    return {
        "name": platform.node(), "version": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "home": config.home, "pipelines": config.pipelines,
        "timezone": config.timezone, "now": ask.now.astimezone(ZoneInfo(config.timezone)), "slots": config.slots, "daemon": facts.daemon(ask.desk), "page_url": config.page_url,
        "disk": {"mount": mounts.mount_of(config.home), "free": mounts.free_bytes(config.home), "size": shutil.disk_usage(config.home).total,
                 "reason": mounts.disk_reason(config.home, config.min_free)},
        "database": {"size": size[""], "wal": size["-wal"]}, "me": {"name": viewer.name, "role": viewer.role, "tags": sorted(viewer.tags), "source": viewer.source},
        "may": [act for act in ACTS if viewer.may(act, viewer.tags)], "accounts": ask.desk.has_accounts(),
    }


@act("/daemon/reload", "reload", thing("Which daemon was asked.", pid=whole("Its process.")))
def reload(ask: Ask) -> Doing:
    """Have the daemon read its settings and pipelines again; it also says that a clock which jumped is right."""
    ask.may(())  # it is about all pipelines
    return Doing(acts.Reload(), lambda ready, found: {"pid": found.pid})


@read("/health", ref("Health"))
def get_health(ask: Ask) -> Dict[str, Any]:
    """Whether all is well: as `runner health --json` tells it. The answer is 200 also when it is not; /healthz says it by its status."""
    return facts.judged(facts.facts(ask.desk, ask.store))


@read("/openapi.json", {"type": "object"})
def get_document(ask: Ask) -> Dict[str, Any]:
    """This document."""
    from runner.web.api.document import document

    return document()
