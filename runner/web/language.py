"""The texts of the page, a file for each language: `name: text` lines. States and reasons stay as the command line says them."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Dict, Mapping

LANGUAGES = {"en": "English", "ko": "한국어"}
_FOLDER = os.path.join(os.path.dirname(__file__), "languages")


@lru_cache(maxsize=None)
def texts(language: str) -> Mapping[str, str]:
    """Name -> text."""
    out: Dict[str, str] = {}
    with open(os.path.join(_FOLDER, language + ".txt"), encoding="utf-8") as file:
        for line in file:
            name, colon, text = line.rstrip("\n").partition(": ")
            if colon and not line.startswith("#"):
                out[name] = text
    return out


def choose(wished: str, accepted: str) -> str:
    """`wished`: what the person chose before; `accepted`: the browser's Accept-Language."""
    if wished in LANGUAGES:
        return wished
    best, weight = "en", 0.0
    for part in accepted.split(",")[:20]:
        found = re.fullmatch(r"\s*([A-Za-z]+)(?:-[\w-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*", part)
        if found and found[1].lower() in LANGUAGES and float(found[2] or 1) > weight:
            best, weight = found[1].lower(), float(found[2] or 1)
    return best


class Words:
    """The texts of one language; called with a name and what fills its gaps."""

    def __init__(self, language: str):
        self.language, self._texts = language, texts(language)
        self.states = {name[6:]: text for name, text in self._texts.items() if name.startswith("state.")}

    def __call__(self, name: str, **values) -> str:
        text = self._texts[name]
        return text.format(**values) if values else text

    def state(self, state: str) -> str:
        return self.states[state]
