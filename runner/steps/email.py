"""Sends a mail, with files, by the mail server of the site.

```yaml
steps:
  - id: tell
    email:
      connection: mail
      to: [mart-team@example.com, "Kim <kim@example.com>"]
      subject: "Customer mart << ds >>: done"
      body: |
        The mart of << ds >> is complete.
      attach: [reports/<< ds_nodash >>.csv, "reports/charts-*.png"]
```

Runner speaks SMTP itself: no mailx and no local mail server is needed. The server is a connection of type `smtp` in the site's connections.yaml:

```yaml
mail:
  type: smtp
  host: smtp.example.com
  tls: starttls            # or smtps, or none; default: starttls, by the port when it is 25 (none) or 465 (smtps)
  user: etl
  password: << secret.mail >>
  from: Night batch <etl@example.com>
```

Receivers that are a list in `params:` or in an output are joined: `to: "<< params.team | join(', ') >>"`. A text is not sent to many by itself, since what
stands in a template is one text; the comma makes several of it. The connection's name may be a template too.

It may also have `port`, `ca` (a PEM file of the authorities to trust), `timeout` (of each answer, 30s) and `insecure`. The mail goes out in seven-bit
characters, so that subjects, texts and file names in any language arrive whole by old relays too. Handed on: `message_id`, `receivers`, `bytes`.

**Exit codes.** 0: the server has taken the mail for every receiver. 1: it was not sent: the server cannot be reached, is not trusted, does
not accept the sender, every receiver, or the message. 2: it cannot be sent: an address, a file, the connection, the password or a
secret is not as it must be. 3: some receivers were refused; the others have the mail.

**Traps**

- The server having taken it is not the receiver having read it: a wrong name behind a right @ comes back later, to the sender.
- After an exit code 3, or a link that broke in the last moment, a retry sends the mail again to everybody.
- `attach:` beyond `max_size` (10 MB) fails the step before anything is sent; most servers refuse more than that. Send a path instead.
- A pattern in `attach:` that fits no file fails the step too.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping

from runner import model
from runner.steps import base
from runner.steps.base import BuildContext, CalledFile, Fault, has_tag

KIND = "email"
TITLE = "a mail by the site's mail server"
RECEIVERS = ("to", "cc", "bcc")
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+|[^<>]*<[^\s@<>,;]+@[^\s@<>,;]+>")
_ONE = re.compile(r'(?:<<\s.*?\s>>|"[^"]*"|[^,])+', re.DOTALL)  # up to the next comma
_LIST = {"type": ["string", "array"], "items": {"type": "string", "minLength": 1}}

SCHEMA: Dict[str, Any] = {
    "type": "object",
    "description": "The mail.",
    "additionalProperties": False,
    "required": ["connection", "subject"],
    "properties": {
        "connection": {"type": "string", "minLength": 1, "description": "A connection of the site, of type smtp."},
        "to": {**_LIST, "description": "Receivers, `name@host` or `Name <name@host>`: one, or a list."},
        "cc": {**_LIST, "description": "Receivers of a copy."},
        "bcc": {**_LIST, "description": "Receivers of a copy whom the others do not see."},
        "from": {"type": "string", "minLength": 1, "description": "The sender. Default: the connection's `from`."},
        "subject": {"type": "string", "minLength": 1, "description": "The subject."},
        "body": {"type": "string", "description": "The text."},
        "html": {"type": "string", "description": "The text as HTML, beside `body` or instead of it."},
        "attach": {**_LIST, "description": "Files to send along, or patterns of them; a relative path starts at the pipeline's folder."},
        "max_size": {"type": "integer", "minimum": 1, "description": "The most bytes that the files of `attach` may have together. Default: 10000000."},
    },
}
TEMPLATED = frozenset({"connection", "to", "cc", "bcc", "from", "subject", "body", "html", "attach"})


def normalise(body: Any) -> Dict[str, Any]:
    return dict(body)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return []  # what is attached is often made by the steps before


def check(body: Mapping[str, Any]) -> List[Fault]:
    faults: List[Fault] = []
    if not any(receivers(body.get(key)) for key in RECEIVERS):
        faults.append(((), "the mail has no receiver: `to:` is missing", "Write `to: name@host`."))
    for key in (*RECEIVERS, "from"):
        for one in receivers(body.get(key)):
            if not has_tag(one) and not _ADDRESS.fullmatch(one):
                faults.append(((key,), f"'{one}' is no mail address", "Write `name@host` or `Name <name@host>`; several as a list."))
    if "body" not in body and "html" not in body:
        faults.append(((), "the mail says nothing: `body:` is missing", "Write `body: text`."))
    return faults


def receivers(value: Any) -> List[str]:
    """One or several, written as a text or a list; a text may separate them by commas outside of quotes and templates."""
    texts = [value] if isinstance(value, str) else list(value or ())
    return [one.strip() for text in texts for one in _ONE.findall(text) if one.strip()]


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    return base.client("email", {**body, **{key: receivers(body[key]) for key in RECEIVERS if key in body}}, ctx)
