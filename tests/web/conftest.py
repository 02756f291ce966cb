from __future__ import annotations

import pytest

from tests.web.stage import MART, Web


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
