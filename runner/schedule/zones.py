"""Time zone names: find the zone, and say what was meant when the name is wrong.

A pipeline's zone is a place (`Asia/Seoul`), because only a place knows when its clocks change. Abbreviations are
refused with the places that use them: `CST` is China, Cuba and Chicago.
"""

from __future__ import annotations

import difflib
import re
from typing import List, Optional
from zoneinfo import ZoneInfo, available_timezones

from runner.schedule.cron import Fault
from runner.errors import EnvironmentFault

_ABBREVIATIONS = {
    "KST": ("Asia/Seoul",),
    "JST": ("Asia/Tokyo",),
    "CST": ("Asia/Shanghai", "America/Chicago"),
    "HKT": ("Asia/Hong_Kong",),
    "SGT": ("Asia/Singapore",),
    "PHT": ("Asia/Manila",),
    "ICT": ("Asia/Ho_Chi_Minh", "Asia/Bangkok"),
    "WIB": ("Asia/Jakarta",),
    "IST": ("Asia/Kolkata", "Asia/Jerusalem", "Europe/Dublin"),
    "GST": ("Asia/Dubai",),
    "MSK": ("Europe/Moscow",),
    "BST": ("Europe/London", "Asia/Dhaka"),
    "WEST": ("Europe/Lisbon",),
    "CEST": ("Europe/Berlin", "Europe/Paris"),
    "EEST": ("Europe/Helsinki", "Europe/Athens"),
    "EST": ("America/New_York",),
    "EDT": ("America/New_York",),
    "CDT": ("America/Chicago",),
    "MST": ("America/Denver", "America/Phoenix"),
    "MDT": ("America/Denver",),
    "PST": ("America/Los_Angeles",),
    "PDT": ("America/Los_Angeles",),
    "HST": ("Pacific/Honolulu",),
    "BRT": ("America/Sao_Paulo",),
    "SAST": ("Africa/Johannesburg",),
    "AEST": ("Australia/Sydney", "Australia/Brisbane"),
    "AEDT": ("Australia/Sydney",),
    "NZST": ("Pacific/Auckland",),
    "NZDT": ("Pacific/Auckland",),
}
_BY_OFFSET = {"+9": "Asia/Seoul or Asia/Tokyo", "+8": "Asia/Shanghai or Asia/Singapore", "+7": "Asia/Bangkok", "+0": "UTC"}
# Names that a zone data base holds besides places: files of the machine, not zones.
_NO_PLACE = {"localtime", "posixrules", "Factory", "local"}


def zone(name: str) -> ZoneInfo:
    """The zone of that name. Raises EnvironmentFault: a name in use was good when its pipeline was checked."""
    found = _load(name)
    if found is None:
        fault = check_timezone(name)
        raise EnvironmentFault(fault.message if fault else f"no time zone {name!r}", fault.hint if fault else "")
    return found


def check_timezone(text: object) -> Optional[Fault]:
    """What is wrong with `timezone: text`; None when it is good. A warning for a good name that is seldom meant."""
    if not isinstance(text, str) or not text.strip():
        return _fault("the time zone is empty" if text in (None, "") else f"{text!r} is not a time zone", "write a place, such as Asia/Seoul, or UTC")
    if text not in _NO_PLACE and _load(text) is not None:
        return _seldom_meant(text)
    if _load("UTC") is None:
        return _fault("this machine has no time zone data", "install the tzdata package of the system or of Python")
    return _fault(f"{text!r} is not a time zone", _hint(text.strip()))


def _fault(message: str, hint: str, severity: str = "error") -> Fault:
    return Fault(message, hint, severity, key="timezone", offset=0)


def _load(name: str) -> Optional[ZoneInfo]:
    # The data base also holds each zone under posix/ and right/; the latter counts leap seconds and is off by 27 s.
    if name.startswith(("posix/", "right/")):
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # no such file, a folder, a path outside, not zone data
        return None


def _seldom_meant(name: str) -> Optional[Fault]:
    """Good names that mean something else than they seem to."""
    if name in ("EST", "MST", "HST"):
        hint = "write " + " or ".join(_ABBREVIATIONS[name])
        return _fault(f"{name} never changes its clocks", hint + " for a place that does", "warning")
    sign = re.fullmatch(r"Etc/GMT([+-])(\d+)", name)
    if sign and sign.group(2) != "0":
        real = f"UTC{'-' if sign.group(1) == '+' else '+'}{sign.group(2)}"
        return _fault(f"{name} is {real}: the sign of these names is the other way round", "write a place, such as Asia/Seoul", "warning")
    return None


def _hint(text: str) -> str:
    places = _ABBREVIATIONS.get(text.upper())
    if places:
        return "write " + " or ".join(places)
    offset = re.fullmatch(r"(?:UTC|GMT|Etc/UTC)?\s*([+-])0?(\d{1,2})(?::?(\d\d))?", text, re.IGNORECASE)
    if offset:
        place = _BY_OFFSET.get(offset.group(1) + offset.group(2), "") if offset.group(3) in (None, "00") else ""
        return f"write {place}" if place else "write a place with that offset, such as Asia/Seoul"
    near = _near(text)
    return f"did you mean {' or '.join(near)}?" if near else "write a place as Area/City, such as Asia/Seoul, or UTC"


def _near(text: str) -> List[str]:
    """Zones whose whole name, or whose city, is like the text; upper and lower case do not count."""
    names = sorted(name for name in available_timezones() if name not in _NO_PLACE)
    wanted = text.lower().replace(" ", "_")
    if any(name.lower().startswith(wanted + "/") for name in names):
        return []  # an area without its city
    city_wanted = wanted.rpartition("/")[2]
    exact = [name for name in names if name.lower() == wanted or name.lower().rpartition("/")[2] == city_wanted]
    if exact:
        return sorted(exact, key=lambda name: ("/" not in name, name))[:3]
    whole = {name.lower(): name for name in names}
    city = {name.lower().rpartition("/")[2]: name for name in names if "/" in name}
    found = [whole[each] for each in difflib.get_close_matches(wanted, whole, 3, 0.75)]
    if not found:
        found = [city[each] for each in difflib.get_close_matches(city_wanted, city, 3, 0.75)]
    return found
