"""The process that looks at files, tables and addresses for the engine: started when first needed, again when it died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional

from runner.clock import Clock
from runner.steps.base import CLIENT

AGAIN_SECONDS = 5.0  # before a prober that died is started again


class Prober:
    """Its pipes. It ends by itself when ours are closed, whatever ends us."""

    def __init__(self, watch: Callable[[int], None], unwatch: Callable[[int], None], clock: Clock):
        self._watch, self._unwatch, self._clock = watch, unwatch, clock
        self._child: Optional[subprocess.Popen] = None
        self._rest = b""
        self._unsent = b""
        self.retry_at: Optional[float] = None  # monotonic seconds

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell it; what it does not take at once is sent later, so that a prober that hangs holds up nobody."""
        if self._child is None:
            if self.retry_at is not None or "end" in message:
                return
            self._start()
        self._unsent += json.dumps(message).encode() + b"\n"
        self._flush()

    def _start(self) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("RUNNER_")}
        self._child = subprocess.Popen(
            (sys.executable, "-I", CLIENT, "prober", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd="/", start_new_session=True
        )
        self._rest = self._unsent = b""
        for pipe in (self._child.stdin, self._child.stdout):
            os.set_blocking(pipe.fileno(), False)
        self._watch(self._child.stdout.fileno())

    def _flush(self) -> None:
        while self._unsent and self._child:
            try:
                self._unsent = self._unsent[os.write(self._child.stdin.fileno(), self._unsent):]
            except BlockingIOError:
                return
            except OSError:
                self._died()

    def _died(self) -> None:
        self.close()
        self.retry_at = self._clock.monotonic() + AGAIN_SECONDS

    def must_start(self, tick: float, wanted: bool) -> bool:
        """Whether it died long enough ago: then all has to be sent again."""
        if self.retry_at is None or tick < self.retry_at:
            return False
        self.retry_at = None
        return wanted

    def read(self) -> List[Dict[str, Any]]:
        """What it has said."""
        if self._child is None:
            return []
        self._flush()
        while self._child:
            try:
                data = os.read(self._child.stdout.fileno(), 65536)
            except BlockingIOError:
                break
            if not data:
                self._died()
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        child, self._child = self._child, None
        if child:
            self._unwatch(child.stdout.fileno())
            child.stdin.close()
            child.stdout.close()
            child.kill()
            child.wait()
