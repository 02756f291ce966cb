"""The short form of tests/chaos/run; in full with RUNNER_TEST_FULL=1."""

from __future__ import annotations

import os
import random

from tests.chaos.chaos import Chaos


def test_random_kills_lose_and_double_nothing(tmp_path):
    seed = random.SystemRandom().randrange(2**31)
    print(f"seed {seed}")  # shown when it fails: tests/chaos/run --seed
    chaos = Chaos(tmp_path, seed)
    try:
        chaos.play(300 if os.environ.get("RUNNER_TEST_FULL") else 15)
    finally:
        chaos.close()
    assert chaos.killed["daemon"] and chaos.lines()
