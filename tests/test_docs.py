"""The pages for people say what is: examples pass the check, commands, options, variables, links and messages exist.

A ```yaml block with a top level `steps:` is a whole pipeline and must be without faults. One that shows a mistake is marked
in its fence, ```yaml wrong, and must have one. docs/yaml.md, steps.md and cli.md are made from the code; the tests beside that
code compare them.
"""

from __future__ import annotations

import functools
import os
import re
import tempfile
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote

import click
import pytest
import yaml

import runner
from runner import config, model, template
from runner.cli import cli
from runner.spec import check, report

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
FIRST = ("README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = sorted([name for name in FIRST if os.path.exists(os.path.join(ROOT, name))]
               + ["docs/" + name for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md")])


@functools.lru_cache(maxsize=None)
def read(name: str) -> str:
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


class Block(NamedTuple):
    """What stands between two fences."""

    line: int  # of its first line
    info: str  # behind the opening fence
    text: str


@functools.lru_cache(maxsize=None)
def parts(name: str) -> Tuple[List[Block], str]:
    """The blocks of a page, and the page without them; lines keep their numbers."""
    blocks: List[Block] = []
    rest: List[str] = []
    fence, info, first, lines = "", "", 0, []
    for number, line in enumerate(read(name).splitlines(), 1):
        mark = re.match(r" *(`{3,})(.*)$", line)
        if fence and mark and mark.group(1).startswith(fence) and not mark.group(2).strip():
            indent = min((len(each) - len(each.lstrip(" ")) for each in lines if each.strip()), default=0)
            blocks.append(Block(first, info, "".join(each[indent:] + "\n" for each in lines)))
            fence, lines = "", []
        elif fence:
            lines.append(line)
        elif mark and "`" not in mark.group(2):
            fence, info, first = mark.group(1), mark.group(2).strip(), number + 1
        else:
            rest.append(line)
            continue
        rest.append("")
    assert not fence, f"{name}:{first - 1}: this block is never closed"
    return blocks, "\n".join(rest)


def spans(name: str) -> Iterator[Tuple[int, str]]:
    """(line, text) of each `inline code`."""
    text = parts(name)[1]
    for found in re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", text, re.S):
        if "\n\n" not in found.group(2):
            yield text.count("\n", 0, found.start()) + 1, " ".join(found.group(2).split())


def test_the_pages_that_must_be_there_are():
    assert [name for name in FIRST if name not in PAGES] == []


# ---------------------------------------------------------------------------------------------------------- examples


def whole_pipelines(name: str) -> Iterator[Block]:
    for block in parts(name)[0]:
        if block.info.split()[:1] == ["yaml"] and re.search(r"^steps:", block.text, re.M):
            yield block


def errors(name: str, block: Block) -> List[str]:
    """The faults, told with the line of the page."""
    text, files = "\n" * (block.line - 1) + block.text, named(name)
    taken = re.findall(r"[\w./-]+\.yaml", " ".join(re.findall(r"^(?:extends|include):(.*)", block.text, re.M)))
    if not all(each in files for each in taken):
        return []  # it shows how to take a file that the page does not show
    with tempfile.TemporaryDirectory() as folder:
        for each in taken:
            os.makedirs(os.path.dirname(os.path.join(folder, each)), exist_ok=True)
            with open(os.path.join(folder, each), "w", encoding="utf-8") as file:
                file.write(files[each])
        path = os.path.join(folder, "example.yaml") if taken else ""
        result = check.check_text(text.encode(), path=path, name="example", site=check.Site("Asia/Seoul"), shown=name)
    return [report.format_problem(problem) for problem in result.errors]


@functools.lru_cache(maxsize=None)
def named(name: str) -> Dict[str, str]:
    """The blocks of a page that begin with the name of their file."""
    found = [(re.match(r"# ([\w./-]+\.yaml)$", block.text.partition("\n")[0]), block) for block in parts(name)[0]]
    return {match.group(1): block.text for match, block in found if match}


@pytest.mark.parametrize("name", PAGES)
def test_each_whole_pipeline_passes_the_check_unless_it_is_marked_wrong(name):
    for block in whole_pipelines(name):
        found = errors(name, block)
        if block.info == "yaml wrong":
            assert found, f"{name}:{block.line}: marked `wrong`, but the check finds no fault"
        else:
            assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_faults_shown_first_are_what_the_check_says(name):
    """Of two slips of the pen in the example that stands above them."""
    text = named(name)["mart.yaml"]
    for right, slip in (("<< ds >>", "<< dss >>"), ("retries: 2", "retires: 2")):
        assert right in text
        text = text.replace(right, slip, 1)
    result = check.check_text(text.encode(), path="", name="mart", site=check.Site("Asia/Seoul"), shown="mart.yaml")
    told = [report.format_problem(problem).strip() for problem in result.errors]
    assert [each for each in told if each not in read(name)] == [] and "\n".join(told) in read(name)


def test_each_example_pipeline_is_named_where_they_are_listed():
    """What is in pipelines/reference does not become a pipeline of a new home."""
    found = {name[:-5]: folder for folder, _, names in os.walk(os.path.join(ROOT, "pipelines")) for name in names if name.endswith(".yaml") and name[0] != "_"}
    examples = sorted(name for name, folder in found.items() if "reference" not in folder)
    listed = re.search(r"\$ runner list\n.*?\n(.*?)\n  no daemon runs", read("docs/tutorial.md"), re.S).group(1)
    assert [line.split()[0] for line in listed.splitlines()] == examples
    assert [name for name in found if f"`{name}`" not in read("docs/examples.md")] == []


def test_the_tutorial_shows_what_install_says_last():
    said = read("install.sh").partition("'Installed. What to type next:'")[2]
    lines = re.findall(r"'(  runner [^']*)'", said)
    assert len(lines) > 3 and [line for line in lines if line + "\n" not in read("docs/tutorial.md")] == []


@pytest.mark.parametrize("name", PAGES)
def test_each_piece_of_yaml_can_be_read(name):
    for block in parts(name)[0]:
        if block.info == "yaml":
            try:
                yaml.safe_load(re.sub(r"<<", "__", block.text))  # a plain YAML parser takes << for a merge
            except yaml.YAMLError as error:
                raise AssertionError(f"{name}:{block.line}: {error}") from None


# ---------------------------------------------------------------------------------------------------------- commands

_CALL = re.compile(r"(?<!-u )(?<![\w.@:*-])(?:[\w.~${}'\"/-]*/)?(runner|install\.sh)(?= |$)")
_BEFORE = {"do", "then", "else", "exec", "nohup", "time", "type:", "or", "-m", "to:", "it:", "sudo", "--"}  # words before a command
_ENDS = re.compile(r"\s#\s|[;|&()<>\u2192`]|(?<=\S) {3,}")  # what ends a command in a shell line or in a message of ours
_PLACEHOLDERS = re.compile(r"\.{3}|…|[\[<$\d]|[A-Z]|$")  # COMMAND, [PATH], $1, 0.1.0


class Call(NamedTuple):
    line: int
    program: str
    words: List[str]
    sure: bool  # it can be nothing else than a command


def calls_in(text: str, line: int) -> Iterator[Call]:
    """Each `runner ...` and `install.sh ...` of a line."""
    found = list(_CALL.finditer(text))
    for position, match in enumerate(found):
        end = found[position + 1].start() if position + 1 < len(found) else len(text)
        words = _ENDS.split(text[match.end():end].replace("\\|", "|"), maxsplit=1)[0].split()
        before = text[: match.start()].rstrip().split(" ")[-1]
        sure = (not before or before[-1] in "$>#;&|(!'\"*" or before in _BEFORE or before.isdigit()
                or bool(re.match(r"[A-Z_]+=", before)))
        yield Call(line, match.group(1), words, sure)


def calls(name: str) -> Iterator[Call]:
    """Of all blocks and of all inline code."""
    blocks, _ = parts(name)
    for block in blocks:
        text = block.text.replace("\\\n", "  ")
        for number, line in enumerate(text.splitlines()):
            yield from calls_in(line, block.line + number)
    for line, text in spans(name):
        yield from calls_in(text, line)


def options_of(command: click.Command) -> set:
    return {word for param in command.params if isinstance(param, click.Option) for word in param.opts + param.secondary_opts} | {"--help", "-h"}


def takes_value(command: click.Command, word: str) -> bool:
    return any(word in param.opts and not param.is_flag for param in command.params if isinstance(param, click.Option))


def fault_of(call: Call) -> Optional[str]:
    """What no runner would understand in a call."""
    if call.program == "install.sh":
        known = set(re.findall(r"--[a-z-]+|-h\b", read("install.sh")))
        bad = [word for word in call.words if word.startswith("-") and word.partition("=")[0] not in known]
        return f"install.sh has no option {bad[0]}" if bad else None
    command, path, words = cli, "runner", list(call.words)
    context = click.Context(cli, info_name="runner")
    while words:
        word = words.pop(0).strip("'\",.:")
        if word.startswith("-") and word != "-":
            if re.match(r"-\w\d+$", word):  # -n5
                word = word[:2]
            option = word.partition("=")[0]
            if option not in options_of(command) | ({"--version"} if command is cli else set()):
                return f"{path} has no option {option}"
            if takes_value(command, option) and "=" not in word and words:
                words.pop(0)
        elif isinstance(command, click.Group):
            if _PLACEHOLDERS.match(word):
                return None
            found = command.get_command(context, word)
            if found is None:
                return f"there is no command {path} {word}" if call.sure else None
            command, path = found, f"{path} {word}"
    return None


@pytest.mark.parametrize("name", PAGES)
def test_each_command_and_each_option_exists(name):
    faults = [f"{name}:{call.line}: {fault}  ({' '.join([call.program, *call.words])})"
              for call in calls(name) for fault in [fault_of(call)] if fault]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("text, fault", [
    ("$ runner rnu mart", "no command runner rnu"), ("0 1 * * * /opt/runner/bin/runner start mart", "no command runner start"),
    ("RUNNER_HOME=/x runner --hom /x runs", "no option --hom"), ("runner rerun RUN --faild", "runner rerun has no option --faild"),
    ("for d in 1; do runner run x --data $d; done", "no option --data"), ("runner db chek", "no command runner db chek"),
    ("a | runner check - --nam x", "no option --nam"), ("./install.sh --perfix /opt", "no option --perfix"),
    ("runner runs -x 3", "no option -x"),
])
def test_a_wrong_command_is_seen(text, fault):
    assert fault in str([fault_of(call) for call in calls_in(text, 1)])


@pytest.mark.parametrize("text", [
    "runner logs RUN -f   watch it: --not-an-option", "this is a fault of runner itself", "runner 0.1.0", "runner --home DIR runs -n5", "journalctl -u runner -f",
    "runner run mart --date 2026-02-28 || other --thing", "runner db ...", "runner rerun mart@2026-02-28#2 --failed | --all",
    "runner check x.yaml   # says --all of it", "runner --version",
])
def test_a_right_command_is_left_alone(text):
    assert [fault_of(call) for call in calls_in(text, 1)] in ([None], [])


# --------------------------------------------------------------------------------------------------------- variables


def sources() -> Iterator[str]:
    for folder, folders, names in os.walk(os.path.join(ROOT, "runner")):
        folders[:] = [each for each in folders if each != "__pycache__"]
        for name in names:
            if name.endswith((".py", ".sh", ".sql")):
                yield read(os.path.relpath(os.path.join(folder, name), ROOT))
    yield read("install.sh")


@functools.lru_cache(maxsize=None)
def variables() -> frozenset:
    """Every RUNNER_ name that the code reads or sets, also those it puts together."""

    class Names(dict):
        def __missing__(self, key):
            return {} if key == "params" else key

    text = "\n".join([*sources(), read("tests/run")])
    return (frozenset(re.findall(r"\bRUNNER_[A-Z][A-Z0-9_]*", text)) | frozenset(template.environment(Names()))
            | frozenset("RUNNER_" + name.upper() for name in config.SETTINGS))


@pytest.mark.parametrize("name", PAGES)
def test_each_variable_is_known_to_the_code(name):
    text = read(name)
    wrong = [f"{name}:{text.count(chr(10), 0, each.start()) + 1}: {each.group()}" for each in re.finditer(r"\bRUNNER_[A-Z][A-Z0-9_]*", text)
             if each.group() not in variables() and not each.group().startswith("RUNNER_PARAM_")]
    assert not wrong, "\n".join(wrong)


# ------------------------------------------------------------------------------------------------------------- links


@functools.lru_cache(maxsize=None)
def anchors(name: str) -> frozenset:
    """What GitHub makes of a page's headings."""
    out: List[str] = []
    for title in re.findall(r"^#{1,6} +(.+?) *#*$", parts(name)[1], re.M):
        title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        again = sum(1 for each in out if re.fullmatch(re.escape(slug) + r"(-\d+)?", each))
        out.append(f"{slug}-{again}" if again else slug)
    return frozenset(out) | frozenset(re.findall(r"<a (?:name|id)=\"([^\"]+)\"", read(name)))


@pytest.mark.parametrize("name", PAGES)
def test_each_link_leads_somewhere(name):
    text = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", lambda code: re.sub(r"\S", "x", code.group()), parts(name)[1])  # code holds no links
    targets = [(each.start(), each.group(1)) for each in re.finditer(r"\]\(([^()\s]+)(?: \"[^\"]*\")?\)", text)]
    targets += [(each.start(), each.group(1)) for each in re.finditer(r"^\[[^]]+\]: *(\S+)", text, re.M)]
    wrong = []
    for start, target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        place = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        if not os.path.exists(os.path.join(ROOT, place)) or place.startswith(".."):
            wrong.append(f"{name}:{text.count(chr(10), 0, start) + 1}: {target}: there is no {place}")
        elif anchor and place.endswith(".md") and anchor not in anchors(place):
            wrong.append(f"{name}:{text.count(chr(10), 0, start) + 1}: {target}: {place} has no such heading")
    assert not wrong, "\n".join(wrong)


# ----------------------------------------------------------------------------------------------------- docs/operating.md


def table(name: str, head: str) -> List[List[str]]:
    """The cells below a table's head line."""
    rows = read(name).partition(head + "\n")[2].splitlines()[1:]
    out = []
    for row in rows:
        if not row.startswith("|"):
            break
        out.append([cell.strip() for cell in row.strip("|").split(" | ")])
    return out


def test_operating_names_every_state_and_setting():
    page = "docs/operating.md"
    assert [row[0].strip("`") for row in table(page, "| state | meaning | goes on by |") if row[0] != "`interrupted`"] == list(model.RUN_STATES)
    assert [row[0].strip("`") for row in table(page, "| state | sign | meaning |")] == list(model.STEP_STATES)
    settings = {row[0].strip("`"): row[1].strip("`") for row in table(page, "| setting | variable | default | meaning |")}
    assert {name: "RUNNER_" + name.upper() for name in config.SETTINGS} == settings


def test_each_message_in_operating_is_one_of_ours():
    rows = read("docs/operating.md").partition("<!-- messages")[2].partition("<!-- end -->")[0]
    messages = re.findall(r"^\| `([^`]+)`", rows, re.M)
    code = "\n".join(sources()).replace('\\"', '"').replace("\\'", "'")
    assert len(messages) > 30
    wrong = [(message, piece) for message in messages for piece in re.split(r"\b[A-Z][A-Z]+\b|\bN\b", message)
             if len(piece.strip(" ():")) > 3 and piece.strip(" ():") not in code]
    assert not wrong


# ------------------------------------------------------------------------------------------------- release, and this machine


def test_the_first_version_of_the_changelog_is_the_one_that_is_released():
    declared = re.search(r'^version = "([^"]+)"', read("pyproject.toml"), re.M)
    wanted = declared.group(1) if declared else runner.__version__
    first = re.search(r"^#+ .*?(\d+\.\d+\.\d+\S*?)\]?(?=[\s)]|$)", read("CHANGELOG.md"), re.M)
    assert first and first.group(1) == wanted


# Put together here, so that this file does not hold them. Hosts of package registries, and places of one machine only.
HOSTS = [".".join(pieces) for pieces in (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"), ("crates", "io"),
    ("rubygems", "org"), ("proxy.golang", "org"), ("repo1.maven", "org"), ("anaconda", "org"), ("jsdelivr", "net"), ("unpkg", "com"),
)]
MACHINE = re.compile("|".join([re.escape(host) for host in HOSTS] + [r"(?<![\w.~}-])/%s/" % "work", r"/tmp/%s\b" % "me"]).encode())
LOOKS_FOR_THEM_TOO = {"tests/test_vendor_wheels.py"}


def text_files() -> Iterator[str]:
    """Everything that a checkout holds, but for wheels and what tests leave behind."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [each for each in folders if each == ".ci" or not each.startswith(".") and each not in ("__pycache__", "build", "dist")]
        for name in names:
            if not name.endswith((".whl", ".pyc")):
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def test_no_file_names_a_package_registry_or_a_place_of_one_machine():
    wrong = []
    for name in text_files():
        if name in LOOKS_FOR_THEM_TOO:
            continue
        with open(os.path.join(ROOT, name), "rb") as file:
            found = MACHINE.search(file.read())
        if found:
            wrong.append(f"{name}: {found.group().decode()}")
    assert not wrong, "\n".join(wrong)
