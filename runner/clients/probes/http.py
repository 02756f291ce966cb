"""An address that answers as it should."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any, Dict, Mapping, Tuple
from urllib.parse import urlsplit

from runner.clients.probes import Seen

TIMEOUT_SECONDS, MOST_BYTES = 20.0, 1 << 20


def lane(probe: Mapping[str, Any]) -> Tuple[str, int]:
    return f"http {urlsplit(probe['http']).netloc}", 2


def look(probe: Mapping[str, Any], memory: Dict[str, Any]) -> Seen:
    address, wanted = probe["http"], int(probe.get("status", 200))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(address, headers=dict(probe.get("headers") or {})), timeout=TIMEOUT_SECONDS) as answer:
            status, text = answer.status, answer.read(MOST_BYTES).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read(MOST_BYTES).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return Seen(missing=f"{address}: {getattr(reason, 'strerror', None) or reason or type(error).__name__}")
    except ValueError as error:
        return Seen(failed=f"{address}: {error}")
    if status != wanted:
        return Seen(missing=f"{address} answers {status}, not {wanted}")
    if probe.get("contains") and probe["contains"] not in text:
        return Seen(missing=f"{address} answers without {probe['contains']!r}")
    return Seen(ready={"status": status})
