"""The kinds of step: commands compared as lists, then bash and python for real."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from runner import errors, model, steps

ROOT = Path(__file__).resolve().parents[2]
OLD_PYTHON = Path.home() / ".pyenv/versions/3.6.15/bin/python"


def shout(text):
    """A stand-in for templates: every `<< ds >>` becomes the date."""
    return text.replace("<< ds >>", "2026-11-20")


def context(folder="/runs/1", pipeline_folder="/etl", texts=None, **changes):
    """`texts`: the disk that `read` sees."""
    values = dict(
        folder=str(folder), cwd=str(pipeline_folder), pipeline_folder=str(pipeline_folder), python="python3",
        read=lambda path: (texts or {})[path], render=shout, template=True,
    )
    values.update(changes)
    return steps.BuildContext(**values)


def build(kind, body, ctx=None):
    """As the product does it: normalise, render, build."""
    module = steps.get(kind)
    ctx = ctx or context()
    body = module.normalise(body)
    step = model.Step(id="a", kind=kind, body=body, template=ctx.template)
    rendered = steps.render_body(module, body, ctx.render if ctx.template else str)
    return module.build(step, rendered, ctx)


def execute(command, folder, cwd=None, **env):
    """What the executor does, without its wrapper."""
    folder = Path(folder)
    for name, text in command.files.items():
        (folder / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    environ = {"PATH": os.environ["PATH"], "LANG": "C", "RUNNER_OUTPUT": str(folder / "output"), **command.env, **env}
    return subprocess.run(
        list(command.argv), cwd=str(cwd or folder), env=environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
    )


def outputs(folder):
    return json.loads((Path(folder) / "output").read_text(encoding="utf-8"))


@pytest.fixture
def here(tmp_path):
    """An attempt's folder and a pipeline's, with a blank and Hangul in their names."""
    for name in ("시도 1", "파이프 라인"):
        (tmp_path / name).mkdir()
    return context(
        folder=tmp_path / "시도 1", pipeline_folder=tmp_path / "파이프 라인", python=sys.executable,
        read=lambda path: Path(path).read_text(encoding="utf-8", errors="surrogateescape"),
    )


# ------------------------------------------------------------------------------------------------------------ registry


def test_kinds_are_in_the_order_of_the_manual():
    assert list(steps.KINDS) == ["bash", "python", "spark-submit", "hive", "sql", "ssh", "sftp", "http", "email", "wait", "pipeline", "noop"]


@pytest.mark.parametrize("module", steps.KINDS.values(), ids=list(steps.KINDS))
def test_a_kind_keeps_the_contract(module):
    assert steps.get(module.KIND) is module
    assert len(module.__doc__) > 400 and "**Traps**" in module.__doc__ and "**Exit codes.**" in module.__doc__
    assert module.SCHEMA["additionalProperties"] is False
    assert set(module.TEMPLATED) <= set(module.SCHEMA["properties"])
    for name, schema in module.SCHEMA["properties"].items():
        assert schema["description"].endswith((".", "`.")), name
    for name in ("normalise", "files", "check", "build"):
        assert callable(getattr(module, name))


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(errors.NotFound) as caught:
        steps.get("bsh")
    assert "bsh" in caught.value.message and "spark-submit" in caught.value.hint


def test_the_manual_in_docs_is_the_docstrings():
    made = steps.manual()
    assert (ROOT / "docs/steps.md").read_text(encoding="utf-8") == made, "write steps.manual() to docs/steps.md"


GOOD = [
    ("bash", "echo 1"),
    ("bash", {"run": "echo 1", "args": ["a", 1, 1.5, True], "shell": "bash -e"}),
    ("bash", {"script": "x.sh", "template": True, "shell": ["ksh", "-e"]}),
    ("python", "print(1)"),
    ("python", {"function": "a.b:c", "kwargs": {"x": [1, {"y": None}]}, "args": [None, [1]]}),
    ("python", {"script": "x.py", "args": ["<< ds >>"], "interpreter": ["python3", "-X", "dev"]}),
    ("spark-submit", {"application": "x.py", "jars": "a.jar,b.jar", "num_executors": "<< params.n >>", "conf": {"spark.x": False}}),
    ("hive", "select 1;"),
    ("hive", {"file": "x.hql", "hivevar": {"dt": "<< ds >>", "n": 1}, "client": "spark-sql"}),
    ("ssh", {"host": "<< params.host >>", "port": 22, "run": "x", "shell": ["sh", "-e"], "env": {"A": 1}, "reconnect": "5m"}),
    ("sftp", {"host": "h", "put": ["a", "b*"], "to": "in/<< ds >>/", "if_exists": "skip", "done": "x"}),
    ("http", "https://rates.example/v1"),
    ("http", {"url": "https://x/<< ds >>", "json": [1, {"a": None}], "params": {"a": [1, "b"]}, "status": [200, "404-409"], "timeout": "5m"}),
    ("email", {"connection": "mail", "to": ["a@b.c"], "cc": "d@e.f", "subject": "<< ds >>", "body": "x", "attach": "*.csv"}),
    ("sql", {"connection": "a", "sql": "select 1"}),
    ("sql", {"connection": "a", "file": "x.sql", "binds": {"a": 1, "b": None, "c": {"value": "1", "type": "integer"}}, "expect": ["rows > 0"], "to": "x.csv",
             "csv": {"encoding": "cp949", "header": False}, "statement_timeout": "5m", "autocommit": True, "print": 0}),
    ("noop", None),
    ("noop", True),
    ("noop", {}),
]
BAD = [
    ("bash", 1),
    ("bash", ["echo"]),
    ("bash", {"run": "x", "scrip": "y"}),
    ("bash", {"run": "x", "args": [["a"]]}),
    ("python", {"code": 1}),
    ("python", {"function": "a:b", "kwargs": [1]}),
    ("spark-submit", "x.py"),
    ("spark-submit", {"application": "x.py", "deploy_mode": "clustr"}),
    ("spark-submit", {"application": "x.py", "conf": {"spark.x": None}}),
    ("spark-submit", {"application": "x.py", "num_executors": 0}),
    ("hive", {"sql": "x", "hivevar": {"a": [1]}}),
    ("hive", {"sql": "x", "client": "impala"}),
    ("ssh", "uptime"),
    ("ssh", {"host": "h", "run": "x", "password": "x"}),
    ("sftp", {"host": "h", "put": "a"}),
    ("sftp", {"host": "h", "put": "a", "to": "b", "if_exists": "append"}),
    ("http", {"url": "https://x", "method": "post"}),
    ("http", {"url": "https://x", "extract": {"a": 1}}),
    ("email", "a@b.c"),
    ("email", {"connection": "mail", "to": "a@b.c", "body": "x"}),
    ("sql", ["select 1"]),
    ("sql", {"sql": "select 1"}),
    ("sql", {"connection": "a", "sql": "x", "binds": {"a": [1]}}),
    ("sql", {"connection": "a", "sql": "x", "binds": {"a": {"value": 1, "type": "date"}}}),
    ("sql", {"connection": "a", "sql": "x", "csv": {"sep": ";"}}),
    ("noop", "text"),
    ("noop", {"a": 1}),
]


@pytest.mark.parametrize("good, kind, body", [(True, *case) for case in GOOD] + [(False, *case) for case in BAD])
def test_both_drafts_give_the_same_verdict(good, kind, body):
    jsonschema = pytest.importorskip("jsonschema")
    schema = steps.get(kind).SCHEMA
    for draft in (jsonschema.Draft7Validator, jsonschema.Draft202012Validator):
        draft.check_schema(schema)
        assert draft(schema).is_valid(body) is good


@pytest.mark.parametrize("kind, body", GOOD)
def test_good_bodies_have_no_faults_and_build(kind, body):
    module = steps.get(kind)
    assert module.check(body) == []
    once = module.normalise(body)
    assert module.normalise(once) == once and module.check(once) == []
    texts = {"/etl/x.sh": "", "/etl/x.hql": "", "/etl/x.sql": ""}
    assert isinstance(build(kind, body, context(texts=texts)), model.Command)


# -------------------------------------------------------------------------------------------------------------- render


def test_render_reaches_any_depth_of_templated_keys_and_no_key_of_a_mapping():
    module = steps.get("python")
    body = {"function": "<< ds >>:f", "kwargs": {"<< ds >>": {"deep": ["<< ds >>", 1, None, True]}}, "args": ["<< ds >>"]}
    assert steps.render_body(module, body, shout) == {
        "function": "<< ds >>:f",
        "kwargs": {"<< ds >>": {"deep": ["2026-11-20", 1, None, True]}},
        "args": ["2026-11-20"],
    }
    assert body["args"] == ["<< ds >>"], "the definition itself must not change"


# ---------------------------------------------------------------------------------------------------------------- bash


def test_bash_text_becomes_a_file_that_ends_with_a_newline():
    command = build("bash", "echo << ds >>")
    assert command.argv == ["bash", "-eo", "pipefail", "/runs/1/script"]
    assert command.files == {"script": "echo 2026-11-20\n"}


def test_bash_script_runs_in_place_as_it_is():
    command = build("bash", {"script": "bin/x.sh", "args": ["--date", "<< ds >>", 3, True]})
    assert command.argv == ["bash", "-eo", "pipefail", "/etl/bin/x.sh", "--date", "2026-11-20", "3", "true"]
    assert command.files == {}


@pytest.mark.parametrize(
    "body_template, step_template, argv_tail, files",
    [
        (True, True, "/runs/1/script", {"script": "echo 2026-11-20\n"}),
        (True, False, "/etl/x.sh", {}),
        (False, True, "/etl/x.sh", {}),
    ],
)
def test_bash_script_is_rendered_only_when_asked(body_template, step_template, argv_tail, files):
    ctx = context(texts={"/etl/x.sh": "echo << ds >>"}, template=step_template)
    command = build("bash", {"script": "x.sh", "template": body_template}, ctx)
    assert (command.argv[-1], command.files) == (argv_tail, files)


@pytest.mark.parametrize("shell", ["ksh -e", ["ksh", "-e"]])
def test_bash_shell_is_a_line_or_a_list(shell):
    assert build("bash", {"run": "x", "shell": shell}).argv == ["ksh", "-e", "/runs/1/script"]


def test_bash_files():
    module = steps.get("bash")
    assert module.files({"script": "x.sh"}) == [steps.CalledFile("script", "x.sh", "bash", False)]
    assert module.files({"script": "x.sh", "template": True})[0].templated
    assert module.files({"script": "<< params.x >>.sh"}) == [] == module.files({"run": "./x.sh"})


def test_bash_missing_script_for_rendering_is_an_os_error(here):
    with pytest.raises(FileNotFoundError):
        build("bash", {"script": "gone.sh", "template": True}, here)


def test_bash_runs_with_arguments_untouched(here):
    words = ["two words", 'a"b', "it's", "$HOME", "*", "", "한글", "{folder}"]
    done = execute(build("bash", {"run": 'printf "%s\\n" "$@"', "args": words}, here), here.folder)
    assert done.stdout.decode().splitlines() == words


@pytest.mark.parametrize(
    "text, code",
    [
        ("true", 0),
        ("exit 7", 7),
        ("false\necho never", 1),
        ("false | cat\necho never", 1),
        ("no_such_command_at_all", 127),
        ("kill -TERM $$", -15),
        ("cat", 0),  # standard input is empty: no hanging
        ("if then", 2),
    ],
)
def test_bash_exit_codes(here, text, code):
    done = execute(build("bash", text, here), here.folder)
    assert (done.returncode, b"never" in done.stdout) == (code, False)


def test_bash_shell_override_drops_the_flags(here):
    done = execute(build("bash", {"run": "false\necho on", "shell": "bash"}, here), here.folder)
    assert (done.returncode, done.stdout) == (0, b"on\n")


def test_bash_takes_200_kilobytes(here):
    text = "x='" + "가" * 70_000 + "'\necho ${#x} long\n"
    assert len(text.encode()) > 200_000
    done = execute(build("bash", text, here), here.folder)
    assert done.returncode == 0 and done.stdout in (b"70000 long\n", b"210000 long\n")  # by locale


def test_bash_prints_hangul_and_a_here_document(here):
    done = execute(build("bash", "cat <<'EOF'\n날짜 << ds >> $x\nEOF", here), here.folder)
    assert done.stdout.decode() == "날짜 2026-11-20 $x\n"


def test_bash_external_script_sees_its_own_folder(here):
    script = Path(here.pipeline_folder) / "x.sh"
    script.write_text('echo "$(basename "$(dirname "$0")") << ds >> $1"\n', encoding="utf-8")
    done = execute(build("bash", {"script": "./x.sh", "args": ["a b"]}, here), here.folder)
    assert done.stdout.decode() == "파이프 라인 << ds >> a b\n"


def test_bash_rendered_script_of_euc_kr_keeps_its_bytes(here):
    script = Path(here.pipeline_folder) / "x.sh"
    script.write_bytes("echo '매출 << ds >>'".encode("cp949"))
    done = execute(build("bash", {"script": "x.sh", "template": True}, here), here.folder)
    assert done.stdout == "매출 2026-11-20\n".encode("cp949")


@pytest.mark.parametrize("shell, code", [("bash -eo pipefail", 1), ("bash", 127)])
def test_bash_missing_script(here, shell, code):
    done = execute(build("bash", {"script": "gone.sh", "shell": shell}, here), here.folder)
    assert done.returncode == code and b"gone.sh: No such file" in done.stderr


# -------------------------------------------------------------------------------------------------------------- python


def test_python_code_becomes_a_file():
    command = build("python", {"code": "print('<< ds >>')", "args": [1, "a b"]})
    assert command.argv == ["python3", "-u", "/runs/1/script.py", "1", "a b"]
    assert command.files == {"script.py": "print('2026-11-20')\n"}
    assert command.env["PYTHONUTF8"] == "1"


def test_python_script_runs_in_place():
    command = build("python", {"script": "clean.py", "args": ["<< ds >>"]})
    assert command.argv == ["python3", "-u", "/etl/clean.py", "2026-11-20"] and command.files == {}


def test_python_script_can_be_rendered():
    ctx = context(texts={"/etl/x.py": "print('<< ds >>')"})
    command = build("python", {"script": "x.py", "template": True}, ctx)
    assert command.argv[-1] == "/runs/1/script.py" and command.files == {"script.py": "print('2026-11-20')\n"}


@pytest.mark.parametrize(
    "interpreter, words",
    [
        ("python3.9", ["python3.9"]),
        ("venv/bin/python", ["/etl/venv/bin/python"]),
        ("/opt/my env/bin/python", ["/opt/my env/bin/python"]),
        (["python3", "-X", "dev"], ["python3", "-X", "dev"]),
        ("/opt/<< ds >>/python", ["/opt/2026-11-20/python"]),
    ],
)
def test_python_interpreter(interpreter, words):
    assert build("python", {"code": "", "interpreter": interpreter}).argv[: len(words) + 1] == [*words, "-u"]


def test_python_function_keeps_types_in_its_call_file():
    body = {"function": "a.b:c.d", "args": [1, "<< ds >>"], "kwargs": {"x": None, "y": [True, 1.5], "z": "한"}}
    command = build("python", body)
    assert command.argv == ["python3", "-u", "/runs/1/call.py"]
    assert json.loads(command.files["call.json"]) == {
        "module": "a.b", "function": "c.d", "args": [1, "2026-11-20"], "kwargs": {"x": None, "y": [True, 1.5], "z": "한"},
        "paths": ["/etl"], "context": {},
    }


def test_python_runs_code_with_hangul_under_lang_c(here):
    code = "import sys\nprint('날짜 << ds >>', sys.argv[1:])\nprint(sys.argv[1], file=sys.stderr)"
    done = execute(build("python", {"code": code, "args": ["한 글"]}, here), here.folder)
    assert done.stdout.decode() == "날짜 2026-11-20 ['한 글']\n"
    assert done.stderr.decode() == "한 글\n"


@pytest.mark.parametrize(
    "code, rc", [("", 0), ("raise SystemExit(42)", 42), ("1/0", 1), ("import sys; sys.exit('words')", 1), ("def", 1)]
)
def test_python_exit_codes(here, code, rc):
    assert execute(build("python", {"code": code}, here), here.folder).returncode == rc


def test_python_takes_200_kilobytes(here):
    done = execute(build("python", "x = '" + "y" * 200_000 + "'\nprint(len(x))", here), here.folder)
    assert done.stdout == b"200000\n"


MODULE = '''
import os, sys

def show(*args, **kwargs):
    print(sorted((k, v, type(v).__name__) for k, v in kwargs.items()), args)
    return {"rows": len(args), "name": kwargs.get("name")}

def nothing():
    return None

def odd():
    return object()

def fail():
    raise ValueError("나쁜 값")

def leave():
    sys.exit(99)

class Job:
    @staticmethod
    def run():
        return os.getcwd()

def spread():
    from multiprocessing import get_context
    with get_context("spawn").Pool(1) as pool:
        return pool.map(double, [1, 2])

def double(x):
    return 2 * x
'''


@pytest.fixture
def module(here):
    package = Path(here.pipeline_folder) / "marts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "load.py").write_text(MODULE, encoding="utf-8")
    return here


def call(ctx, function, **body):
    return execute(build("python", {"function": "marts.load:" + function, **body}, ctx), ctx.folder)


def test_python_function_gets_types_and_hands_on_what_it_returns(module):
    kwargs = {"batch": 500, "dry": False, "name": "한 '글'", "none": None, "ratio": 0.5}
    done = call(module, "show", args=[1, "<< ds >>"], kwargs=kwargs)
    assert done.stdout.decode() == (
        "[('batch', 500, 'int'), ('dry', False, 'bool'), ('name', \"한 '글'\", 'str'), ('none', None, 'NoneType'), "
        "('ratio', 0.5, 'float')] (1, '2026-11-20')\n"
    )
    assert (done.returncode, outputs(module.folder)) == (0, {"return": {"rows": 2, "name": "한 '글'"}})


def test_python_function_that_wants_the_context_gets_it(module):
    (Path(module.pipeline_folder) / "marts" / "told.py").write_text("def run(n, context):\n    return {'n': n, **context}\n")
    names = {"ds": "2026-11-20", "logical_date": datetime(2026, 11, 20), "params": {"region": "KR"}, "outputs": {"a": {"rows": 3}}, "macros": object()}
    ctx = dataclasses.replace(module, names=names)
    done = execute(build("python", {"function": "marts.told:run", "args": [1]}, ctx), ctx.folder)
    assert done.returncode == 0, done.stderr
    assert outputs(ctx.folder)["return"] == {
        "n": 1, "ds": "2026-11-20", "logical_date": "2026-11-20T00:00:00", "params": {"region": "KR"}, "outputs": {"a": {"rows": 3}}}


@pytest.mark.parametrize("wanted, code", [
    ("pytest", 0), ("pytest[testing]>=6", 0), ("pytest >= 6.0, < 999", 0), ("pytest~=0.1", 126), ("pytest<2", 126), ("no-such-package", 126), ("PyYAML==6.*", 0),
    ("pyyaml!=6.*", 126),
])
def test_python_looks_for_packages_before_anything_runs(here, wanted, code):
    ctx = dataclasses.replace(here, python=sys.executable)
    done = execute(build("python", {"code": "import sys; print('ran', sys.argv[1:])", "args": ["--", "x"], "requires": [wanted]}, ctx), ctx.folder)
    assert done.returncode == code and (done.stdout == b"ran ['--', 'x']\n") == (code == 0), done.stderr
    assert code == 0 or done.stderr.startswith(f"error: {sys.executable}: ".encode())


def test_python_in_a_virtual_environment(here):
    (Path(here.pipeline_folder) / "env" / "bin").mkdir(parents=True)
    (Path(here.pipeline_folder) / "env" / "bin" / "python").symlink_to(sys.executable)
    command = build("python", {"code": "", "venv": "env"}, here)
    assert command.argv[0] == f"{here.pipeline_folder}/env/bin/python"
    assert command.env["PATH"] == f"{here.pipeline_folder}/env/bin:$PATH" and command.env["VIRTUAL_ENV"] == f"{here.pipeline_folder}/env"


def test_python_function_that_returns_none_hands_nothing_on(module):
    assert call(module, "nothing").returncode == 0
    assert not (Path(module.folder) / "output").exists()


def test_python_function_that_returns_no_json_says_so_and_succeeds(module):
    done = call(module, "odd")
    assert done.returncode == 0 and b"not handed on" in done.stderr
    assert not (Path(module.folder) / "output").exists()


def test_python_function_that_raises_shows_only_its_own_frames(module):
    done = call(module, "fail")
    text = done.stderr.decode()
    assert done.returncode == 1 and "ValueError: 나쁜 값" in text and "call.py" not in text and 'load.py", line' in text


@pytest.mark.parametrize(
    "function, words",
    [
        ("marts.load:gone", "has no attribute 'gone'"),
        ("marts.gone:run", "No module named 'marts.gone'"),
        ("gone:run", "No module named 'gone'"),
        ("marts.load:show", "unexpected keyword"),
    ],
)
def test_python_function_that_cannot_be_called(module, function, words):
    body = {"function": function}
    if words == "unexpected keyword":
        body = {"function": "marts.load:nothing", "kwargs": {"x": 1}}
    done = execute(build("python", body, module), module.folder)
    assert done.returncode == 1 and words in done.stderr.decode()


def test_python_function_chooses_its_exit_code(module):
    assert call(module, "leave").returncode == 99


def test_python_function_can_be_a_method_and_starts_processes(module):
    call(module, "Job.run")
    assert outputs(module.folder) == {"return": module.folder}
    (Path(module.folder) / "output").unlink()
    assert call(module, "spread").returncode == 0
    assert outputs(module.folder) == {"return": [2, 4]}


def test_python_function_finds_modules_in_cwd_after_those_beside_the_pipeline(module, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "near.py").write_text("def f():\n    return __file__\n")
    (work / "marts.py").write_text("raise RuntimeError('the wrong one')\n")
    ctx = context(folder=module.folder, pipeline_folder=module.pipeline_folder, cwd=str(work), python=sys.executable)
    assert execute(build("python", {"function": "near:f"}, ctx), ctx.folder, cwd=work).returncode == 0
    assert outputs(ctx.folder) == {"return": str(work / "near.py")}
    assert execute(build("python", {"function": "marts.load:nothing"}, ctx), ctx.folder, cwd=work).returncode == 0


@pytest.mark.skipif(not OLD_PYTHON.exists(), reason="no Python 3.6 on this machine")
def test_python_forms_work_on_3_6(module):
    old = {"interpreter": str(OLD_PYTHON)}
    code = {"code": "import sys\nprint('날짜', sys.argv[1], sys.version_info[:2])", "args": ["한글"], **old}
    assert execute(build("python", code, module), module.folder).stdout.decode() == "날짜 한글 (3, 6)\n"
    done = call(module, "show", kwargs={"name": "한"}, **old)
    assert done.stdout.decode() == "[('name', '한', 'str')] ()\n" and outputs(module.folder)["return"]["name"] == "한"
    done = call(module, "fail", **old)
    assert "나쁜 값" in done.stderr.decode() and "call.py" not in done.stderr.decode()


def test_python_files():
    module = steps.get("python")
    assert module.files({"script": "x.py"}) == [steps.CalledFile("script", "x.py", "python", False)]
    assert module.files({"code": "x"}) == []


# -------------------------------------------------------------------------------------------------------- spark-submit


SPARK_FOLDER = "/h/runs/mart/2026-11-20/load.1"


def submitted(**body):
    """The words of spark-submit, which the client starts, and what the client is told."""
    command = build("spark-submit", {"application": "jobs/mart.py", **body}, context(folder=SPARK_FOLDER))
    assert list(command.argv[:5]) == [sys.executable, "-I", command.argv[2], "spark", f"{SPARK_FOLDER}/request.json"]
    assert command.argv[2].endswith("/runner/clients/start.py")
    return list(command.argv[5:]), json.loads(command.files["request.json"])["body"]


def spark(**body):
    """The words where nothing is said of YARN, without the tags."""
    return submitted(**{"master": "local", **body})[0]


def test_spark_plain():
    assert spark() == ["spark-submit", "--master", "local", "/etl/jobs/mart.py"]


@pytest.mark.parametrize("body", [{}, {"master": "yarn"}, {"master": "yarn-cluster"}, {"conf": {"spark.master": "yarn"}}])
def test_spark_may_be_yarn_so_it_is_tagged(body):
    words, told = submitted(**body)
    [tags] = [word for word in words if word.startswith("spark.yarn.tags=")]
    assert re.fullmatch(rf"spark.yarn.tags={told['tag']},{told['attempt_tag']}(,.*)?", tags)
    assert re.fullmatch(r"runner-[0-9a-f]{20}", told["tag"]) and told["attempt_tag"].startswith(told["tag"] + "-")


@pytest.mark.parametrize("body", [{"master": "local[2]"}, {"master": "spark://h:7077"}, {"conf": {"spark.master": "k8s://h"}}])
def test_spark_elsewhere_has_no_tags(body):
    words, told = submitted(**body)
    assert not any("tags" in word for word in words) and "tag" not in told


def test_spark_tags_by_attempt_step_run_and_server(monkeypatch):
    from runner.steps import spark_submit

    first, second = (spark_submit._tags(f"/h/runs/mart/2026-11-20/load.{n}") for n in (1, 2))
    assert first[0] == second[0] and first[1] != second[1] and first[2] == "mart/2026-11-20/load.1"
    others = ["/h/runs/mart/2026-11-21/load.1", "/h/runs/mart/2026-11-20/load.3.1", "/g/runs/mart/2026-11-20/load.1"]
    assert len({first[0], *(spark_submit._tags(folder)[0] for folder in others)}) == 4
    monkeypatch.setattr(os, "uname", lambda: type("Uname", (), {"nodename": "another"}))
    assert spark_submit._tags("/h/runs/mart/2026-11-20/load.1")[0] != first[0]


def test_spark_tags_are_what_yarn_takes():
    from runner.steps import spark_submit

    for folder in ("/h/runs/\ub9c8\ud2b8/2026-11-20/load.1", "/h/runs/mart/2026-11-20/" + "x" * 120 + ".1", "/h/runs/a,b/2026-11-20/load.1"):
        assert len(spark_submit._tags(folder)) == 2
    assert all(tag.isascii() and tag == tag.lower() and len(tag) <= 100 for tag in spark_submit._tags("/h/runs/Mart/2026-11-20/load.1"))


def test_spark_keeps_the_users_own_tags():
    words, told = submitted(master="yarn", conf={"spark.yarn.tags": "mine"})
    assert [word for word in words if "tags" in word][0].startswith(f"spark.yarn.tags=mine,{told['tag']},")


def test_spark_detached_does_not_wait():
    words, told = submitted(master="yarn", deploy_mode="cluster", detach=True, poll="30s", rm_url="http://rm:8088", on_live="kill")
    assert "spark.yarn.submit.waitAppCompletion=false" in words
    assert {key: told[key] for key in ("detach", "poll", "rm_url", "on_live", "kill_grace")} == {
        "detach": True, "poll": "30s", "rm_url": "http://rm:8088", "on_live": "kill", "kill_grace": 30.0}


def test_spark_packages_from_the_sites_own_repository():
    words = spark(packages=["g:a:1", "g:b:2"], ivy_settings="ivy.xml")
    assert words[3:7] == ["--packages", "g:a:1,g:b:2", "--conf", "spark.jars.ivySettings=/etl/ivy.xml"]


def test_spark_with_everything_in_one_order():
    body = {
        "args": ["--date", "<< ds >>", "a b", "$HOME", 1, True],
        "verbose": True, "conf": {"spark.a": True, "spark.b": "x y=z", "spark.c": 2}, "archives": ["env.tar.gz#env"],
        "py_files": "a.py, b.zip", "files": ["/etc/x.conf", "hdfs:///y"], "jars": ["lib/*.jar"],
        "total_executor_cores": 8, "num_executors": "4", "executor_cores": 2, "executor_memory": "4g", "driver_cores": 1,
        "driver_memory": "2g", "properties_file": "spark.conf", "keytab": "etl.keytab", "principal": "etl@EXAMPLE",
        "queue": "batch", "name": "mart << ds >>", "class": "com.example.Main", "deploy_mode": "cluster", "master": "yarn",
    }
    words, told = submitted(**body)
    tags = f"spark.yarn.tags={told['tag']},{told['attempt_tag']},mart/2026-11-20/load.1"
    assert words == [
        "spark-submit", "--master", "yarn", "--deploy-mode", "cluster", "--class", "com.example.Main",
        "--name", "mart 2026-11-20", "--queue", "batch", "--principal", "etl@EXAMPLE", "--keytab", "/etl/etl.keytab",
        "--properties-file", "/etl/spark.conf", "--driver-memory", "2g", "--driver-cores", "1", "--executor-memory", "4g",
        "--executor-cores", "2", "--num-executors", "4", "--total-executor-cores", "8", "--jars", "/etl/lib/*.jar",
        "--files", "/etc/x.conf,hdfs:///y", "--py-files", "/etl/a.py,/etl/b.zip", "--archives", "/etl/env.tar.gz#env",
        "--conf", "spark.a=true", "--conf", "spark.b=x y=z", "--conf", "spark.c=2", "--conf", tags,
        "--verbose", "/etl/jobs/mart.py",
        "--date", "2026-11-20", "a b", "$HOME", "1", "true",
    ]


@pytest.mark.parametrize(
    "application, word",
    [
        ("hdfs://nn/apps/a.jar", "hdfs://nn/apps/a.jar"),
        ("local:/opt/a.jar", "local:/opt/a.jar"),
        ("s3a://b/a.py", "s3a://b/a.py"),
        ("/opt/a.jar", "/opt/a.jar"),
        ("a.jar", "/etl/a.jar"),
        ("../a.jar", "/a.jar"),
        ("spark-internal", "spark-internal"),
    ],
)
def test_spark_application(application, word):
    assert spark(application=application)[-1] == word


@pytest.mark.parametrize(
    "body, binary, env",
    [
        ({}, "spark-submit", {}),
        ({"spark_home": "/opt/spark"}, "/opt/spark/bin/spark-submit", {"SPARK_HOME": "/opt/spark"}),
        ({"spark_home": "spark"}, "/etl/spark/bin/spark-submit", {"SPARK_HOME": "/etl/spark"}),
        ({"java_home": "/opt/jdk"}, "spark-submit", {"JAVA_HOME": "/opt/jdk"}),
        ({"binary": "spark3-submit"}, "spark3-submit", {}),
        ({"binary": "bin/s", "spark_home": "/opt/spark"}, "/etl/bin/s", {"SPARK_HOME": "/opt/spark"}),
    ],
)
def test_spark_binary(body, binary, env):
    command = build("spark-submit", {"application": "a.py", **body})
    assert (command.argv[5], dict(command.env)) == (binary, env)


def test_spark_leaves_out_empty_lists_and_a_false_verbose():
    assert spark(jars=[], files="", py_files=[""], conf={}, args=[], verbose=False) == spark()


def test_spark_files():
    module = steps.get("spark-submit")
    assert module.files({"application": "a.py", "properties_file": "s.conf"}) == [
        steps.CalledFile("application", "a.py", "python", False), steps.CalledFile("properties_file", "s.conf", "", False)
    ]
    assert module.files({"application": "hdfs:///a.py"}) == [] == module.files({"application": "spark-internal"})
    assert module.files({"application": "a.jar"})[0].language == ""


# ---------------------------------------------------------------------------------------------------------------- hive


def hive(body, ctx=None):
    """The words of the client, and what runner's own client is told."""
    command = build("hive", body, ctx)
    assert command.argv[3:5] == ("hive", "/runs/1/request.json")
    return list(command.argv[5:]), json.loads(command.files["request.json"])["body"], command.files["script.hql"]


def test_hive_text():
    words, asked, text = hive("select '<< ds >>'")
    assert words == ["hive", "-f", "/runs/1/script.hql"] and text == "select '2026-11-20'\n"
    assert asked == {"client": "hive", "script": "script.hql", "source": "the step's sql", "kill_grace": 30.0}


def test_hive_with_everything():
    body = {
        "sql": "select 1;\n", "url": "jdbc:hive2://h:10000/d;principal=hive/_HOST@R", "user": "etl", "password_file": "pw",
        "hivevar": {"dt": "<< ds >>", "list": "'a','b'; drop", "flag": False}, "hiveconf": {"tez.queue.name": "mine"},
        "queue": "batch", "init": "init.sql", "args": ["--hivevar", "x=1"],
    }
    words, asked, _ = hive({**body, "to": "out/<< ds >>.csv", "csv": {"encoding": "cp949"}, "print": 3})
    assert asked["init"] == "/etl/init.sql" and (asked["to"], asked["csv"], asked["print"]) == ("out/2026-11-20.csv", {"encoding": "cp949"}, 3)
    assert words == [
        "beeline", "-u", "jdbc:hive2://h:10000/d;principal=hive/_HOST@R", "-n", "etl", "-w", "/etl/pw",
        "--hiveconf", "mapreduce.job.queuename=batch", "--hiveconf", "tez.queue.name=mine",
        "--hivevar", "dt=2026-11-20", "--hivevar", "list='a','b'; drop", "--hivevar", "flag=false",
        "--hivevar", "x=1", "-f", "/runs/1/script.hql",
    ]


@pytest.mark.parametrize(
    "body, argv",
    [
        ({"client": "beeline"}, ["beeline"]),
        ({"client": "spark-sql", "queue": "q", "init": "i.sql"}, ["spark-sql", "--queue", "q", "-i", "/etl/i.sql"]),
        ({"binary": "/opt/hive/bin/beeline", "url": "u"}, ["/opt/hive/bin/beeline", "-u", "u"]),
        ({"binary": "bin/hive"}, ["/etl/bin/hive"]),
        ({"binary": "hive2"}, ["hive2"]),
    ],
)
def test_hive_client(body, argv):
    assert hive({"sql": "x", **body})[0] == [*argv, "-f", "/runs/1/script.hql"]


@pytest.mark.parametrize(
    "file, body_template, step_template, rendered",
    [
        ("x.hql", None, True, True),
        ("x.SQL", None, True, True),
        ("x.txt", None, True, False),
        ("x.txt", True, True, True),
        ("x.hql", False, True, False),
        ("x.hql", None, False, False),
    ],
)
def test_hive_file_is_copied_and_rendered_by_its_name(file, body_template, step_template, rendered):
    ctx = context(texts={f"/etl/{file}": "select '<< ds >>', '${hivevar:x}'"}, template=step_template)
    body = {"file": file} if body_template is None else {"file": file, "template": body_template}
    expected = "2026-11-20" if rendered else "<< ds >>"
    _, asked, text = hive(body, ctx)
    assert text == f"select '{expected}', '${{hivevar:x}}'\n" and asked["source"] == file


def test_hive_files():
    found = steps.get("hive").files({"file": "x.hql", "init": "i.sql", "password_file": "pw"})
    assert [(file.key, file.language, file.templated) for file in found] == [
        ("file", "sql", True), ("init", "sql", False), ("password_file", "", False)
    ]


# ---------------------------------------------------------------------------------------------------------------- noop


@pytest.mark.parametrize("body", [None, True, {}])
def test_noop_has_nothing_to_run(body):
    assert list(build("noop", body).argv) == []


# --------------------------------------------------------------------------------------------------------------- check


@pytest.mark.parametrize(
    "kind, body, place, words",
    [
        ("bash", {}, (), "nothing to run"),
        ("bash", "  \n", ("run",), "is empty"),
        ("bash", {"run": "a", "script": "b"}, ("script",), "exclude each other"),
        ("bash", {"run": "a", "template": True}, ("template",), "text of `script:`"),
        ("bash", {"run": "a", "shell": "  "}, ("shell",), "is empty"),
        ("bash", {"run": "a", "shell": []}, ("shell",), "is empty"),
        ("bash", {"run": "a", "shell": "bash 'x"}, ("shell",), "cannot be read"),
        ("python", {"args": ["a"]}, (), "nothing to run"),
        ("python", {"code": "a", "function": "a:b"}, ("function",), "exclude each other"),
        ("python", {"function": "a.b"}, ("function",), "module:function"),
        ("python", {"function": "a/b.py:c"}, ("function",), "module:function"),
        ("python", {"code": "a", "kwargs": {}}, ("kwargs",), "for `function:`"),
        ("python", {"code": "a", "template": False}, ("template",), "text of `script:`"),
        ("python", {"script": "a", "args": ["x", {"y": 1}]}, ("args", 1), "one word"),
        ("python", {"script": "a", "interpreter": "python3 -X dev"}, ("interpreter",), "one path"),
        ("python", {"script": "a", "interpreter": ""}, ("interpreter",), "is empty"),
        ("spark-submit", {"master": "yarn"}, (), "`application:` is missing"),
        ("spark-submit", {"application": "a.py", "packages": ["g:a:1"]}, ("packages",), "internet"),
        ("spark-submit", {"application": "a.py", "repositories": "x", "ivy_settings": "i"}, ("repositories",), "internet"),
        ("spark-submit", {"application": "a.py", "detach": True}, ("detach",), "client mode"),
        ("spark-submit", {"application": "a.py", "detach": True, "deploy_mode": "cluster", "master": "spark://h"}, ("detach",), "for YARN"),
        ("spark-submit", {"application": "a.py", "on_live": "adopt"}, ("on_live",), "client mode"),
        ("spark-submit", {"application": "a.py", "poll": "soon"}, ("poll",), "soon"),
        ("spark-submit", {"application": "a.py", "repositories": "x"}, ("repositories",), "internet"),
        ("spark-submit", {"application": "a.py", "conf": {"spark.jars.packages": "g:a:1"}}, ("conf", "spark.jars.packages"), "internet"),
        ("spark-submit", {"application": "a.py", "conf": {"dfs.replication": 1}}, ("conf", "dfs.replication"), "ignores"),
        ("spark-submit", {"application": "a.py", "executor_memory": "4 GB"}, ("executor_memory",), "no size"),
        ("spark-submit", {"application": "a.py", "num_executors": "four"}, ("num_executors",), "whole number"),
        ("spark-submit", {"application": "a.py", "master": "local[2]", "deploy_mode": "cluster"}, ("deploy_mode",), "no cluster"),
        ("spark-submit", {"application": "a.py", "principal": "p"}, ("principal",), "needs `keytab:`"),
        ("spark-submit", {"application": "a.py", "principal": "p", "keytab": "k", "proxy_user": "u"}, ("proxy_user",), "exclude"),
        ("hive", {"hivevar": {}}, (), "nothing to run"),
        ("hive", {"sql": "a", "template": False}, ("template",), "text of `file:`"),
        ("hive", {"sql": "a", "hivevar": {"a=b": 1}}, ("hivevar", "a=b"), "no name"),
        ("hive", {"sql": "a", "url": "u", "client": "hive"}, ("url",), "for beeline"),
        ("hive", {"sql": "a", "user": "u"}, ("user",), "for beeline"),
        ("hive", {"sql": "a", "args": ["--force=true"]}, ("args", 0), "exits with 0"),
        ("hive", {"sql": "a", "args": ["x", "-p", "secret"]}, ("args", 1), "ps"),
        ("hive", {"sql": "a", "args": ["-e", "drop"]}, ("args", 0), "other SQL"),
        ("hive", {"sql": "a", "client": "spark-sql", "to": "x.csv"}, ("to",), "for beeline"),
        ("hive", {"sql": "a", "url": "u", "csv": {}}, ("csv",), "no `to:`"),
        ("hive", {"sql": "a", "url": "u", "to": "x", "csv": {"encoding": "nope"}}, ("csv", "encoding"), "no encoding"),
        ("hive", {"sql": "a", "url": "u", "to": "x", "args": ["--silent=true"]}, ("args", 0), "`to:` reads it"),
    ],
)
def test_check_says_what_and_where_and_what_instead(kind, body, place, words):
    [(found, message, hint)] = steps.get(kind).check(body)
    assert found == place and words in message and hint.endswith(".")


def test_check_leaves_templates_alone():
    body = {"application": "<< params.app >>", "executor_memory": "<< params.m >>", "num_executors": "<< params.n >>"}
    assert steps.get("spark-submit").check(body) == []
    assert steps.get("hive").check({"sql": "a", "args": ["--force=false"]}) == []
