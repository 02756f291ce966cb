"""How long who typed wrong passwords must wait, and how much of it is told: numbers in, seconds out, no clock and no row."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from typing import Deque, List, Tuple

from runner.web.peers import is_loopback

FREE_OF_NAME, FREE_OF_ADDRESS = 5, 20  # wrong passwords that cost nothing
LONGEST_OF_NAME, LONGEST_OF_ADDRESS = 60.0, 900.0  # nobody shall be able to keep another out for long
FORGOTTEN = 3600.0
MOST = 10_000  # names and addresses that are kept in mind
TOLD_AN_HOUR = 100


class _Counts:
    """Wrong passwords of each key; the one that was quiet longest is forgotten first."""

    def __init__(self, free: int):
        self._free = free
        self._known: "OrderedDict[str, Tuple[int, float]]" = OrderedDict()

    def get(self, key: str, tick: float) -> Tuple[int, float]:
        count, last = self._known.get(key, (0, 0.0))
        return (count, last) if tick - last < FORGOTTEN else (0, 0.0)

    def add(self, key: str, tick: float) -> int:
        count = self.get(key, tick)[0] + 1
        self._known[key] = (count, tick)
        self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return count

    def forget(self, key: str) -> None:
        self._known.pop(key, None)

    def wait(self, key: str, tick: float, longest: float) -> float:
        """Seconds from now, twice as many with each wrong password."""
        count, last = self.get(key, tick)
        if count < self._free:
            return 0.0
        return max(0.0, last + min(longest, 2.0 ** min(count - self._free, 20)) - tick)


class Throttle:
    """Of one page. A restart forgets it, which who guesses cannot bring about."""

    def __init__(self) -> None:
        self._names, self._addresses = _Counts(FREE_OF_NAME), _Counts(FREE_OF_ADDRESS)
        self._told: Deque[float] = deque()
        self._untold = 0

    def wait(self, name: str, address: str, tick: float) -> float:
        """Seconds until this name may be tried from there; 0: now."""
        longest = LONGEST_OF_NAME if is_loopback(address) else LONGEST_OF_ADDRESS  # a tunnel brings many people from one address
        return max(self._names.wait(name, tick, LONGEST_OF_NAME), self._addresses.wait(_network(address), tick, longest))

    def failed(self, name: str, address: str, tick: float) -> int:
        """One wrong password more. How many there were since it was told last, when this one is worth telling; else 0."""
        counts: List[int] = [self._names.add(name, tick), self._addresses.add(_network(address), tick)]
        return self._worth(min(counts) <= FREE_OF_NAME or any(count & (count - 1) == 0 for count in counts), tick)

    def refused(self, tick: float) -> int:
        """One that was not even looked at, since its time had not come."""
        return self._worth((self._untold + 1) % 1000 == 0, tick)

    def succeeded(self, name: str) -> None:
        """Of the address nothing is forgotten: who has an account shall not guess those of others the faster."""
        self._names.forget(name)

    def _worth(self, worth: bool, tick: float) -> int:
        self._untold += 1
        while self._told and tick - self._told[0] > 3600.0:
            self._told.popleft()
        if not worth or len(self._told) >= TOLD_AN_HOUR:
            return 0
        self._told.append(tick)
        found, self._untold = self._untold, 0
        return found


def _network(address: str) -> str:
    """Of IPv6 the first 64 bits: whoever has one address there has all."""
    try:
        found = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
