"""Programs that steps run in runner's own interpreter: one file each, for work that no command of the server does.

A kind of step asks for one with `steps.base.client("http", body, ctx)`: the rendered body lands as `request.json` in the attempt's
folder, and the process is `python -I start.py http .../request.json`. A client has one function:

    main(client: Client) -> int     the exit code; raises ClientError for what it cannot do

It prints to stdout what a person should read in the log, hands values on with `client.hand_on`, and ends on SIGTERM as any
program does. Secrets stand in the request as `<< secret.NAME >>`, never as their values: `client.body` has them filled in,
in this process only.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from typing import Any, Dict, Mapping, Optional, Sequence

from runner.errors import EnvironmentFault, RunnerError

BAD_REQUEST, FAULT = 2, 70  # exit codes: something the pipeline says cannot work; a fault of runner itself (sysexits EX_SOFTWARE)


class ClientError(Exception):
    """The work cannot be done. The message is the last line of the log; the hint says what to change.

    `final`: no retry mends it, so that the step fails at once: what BAD_REQUEST says, unless it may pass by itself.
    """

    def __init__(self, message: str, hint: str = "", code: int = 1, final: Optional[bool] = None):
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code
        self.final = code == BAD_REQUEST if final is None else final


class Client:
    """One attempt of a step as its client sees it."""

    def __init__(self, request: Mapping[str, Any], environ: Mapping[str, str], words: Sequence[str] = ()):
        self.request = request  # as it stands on disk
        self.words = words  # the command that it is to start, of a client that looks after one
        self.environ = environ
        self.home = environ.get("RUNNER_HOME", "")
        self.folder = environ.get("RUNNER_ATTEMPT", os.getcwd())
        self.pipeline_folder = str(request.get("pipeline_folder") or os.getcwd())

    @cached_property
    def body(self) -> Dict[str, Any]:
        """The step's body, secrets filled in."""
        from runner.site import secrets

        return secrets.fill(self.request["body"], self.home, self.environ)

    def connection(self, name: str) -> Dict[str, Any]:
        """A connection of the site by its name, secrets filled in. Raises ClientError."""
        from runner.site import connections

        try:
            return connections.get(name, self.home, self.environ)
        except RunnerError as error:
            raise ClientError(error.message, error.hint, BAD_REQUEST, final=not isinstance(error, EnvironmentFault)) from None

    def path(self, name: str) -> str:
        """A local path of the body; a relative one starts at the pipeline's folder."""
        return os.path.normpath(os.path.join(self.pipeline_folder, os.path.expanduser(name)))

    def hand_on(self, **outputs: Any) -> None:
        """Add to what the step hands on (`<< outputs.step.key >>`)."""
        with open(self.environ["RUNNER_OUTPUT"], "a", encoding="utf-8") as file:
            file.write(json.dumps(outputs, ensure_ascii=False) + "\n")
