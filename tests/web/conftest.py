from __future__ import annotations

import pytest

from tests.e2e.daemons import House
from tests.web.stage import MART, Web


@pytest.fixture
def house(tmp_path):
    """A home with daemons of its own."""
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def web(tmp_path):
    made = Web(tmp_path)
    yield made
    made.close()


@pytest.fixture
def mart(web):
    """The same with one pipeline."""
    web.write("mart", MART)
    return web
