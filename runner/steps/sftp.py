"""Sends files to another host or fetches them, by OpenSSH's sftp; a file has its name there only when all of it is there.

```yaml
steps:
  - id: fetch
    sftp:
      connection: partner
      get: out/<< ds_nodash >>/*.csv
      to: /data/in/<< ds_nodash >>/
      mkdir: true
      done: out/<< ds_nodash >>/_SUCCESS      # must be there, else nothing is fetched
  - id: send
    needs: fetch
    retries: 3
    sftp:
      host: archive.example.com
      user: etl
      put: reports/<< ds_nodash >>.csv
      to: in/
      done: in/<< ds_nodash >>.done           # made when the last file has its name
```

Each file travels under a temporary name beside its place (`.NAME.xxxxxxxx.part`), is compared, and gets its name by a rename: who watches the folder never
sees half a file. Compared is by SHA-256 where the account may run commands there, else by size; `checksum: sha256` insists. A `to:` that ends with `/` is a
folder; so it is for a pattern or a list. Else it is the file's new name. Relative paths there start at the home of the account, here at the pipeline's folder.

How to get there, and whom to trust, is as in ssh steps. Handed on: `files` (the paths that the files have now), `bytes`, `skipped`.

**Exit codes.** 0: every file has its name, or was to be skipped. 1: a file is not there, is there already (`if_exists: fail`), may not be written, or is
another one than was sent. 2: the request cannot be carried out: a connection, a key, a local file. 127: sftp is not installed here. 255: no link, or it
broke; what was on its way is not under its name.

**Traps**

- `if_exists: fail` also meets what an earlier attempt of the step has put there; `replace`, the default, makes a retry harmless.
- A pattern that fits no file fails the step. Folders that it fits are left out.
- A file that somebody still writes is fetched as far as it is: let the other side make a mark at its end, and name that in `done:`.
- On servers that cannot rename onto an existing file, `replace` removes the old one a moment before.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from runner import model
from runner.steps import base, ssh
from runner.steps.base import BuildContext, CalledFile, Fault, exactly_one, has_tag

KIND = "sftp"
TITLE = "files to and from another host"

SCHEMA: Dict[str, Any] = {
    "type": "object",
    "description": "The host, `put` or `get`, and `to`.",
    "additionalProperties": False,
    "required": ["to"],
    "properties": {
        "put": {"type": ["string", "array"], "items": {"type": "string", "minLength": 1}, "description": "Files of this server to send: a path, a pattern, or a list of them."},
        "get": {"type": ["string", "array"], "items": {"type": "string", "minLength": 1}, "description": "Files there to fetch: a path, a pattern, or a list of them."},
        "to": {"type": "string", "minLength": 1, "description": "The folder, with `/` at its end, or the name of the one file."},
        "mkdir": {"type": "boolean", "description": "Whether to make the folder, with those above it. Default: false."},
        "if_exists": {"type": "string", "enum": ["replace", "skip", "fail"], "description": "What to do with a file that is there already. Default: replace."},
        "checksum": {"type": "string", "enum": ["auto", "sha256", "size"], "description": "How files are compared. Default: auto, SHA-256 where it can be had."},
        "done": {"type": "string", "minLength": 1, "description": "An empty file there: with `put` made after the last file; with `get` it must be there."},
        **ssh.LINK,
    },
}
TEMPLATED = frozenset({"put", "get", "to", "done"}) | ssh.LINK_TEMPLATED


def normalise(body: Any) -> Dict[str, Any]:
    return dict(body)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return ssh.link_files(body)  # what is sent is often made by the steps before


def check(body: Mapping[str, Any]) -> List[Fault]:
    faults = exactly_one(body, ("put", "get")) + ssh.check_link(body)
    for key in ("put", "get"):
        wanted = body.get(key)
        several = isinstance(wanted, list) and len(wanted) > 1 or any(
            set("*?[") & set(one) and not has_tag(one) for one in ([wanted] if isinstance(wanted, str) else wanted or ()))
        if several and not has_tag(body["to"]) and not body["to"].endswith("/"):
            faults.append((("to",), f"several files cannot all be named {body['to']}", f"Write `to: {body['to']}/` for a folder."))
        if wanted == []:
            faults.append(((key,), f"`{key}:` names no file", "Write a path or a pattern."))
    return faults


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    lists = {key: [body[key]] if isinstance(body[key], str) else list(body[key]) for key in ("put", "get") if key in body}
    return base.client("sftp", {**body, **lists}, ctx)
