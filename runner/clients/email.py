"""The mail of a step. The page of it is in steps/email.py."""

from __future__ import annotations

import glob
import os
from typing import Any, Iterable, List, Tuple

from runner.clients import BAD_REQUEST, Client, ClientError, mail
from runner.errors import RunnerError, UsageError

MAX_SIZE = 10_000_000
PARTLY = 3


def main(client: Client) -> int:
    body = client.body
    server = client.connection(body["connection"])
    files = _files(client, body.get("attach") or (), int(body.get("max_size", MAX_SIZE)))
    receivers = {key: body.get(key) or [] for key in ("to", "cc", "bcc")}
    message = mail.compose(body.get("from") or str(server.get("from") or ""), subject=body["subject"], html=body.get("html"), files=files,
                           text=body.get("body") or "This mail is written in HTML.\n", **receivers)
    everybody = [one for listed in receivers.values() for one in listed]
    print(f"to {', '.join(everybody)}: {message['Subject']}")
    for name, content in files:
        print(f"with {name}, {len(content)} bytes")
    try:
        mail.send(server, message)
    except RunnerError as error:
        code = PARTLY if isinstance(error, mail.PartlyRefused) else BAD_REQUEST if isinstance(error, UsageError) else 1
        raise ClientError(error.message, error.hint, code) from None
    print(f"{server['host']} has taken it as {message['Message-ID']}")
    client.hand_on(message_id=message["Message-ID"], receivers=len(everybody), bytes=sum(len(content) for _, content in files))
    return 0


def _files(client: Client, wanted: Any, limit: int) -> List[Tuple[str, bytes]]:
    """Names and contents. Raises ClientError before one byte too many is read."""
    paths = list(_paths(client, [wanted] if isinstance(wanted, str) else wanted))
    size = sum(os.path.getsize(path) for path in paths)
    if size > limit:
        raise ClientError(f"attach: the files have {size} bytes together, more than `max_size: {limit}`", "send their path instead, or raise `max_size:`", BAD_REQUEST)
    found = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                found.append((os.path.basename(path), file.read()))
        except OSError as error:
            raise ClientError(f"attach: {path}: {error.strerror}", f"type: ls -l {path}", BAD_REQUEST, final=False) from None
    return found


def _paths(client: Client, wanted: Iterable[str]) -> Iterable[str]:
    for name in wanted:
        path = client.path(name)
        if os.path.isfile(path):  # also when its name looks like a pattern
            yield path
            continue
        matches = sorted(one for one in glob.glob(path) if os.path.isfile(one))
        if not matches:
            what = "fits no file" if glob.has_magic(path) else "is no file"
            raise ClientError(f"attach: {path} {what}", f"type: ls -l {os.path.dirname(path)}", BAD_REQUEST, final=False)  # it may come yet
        yield from matches
