"""Clock reads of Python: by its syntax tree when it has one, else by pattern."""

from __future__ import annotations

import ast
import re
from typing import Dict, Iterator, List, Optional, Set

from runner.spec.lint import WHY, Found, sql_in, without_tags

_DAY_HINT = 'write os.environ["RUNNER_DS"]'
_MOMENT_HINT = 'write datetime.fromisoformat(os.environ["RUNNER_TS"]), or os.environ["RUNNER_DS"] for the day'
_SPARK_HINT = 'write F.lit(os.environ["RUNNER_DS"]).cast("date")'
_ALWAYS = {
    "datetime.datetime.now": _MOMENT_HINT, "datetime.datetime.today": _MOMENT_HINT, "datetime.datetime.utcnow": _MOMENT_HINT,
    "datetime.date.today": _DAY_HINT, "pandas.Timestamp.now": _MOMENT_HINT, "pandas.Timestamp.today": _MOMENT_HINT,
    "pandas.Timestamp.utcnow": _MOMENT_HINT, "pendulum.now": _MOMENT_HINT, "pendulum.today": _DAY_HINT,
    "pendulum.yesterday": 'write os.environ["RUNNER_YESTERDAY_DS"]', "pendulum.tomorrow": 'write os.environ["RUNNER_TOMORROW_DS"]',
    "arrow.now": _MOMENT_HINT, "arrow.utcnow": _MOMENT_HINT,
    "pyspark.sql.functions.current_date": _SPARK_HINT,
    "pyspark.sql.functions.current_timestamp": 'write F.lit(os.environ["RUNNER_TS"]).cast("timestamp")',
    "pyspark.sql.functions.now": 'write F.lit(os.environ["RUNNER_TS"]).cast("timestamp")',
}  # fmt: skip
_WITHOUT_MOMENT = {  # function -> how many arguments leave the moment out
    "time.strftime": 1, "time.localtime": 0, "time.gmtime": 0, "time.ctime": 0, "time.asctime": 0,
    "pyspark.sql.functions.unix_timestamp": 0,
}  # fmt: skip
_OF_SECONDS = (
    "datetime.datetime.fromtimestamp", "datetime.datetime.utcfromtimestamp", "datetime.date.fromtimestamp", "time.localtime", "time.gmtime",
    "time.strftime", "time.ctime", "pandas.to_datetime",
)  # fmt: skip
_OF_WORDS = ("pandas.Timestamp", "pandas.to_datetime", "numpy.datetime64")
_SQL_CALLS = frozenset({"sql", "execute", "executemany", "read_sql", "read_sql_query", "selectExpr", "expr"})
_LOG_CALLS = frozenset({"print", "debug", "info", "warning", "warn", "error", "exception", "critical", "log"})
_PATTERN = re.compile(
    r"\b(?:datetime|dt|date)\.(?:now|utcnow|today)\(|\bTimestamp\.(?:now|today|utcnow)\(|\btime\.strftime\(\s*(?:'[^'\n]*'|\"[^\"\n]*\")\s*\)|"
    r"\bcurrent_(?:date|timestamp)\(\)"
)


def find(text: str, prints_are_results: bool = False) -> Iterator[Found]:
    """`prints_are_results`: for `python -c`, whose print is what the shell takes."""
    code = without_tags(text, "_")
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield from _by_pattern(code)
        return
    try:
        yield from _Finder(code, tree, prints_are_results).find()
    except RecursionError:
        yield from _by_pattern(code)


def _by_pattern(code: str) -> Iterator[Found]:
    for match in _PATTERN.finditer(code):
        line = code[code.rfind("\n", 0, match.start()) + 1 : match.start()]
        if "#" not in line and not re.match(r"\s*(?:print|log\w*\.\w+)\(", line):
            shown = match.group() + (")" if match.group().endswith("(") else "")
            yield match.start(), f"{shown} {WHY}", _DAY_HINT


class _Finder:
    def __init__(self, code: str, tree: ast.Module, prints_are_results: bool):
        self.tree = tree
        self.logs = _LOG_CALLS - {"print"} if prints_are_results else _LOG_CALLS
        self.starts = [0]
        for line in code.split("\n"):
            self.starts.append(self.starts[-1] + len(line.encode("utf-8")) + 1)
        self.bytes = code.encode("utf-8")
        self.parents: Dict[ast.AST, ast.AST] = {}
        self.names: Dict[str, str] = {}  # what an import calls it here -> its full name
        self.spans: Set[str] = set()  # variables that hold a timedelta
        self.loads: Dict[str, List[ast.Name]] = {}
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
            self._learn(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.names[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if alias.name == "*":
                    inside = node.module + "."
                    heads = {full[len(inside) :].split(".")[0] for full in _ALWAYS if full.startswith(inside)}
                    self.names.update({head: inside + head for head in heads})
                else:
                    self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            self.loads.setdefault(node.id, []).append(node)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and self._is_span(node.value):
            self.spans.update(target.id for target in node.targets if isinstance(target, ast.Name))

    def find(self) -> Iterator[Found]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                hint = self._hint(node)
                if hint and not self._harmless(node):
                    yield self._offset(node), f"{self._written(node)} {WHY}", hint
                yield from self._sql(node)

    def _hint(self, call: ast.Call) -> Optional[str]:
        """What to write instead of a call that asks the clock; None for all others."""
        name = self._full(call.func)
        if name in _ALWAYS:
            return _ALWAYS[name]
        count = len(call.args) + len(call.keywords)
        if _WITHOUT_MOMENT.get(name, -1) == count:
            return _MOMENT_HINT
        if name in _OF_SECONDS and any(isinstance(arg, ast.Call) and self._full(arg.func) == "time.time" for arg in call.args):
            return _MOMENT_HINT
        if name in _OF_WORDS and call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value in ("now", "today"):
            return _MOMENT_HINT
        return None

    def _full(self, node: ast.AST) -> str:
        """datetime.datetime.now for `dt.now`, whatever the imports called it."""
        parts: List[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.names:
            return ""
        return ".".join([self.names[node.id], *reversed(parts)])

    # -- what is fine

    def _harmless(self, call: ast.Call) -> bool:
        """Printed, or only subtracted: nobody takes a date from it."""
        if self._printed(call) or self._elapsed(call) or self._seconds(call):
            return True
        parent = self.parents.get(call)
        if isinstance(parent, ast.Assign) and len(parent.targets) == 1 and isinstance(parent.targets[0], ast.Name):
            uses = self.loads.get(parent.targets[0].id, [])
            return bool(uses) and all(self._elapsed(use) or self._printed(use) or self._seconds(use) for use in uses)
        return False

    def _printed(self, node: ast.AST) -> bool:
        while node in self.parents and not isinstance(node, ast.stmt):
            node = self.parents[node]
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in self.logs:
                    return not any(word.arg == "file" for word in node.keywords)
        return False

    def _elapsed(self, node: ast.AST) -> bool:
        """now() - start, but not now() - timedelta(days=1)."""
        parent = self.parents.get(node)
        if not isinstance(parent, ast.BinOp) or not isinstance(parent.op, ast.Sub):
            return False
        other = parent.right if parent.left is node else parent.left
        return not (isinstance(other, ast.Call) and self._is_span(other) or isinstance(other, ast.Name) and other.id in self.spans)

    def _seconds(self, node: ast.AST) -> bool:
        """now().timestamp()"""
        parent = self.parents.get(node)
        return isinstance(parent, ast.Attribute) and parent.attr == "timestamp"

    def _is_span(self, call: ast.Call) -> bool:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        return name in ("timedelta", "relativedelta", "Timedelta", "DateOffset", "BDay", "Day")

    # -- places

    def _sql(self, call: ast.Call) -> Iterator[Found]:
        """spark.sql("... current_date ...")"""
        if not (isinstance(call.func, ast.Attribute) and call.func.attr in _SQL_CALLS and call.args):
            return
        for node in ast.walk(call.args[0]):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for _, message, _ in sql_in(node.value, 0):
                    yield self._offset(call), message, "write f\"date '{os.environ['RUNNER_DS']}'\""
                    return

    def _offset(self, node: ast.AST) -> int:
        """In letters; the tree counts bytes."""
        return len(self.bytes[: self.starts[node.lineno - 1] + node.col_offset].decode("utf-8"))  # type: ignore[attr-defined]

    def _written(self, call: ast.Call) -> str:
        return f"{ast.unparse(call.func)}()" if not call.args else ast.unparse(call)[:60]
