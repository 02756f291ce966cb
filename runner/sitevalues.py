"""What a job takes of its site: variables and fields of connections as they are, secrets as marks that the attendant or client fills.

A secret is rendered as a seal that no value can forge. So a parameter or an output that holds `<< secret.x >>` stays a text
and gets nobody's password.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Set

from runner import template
from runner.site import connections, secrets, variables

HINT = "give it as env: {TOKEN: << secret.%s >>} and use $TOKEN"
_SEAL = "\0" + os.urandom(8).hex() + ":"  # of this process
_SEALED = re.compile(_SEAL + r"(\w+)\0")


class SiteValues:
    """For one job; remembers which secrets it asked for."""

    def __init__(self, home: str):
        self._home = home
        self.secrets: Set[str] = set()
        self.env: Dict[str, List[str]] = {}  # variable -> text, secret, text ...

    def makers(self) -> Mapping[str, Callable[[], Any]]:
        """For `template.context`: nothing is read before a text asks."""
        return {"secret": _Sealed, "var": lambda: variables.get_all(self._home), "conn": self._open_fields}

    def _open_fields(self) -> Dict[str, Dict[str, Any]]:
        shown = connections.shown(self._home)
        return {name: {field: value for field, value in body.items() if value != connections.HIDDEN} for name, body in shown.items()}

    def in_env(self, name: str, text: str) -> str:
        """A rendered variable as people may see it; what fills it is remembered."""
        self.env.pop(name, None)
        if _SEAL not in text:
            return text
        self.env[name] = parts = _SEALED.split(text)
        return "".join(_mark(part) if i % 2 else part for i, part in enumerate(parts))

    def in_body(self, text: str) -> str:
        """A rendered text of a body, seals as marks. Raises TemplateError for a mark that came with a value."""
        if "<<" in text:
            for name in secrets.MARK.findall(text):
                _refuse(f"a value holds the text << secret.{name} >>", "values are never read as templates: remove it from the parameter or output")
        if _SEAL not in text:
            return text
        self.secrets.update(_SEALED.findall(text))
        return _SEALED.sub(lambda found: _mark(found.group(1)), text)

    def no_secret(self, text: str) -> str:
        """A rendered text that no secret may stand in. Raises TemplateError."""
        found = _SEALED.search(text) if _SEAL in text else None
        if found:
            _refuse(f"<< secret.{found.group(1)} >> may not stand here", HINT % found.group(1))
        return text

    def check_command(self, words: Mapping[str, str]) -> None:
        """No mark of the body has got into an argument, a script or a variable. Raises TemplateError."""
        for place, text in words.items():
            for name in secrets.MARK.findall(text) if self.secrets and "<<" in text else ():
                if name in self.secrets:
                    _refuse(f"<< secret.{name} >> may not stand in {place}", HINT % name)

    def order(self, body: Any, fills: bool) -> Dict[str, Any]:
        """What the attendant does; empty when there is nothing. `fills`: a client fills every mark of the body."""
        names = self.secrets.union(*(parts[1::2] for parts in self.env.values()), secrets.named(body) if fills else ())
        used = sorted(_connections(body))
        return {"env": self.env, "secrets": sorted(names), "connections": used} if names or used else {}


class _Sealed(dict):
    """`secret.x` for any x."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __getitem__(self, name: str) -> template.Secret:
        return template.Secret(f"{_SEAL}{name}\0")


def _mark(name: str) -> str:
    return f"<< secret.{name} >>"


def _connections(body: Any) -> Set[str]:
    """The names under `connection:`, however deep."""
    if isinstance(body, (list, tuple)):
        return set().union(*map(_connections, body))
    if not isinstance(body, Mapping):
        return set()
    own = {body["connection"]} if isinstance(body.get("connection"), str) else set()
    return own.union(*map(_connections, body.values()))


def _refuse(message: str, hint: str) -> NoReturn:
    raise template.TemplateError([template.TemplateFault(1, 1, message, hint)])


def kerberos(said: Any, principal: str, keytab: str, render: Callable[[str], str], folder: str) -> Dict[str, str]:
    """Principal and keytab of a step: its own, else the site's; empty for none. A relative keytab starts at `folder`."""
    if said is False or not (said or principal and keytab):
        return {}
    said = said or {"principal": principal, "keytab": keytab}
    return {"principal": render(said["principal"]), "keytab": os.path.normpath(os.path.join(folder, os.path.expanduser(render(said["keytab"]))))}
