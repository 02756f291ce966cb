"""The texts of a step: its templates, the files that it calls, and whether they ask the clock for a date."""

from __future__ import annotations

import difflib
import os
import re
from typing import Any, Callable, Dict, FrozenSet, Mapping, Optional, Set

from runner import steps, template
from runner.spec import build, flow, folded, lint, scripts
from runner.spec.notes import Notes, Path
from runner.spec.sitenames import HINT, SiteNames

MAX_CALLED = 1 << 20  # bytes of a called file that are read
_KEEP = re.compile(r"\s*to keep << as it is, write <<!", re.I)  # said of texts; a condition has no such <<
_JSON = re.compile(r"json|jq|\{\s*\\*[\"']", re.I)  # in a script: what it hands on may have types
_WRITERS = ("bash", "python", "ssh", "spark-submit")  # kinds whose own program writes $RUNNER_OUTPUT
_PARAM = re.compile(r"\bparams\.([^\W\d]\w*)")


def hands_on_texts(step: Mapping[str, Any]) -> bool:
    """Whether its outputs are lines key=value, whose values are texts, as far as the file shows. Items hand on lists."""
    body = next((step[kind] for kind in _WRITERS if kind in step), None)
    said = list(body.values()) if isinstance(body, dict) else [body]
    if body is None or "foreach" in step or isinstance(body, dict) and "function" in body:
        return False
    return not any(isinstance(text, str) and _JSON.search(text) for text in said)


class Texts:
    """Goes through the texts of one file.

    `folder` is where its relative paths start, "" for a text without a file; `shown(path)` is how messages call a file.
    `fresh`: nothing runs by it yet. What would fail in a run is then a fault; a stored definition has steps that are none the worse for it.
    """

    def __init__(self, notes: Notes, folder: str, shown: Callable[[str], str], fresh: bool = True):
        self._notes, self._folder, self._shown, self._fresh = notes, folder, shown, fresh
        self.params: FrozenSet[str] = frozenset()  # names of the file's parameters
        self.risky: FrozenSet[str] = frozenset()  # those whose value may be any text
        self.part = False  # of a file that others take: they may declare more parameters
        self.files: Set[str] = set()  # other files that were looked at
        self.site = SiteNames(notes, "", "")
        self.items = False  # whether the step has `foreach`
        self.worded: FrozenSet[str] = frozenset()  # steps whose outputs are texts, as far as the file shows
        self.cwd: Any = None  # of `defaults:`
        self._read: Dict[str, Optional[str]] = {}

    # -- templates

    def check(self, value: Any, path: Path, upstream, secrets: bool = False) -> None:
        """Every text in a value, however deep. `secrets`: they may stand here."""
        if isinstance(value, str):
            self._template(value, path, upstream, secrets)
        elif isinstance(value, dict):
            for key, item in value.items():
                self.check(item, path + (key,), upstream, secrets)
        elif isinstance(value, list):
            for n, item in enumerate(value):
                self.check(item, path + (n,), upstream, secrets)

    def _template(self, text: str, path: Path, upstream, secrets: bool = False) -> None:
        self.site.check(text, path, secrets)
        for fault in template.find_faults(text, params=self._declared(text), upstream=upstream, worded=self.worded, tried=self._fresh):
            self._notes.in_text(path, fault)
        flow.check_items(text, path, self.items, self._notes)

    def check_foreach(self, value: Any, path: Path, upstream) -> None:
        """An expression, a list of texts, or days: what gives the items cannot speak of an item."""
        items, self.items = self.items, False
        if isinstance(value, str) and "<<" in value:
            self._expression(value, path, upstream, "foreach", "<< outputs.list.files >>", "what gives a list: << outputs.list.files >>, << params.regions >>, << range(3) >>")
        elif isinstance(value, (list, dict)):
            self.check(value, path, upstream)
        self.items = items

    def _declared(self, text: str) -> FrozenSet[str]:
        return self.params.union(_PARAM.findall(text)) if self.part else self.params

    def check_when(self, value: Any, path: Path, upstream) -> None:
        """`when:` is one expression."""
        self._expression(value, path, upstream, "when", "<< outputs.load.rows | int > 0 >>", "names, comparisons, and, or, not: << params.full and outputs.load.rows | int > 0 >>")

    def _expression(self, value: Any, path: Path, upstream, key: str, example: str, forms: str) -> None:
        if not isinstance(value, str):
            return
        expression = build.expression_of(value)
        if expression is None:
            both = " and ".join(part.strip() for part in re.findall(r"<<(.*?)>>", value))
            hint = "put all of it between one << and one >>" if value.count("<<") > 1 and both else f'write {key}: "{example}"'
            self._notes.add(path, f"{key}: {value!r} is not one expression", hint)
            return
        begin = value.index(expression)
        line = value.count("\n", 0, begin) + 1
        mark = self._notes.marks.in_text(path, line, begin - (value.rfind("\n", 0, begin) + 1) + 1)
        self.site.check(f"<< {expression} >>", path, False, mark)
        found = template.find_expression_faults(expression, params=self.params, upstream=upstream, worded=self.worded, condition=key == "when" and self._fresh, tried=self._fresh)
        for fault in found:
            hint = _KEEP.sub("", fault.hint) or f"write {forms}"
            self._notes.add(path, f"{key}: {fault.message}", hint, mark=mark, severity=fault.severity)

    # -- the body of a step

    def check_body(self, step: Mapping[str, Any], path: Path, kind, upstream) -> None:
        """Templates, called files and clock reads of a body whose shape is good."""
        body, templated = step[path[-1]], step.get("template") is not False
        self.site.hint = getattr(kind, "SECRET_HINT", HINT)
        if isinstance(body, str):
            if templated:
                self._template(body, path, upstream, steps.by_client(kind))
        elif isinstance(body, dict) and templated:
            for key in body:
                if key in kind.TEMPLATED:
                    self.check(body[key], path + (key,), upstream, steps.may_hold_secrets(kind, key))
        if self._notes.is_bad(path):
            return
        normal = kind.normalise(body)
        folder = self._folder and (self._notes.marks.folder(path) or self._folder)
        if folder:
            for called in kind.files(normal):
                place = path + (called.key,) if isinstance(body, dict) else path
                self._called(called, place, templated, upstream, folder)
        key, language = getattr(kind, "INLINE", ("", ""))
        self._inline(key, language, body, normal, path, templated)
        text = normal.get(key)
        if folder and language == "bash" and isinstance(text, str) and not steps.by_client(kind):  # what a client runs stands elsewhere
            self._clock_of_scripts(text, self._works_in(step, path, folder))
        if language == "bash" and isinstance(text, str):
            bare = template.find_bare_params(text, self.risky) if templated else []
            for fault in bare + template.find_lost_variables(text, self.params):
                self._notes.in_text(path if isinstance(body, str) else path + (key,), fault)

    def _called(self, called, place: Path, templated: bool, upstream, folder: str) -> None:
        file = steps.locate(folder, called.path)
        text = self._text_of(file)
        if text is None:
            self._no_file(place, called.path, file)
            return
        if called.templated and templated:
            for fault in template.find_faults(text, params=self._declared(text), upstream=upstream, worded=self.worded, tried=self._fresh):
                self._notes.in_file(self._shown(file), text, fault)
            for fault in self.site.faults(text, False):
                self._notes.in_file(self._shown(file), text, fault)
        self._clock_of_file(file, text, called.language, called.templated and templated)

    def _no_file(self, place: Path, written: str, file: str) -> None:
        if os.path.isdir(file):
            self._notes.add(place, f"{written} is a folder", "name a file in it")
            return
        try:
            near = difflib.get_close_matches(os.path.basename(file), os.listdir(os.path.dirname(file)), 1, 0.8)
        except OSError:
            near = []
        hint = f"did you mean {os.path.join(os.path.dirname(written), near[0])}?" if near else "a relative path starts at the folder of this file"
        if os.path.isabs(os.path.expanduser(written)):  # the file may be meant for another server
            self._notes.add(place, f"the file {written} is not on this server", near and hint or "it must be there when the step runs", severity="warning")
        else:
            self._notes.add(place, f"the file {written} does not exist", hint)

    def _text_of(self, file: str) -> Optional[str]:
        if file not in self._read:
            self.files.add(file)
            try:
                with open(file, encoding="utf-8", errors="replace") as handle:
                    self._read[file] = handle.read(MAX_CALLED)
            except OSError:
                self._read[file] = None
        return self._read[file]

    # -- the midnight linter

    def _inline(self, key: str, language: str, body: Any, normal: Mapping[str, Any], path: Path, templated: bool) -> None:
        """The text of a body that stands in the file: its clock reads, and lines that YAML makes one of."""
        text = normal.get(key)
        if not isinstance(text, str):
            return
        place = path if isinstance(body, str) else path + (key,)
        for read in lint.find_clock_reads(text, language, templated):
            self._notes.in_text(place, read)
        said = folded.find(self._notes.marks.folded(place), text, language)
        if said:
            self._notes.add(place, said, folded.HINT, severity="warning")

    def _clock_of_file(self, file: str, text: str, language: str, templated: bool) -> None:
        for read in lint.find_clock_reads(text, language, templated):
            self._notes.in_file(self._shown(file), text, read)

    def _clock_of_scripts(self, text: str, folder: str) -> None:
        """Those that a shell text calls, such as ./extract.sh. `folder`: where it works, "" when only the run knows."""
        for file, known in scripts.called(text, folder).items():
            self.files.add(file)  # also when it is not there: it may come
            language = known or scripts.language_of(file)
            if language and os.path.isfile(file):
                self._clock_of_file(file, self._text_of(file) or "", language, False)

    def _works_in(self, step: Mapping[str, Any], path: Path, folder: str) -> str:
        """The folder of `cwd:`, of the step or of `defaults:`; "" when a template in it says more than is known here."""
        cwd, place = (step["cwd"], path[:-1] + ("cwd",)) if "cwd" in step else (self.cwd, ("defaults", "cwd"))
        if not isinstance(cwd, str) or not cwd:
            return folder
        return "" if "<<" in cwd else steps.locate(self._notes.marks.folder(place) or self._folder, cwd)
