"""user, token: who may look at the page and act there."""

from __future__ import annotations

import sys
from typing import Any, List, Optional, Sequence

import click

from runner.actor import actor
from runner.cli import table
from runner.cli.app import App, need_writable
from runner.cli.completion import complete_token, complete_user
from runner.errors import UsageError
from runner.store.accounts import ROLES, Token, User

SCOPES = ("look", "operate", "edit", "admin")
DAYS = 90
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_role = click.Choice(ROLES)
_tags = click.option("--tag", "tags", multiple=True, metavar="TAG", help="May act only on pipelines with this tag; may be given again.")
_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


def _zone(app: App):
    from zoneinfo import ZoneInfo

    return ZoneInfo(app.config.timezone)


def _by(app: App):
    """(who, when) of an act."""
    from runner.acts.who import Who

    return Who(actor(), "cli"), app.clock.now()


def _password(name: str, from_stdin: bool) -> str:
    """Asked for twice on a terminal. It takes no argument, which ps and the shell's history would show."""
    if from_stdin:
        return sys.stdin.read().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for a password", "type: ... --password-stdin < FILE")
    return click.prompt(f"password of {name}", hide_input=True, confirmation_prompt="once more", err=True)


# ---------------------------------------------------------------------------------------------------------------- users


@click.group()
def user():
    """Who signs in to the page of the daemon, and what they may do there.

    \b
    viewer     looks at everything
    operator   also starts, repeats, stops and marks runs, pauses and holds
    editor     also has the daemon read settings and pipelines again
    admin      also looks after users and tokens
    """


@user.command("add")
@click.argument("name")
@click.option("--role", type=_role, default="viewer", show_default=True)
@_tags
@_stdin
@click.pass_obj
def add_user(app: App, name, role, tags, password_stdin):
    """Let NAME sign in. From the first user on, the page answers nobody who has not signed in."""
    from runner import accounts

    need_writable(app.config)
    name = accounts.good_name(name)
    store = app.store(create=True)
    first = not store.accounts.any()
    accounts.add_user(store, *_by(app), name, role, tags, _password(name, password_stdin))
    app.out(f"{name}  {role}" + _tagged(tags))
    if first:
        app.say("the first user: from now on the page asks everybody to sign in")


@user.command("list")
@_json
@click.pass_obj
def list_users(app: App, as_json):
    """All users, with their role and when they signed in last."""
    store = app.store_if_any()
    found: List[User] = store.accounts.users() if store else []
    if as_json:
        app.out_json([_user_json(each) for each in found])
        return
    zone = _zone(app)
    rows = [(each.name, each.role, " ".join(each.tags) or "all", table.moment(each.seen_at, zone) or "never", "locked" if each.locked_at else "")
            for each in found]
    for line in table.columns(("user", "role", "acts on", "signed in", ""), rows) if rows else ():
        app.out(line)
    if not found:
        app.say("no users: the page only shows, to the user of the daemon; add one: runner user add NAME --role operator")


def _user_json(each: User) -> Any:
    return {"name": each.name, "role": each.role, "tags": list(each.tags), "made_at": each.made_at, "signed_in_at": each.seen_at, "locked_at": each.locked_at}


@user.command("passwd")
@click.argument("name", shell_complete=complete_user)
@_stdin
@click.pass_obj
def passwd(app: App, name, password_stdin):
    """Give NAME another password. Whoever is signed in by that name is out."""
    from runner import accounts

    store = app.store()
    name = accounts.find_user(store, name).name
    ended = accounts.set_password(store, *_by(app), name, _password(name, password_stdin))
    app.out(f"{name}  has a new password{_ended(ended)}")


@user.command("role")
@click.argument("name", shell_complete=complete_user)
@click.argument("role", type=_role)
@_tags
@click.option("--all-tags", is_flag=True, help="May act on all pipelines again.")
@click.pass_obj
def change_role(app: App, name, role, tags, all_tags):
    """Give NAME another role, and other tags when they are given. It counts at once."""
    from runner import accounts

    if tags and all_tags:
        raise UsageError("--tag and --all-tags exclude each other")
    after = accounts.set_role(app.store(), *_by(app), name, role, tags if tags or all_tags else None)
    app.out(f"{after.name}  {after.role}" + _tagged(after.tags))


@user.command("lock")
@click.argument("name", shell_complete=complete_user)
@click.pass_obj
def lock(app: App, name):
    """Let nobody in by NAME any more. Their sessions end, their tokens are refused; nothing is forgotten."""
    from runner import accounts

    app.out(f"{name}  locked{_ended(accounts.lock_user(app.store(), *_by(app), name))}")


@user.command("unlock")
@click.argument("name", shell_complete=complete_user)
@click.pass_obj
def unlock(app: App, name):
    """Let NAME sign in again."""
    from runner import accounts

    accounts.unlock_user(app.store(), *_by(app), name)
    app.out(f"{name}  may sign in")


@user.command("remove")
@click.argument("name", shell_complete=complete_user)
@click.pass_obj
def remove_user(app: App, name):
    """Forget NAME, with their sessions and tokens. What they did stays in the trail."""
    from runner import accounts

    last = accounts.remove_user(app.store(), *_by(app), name)
    app.out(f"{name}  removed")
    if last:
        app.say("that was the last user: the page only shows, to the user of the daemon")


def _ended(count: int) -> str:
    return f"; {count} session{'s' if count > 1 else ''} ended" if count else ""


def _tagged(tags: Sequence[str]) -> str:
    return f"  acts on what has the tag {' or '.join(sorted(tags))}" if tags else ""


# --------------------------------------------------------------------------------------------------------------- tokens


@click.group()
def token():
    """What programs sign in with: Authorization: Bearer TOKEN. Only a hash of it is kept."""


@token.command("add")
@click.argument("name")
@click.option("--scope", type=click.Choice(SCOPES), default="look", show_default=True, help="As the roles: viewer, operator, editor, admin.")
@click.option("--days", type=int, default=DAYS, show_default=True, help="How long it is good for.")
@_tags
@click.option("--user", "owner", metavar="USER", default="", help="It is theirs: it may never do more than they may, and goes with them.", shell_complete=complete_user)
@_json
@click.pass_obj
def add_token(app: App, name, scope, days, tags, owner, as_json):
    """Make a token and print it, this once. NAME says in the trail who it was."""
    from runner import accounts

    store = app.store()
    word = accounts.add_token(store, *_by(app), name, scope, days, tags, owner)
    if as_json:
        app.out_json({**_token_json(app, store.accounts.token_named(accounts.good_name(name))), "token": word})
        return
    app.out(word)
    app.say(f"  shown this once; good for {days} days, scope {scope}" + _tagged(tags))


@token.command("list")
@_json
@click.pass_obj
def list_tokens(app: App, as_json):
    """All tokens: scope, end, when used last."""
    store = app.store_if_any()
    found: List[Token] = store.accounts.tokens() if store else []
    if as_json:
        app.out_json([_token_json(app, each) for each in found])
        return
    now, zone = app.clock.now(), _zone(app)
    rows = [(each.name, each.user, _scope(each), " ".join(each.tags) or "all", f"{each.ends_at:%Y-%m-%d}" + (" over" if each.ends_at <= now else ""),
             table.moment(each.used_at, zone) or "never") for each in found]
    for line in table.columns(("token", "user", "scope", "acts on", "ends", "used"), rows) if rows else ():
        app.out(line)
    if not found:
        app.say("no tokens; make one: runner token add NAME --scope look")


@token.command("revoke")
@click.argument("name", shell_complete=complete_token)
@click.pass_obj
def revoke(app: App, name):
    """Take a token out of force, at once."""
    from runner import accounts

    accounts.remove_token(app.store(), *_by(app), name)
    app.out(f"{name}  revoked")


def _scope(each: Token) -> str:
    return SCOPES[ROLES.index(each.role)]


def _token_json(app: App, each: Optional[Token]) -> Any:
    assert each is not None
    return {"name": each.name, "user": each.user, "scope": _scope(each), "tags": list(each.tags), "made_at": each.made_at, "made_by": each.made_by,
            "ends_at": each.ends_at, "over": each.ends_at <= app.clock.now(), "used_at": each.used_at}
