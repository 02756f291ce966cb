"""Starts one client: `python -I start.py NAME REQUEST.json [WORD...]`, or with `-` where it asks on stdin.

Isolated, so that no module of the user's folder gets in the way.
"""

import json
import os
import sys
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def main(name: str, path: str, *words: str) -> int:
    from importlib import import_module

    from runner import clients
    from runner.errors import EnvironmentFault, RunnerError

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape", line_buffering=True)
    client = clients.Client(_read(path), os.environ, words)
    try:
        return int(import_module(f"runner.clients.{name}").main(client) or 0)
    except clients.ClientError as error:
        return _refuse(error, error.code, error.final)
    except RunnerError as error:
        return _refuse(error, clients.BAD_REQUEST, not isinstance(error, EnvironmentFault))
    except BrokenPipeError:
        return 141
    except Exception as error:  # noqa: BLE001 - a traceback helps nobody at 03:00; the place helps whoever mends it
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        where = f"{os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}"
        return _say(f"{type(error).__name__}: {error} ({where})", "this is a fault of runner itself: please report it", clients.FAULT)


def _read(path: str) -> dict:
    if path == "-":  # what is asked comes on stdin
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _refuse(error: Any, code: int, is_final: bool) -> int:
    from runner import final

    if is_final and "RUNNER_ATTEMPT" in os.environ:
        final.mark(os.environ["RUNNER_ATTEMPT"])
    return _say(error.message, error.hint, code)


def _say(message: str, hint: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"       {hint}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
