"""The midnight linter: what asks the clock for a date, and what only looks like it."""

from __future__ import annotations

import time

import pytest

from runner.spec.lint import HINTS, MESSAGE, PLAIN_HINTS, ClockRead, find_clock_reads

BAD_BASH = [  # text, where the finding stands
    ("DAY=$(date +%F)", (1, 7)),
    ("DAY=$(date +%Y%m%d)", (1, 7)),
    ("D=`date +%Y-%m-%d`; run $D", (1, 4)),
    ("set -e\n\nhdfs dfs -ls /data/$(date '+%Y/%m/%d')", (3, 22)),
    ("load --day \"$(date -d yesterday +%F)\"", (1, 15)),
    ("Y=$(date -d '1 day ago' +%Y%m%d)", (1, 5)),
    ("Y=$(date --date='-1 day' +\"%Y-%m-%d\")", (1, 5)),
    ("Y=$(date --date yesterday)", (1, 5)),
    ("Y=$(date -ud 'last monday' +%j)", (1, 5)),
    ("Y=$(TZ=Asia/Seoul date +%F)", (1, 19)),
    ("Y=$(/bin/date +%D)", (1, 5)),
    ("Y=$(date -I)", (1, 5)),
    ("Y=$(date -v-1d +%F)", (1, 5)),
    ("date -d yesterday +%F > day.txt", (1, 1)),
    ("today() { date +%F; }", (1, 11)),
    ("echo x > out_$(date +%F).txt", (1, 16)),
    ("echo \"day=$(date +%F)\" >> \"$RUNNER_OUTPUT\"", (1, 13)),
    ("echo \"delete from t where ds = '$(date +%F)'\" | mysql", (1, 35)),
    ("X=$(echo $(date +%F) | tr -d -)", (1, 12)),
    ("X=$(date +%F) echo hi", (1, 5)),
    ("printf -v day '%(%F)T' -1", (1, 1)),
    ("day=$(printf '%(%Y%m%d)T')", (1, 7)),
    ("awk '{ print strftime(\"%F\"), $1 }' x", (1, 5)),
    ("awk 'BEGIN { print strftime() }'", (1, 5)),
    ("awk '{ print strftime(\"%Y\", systime()) }' x", (1, 5)),
    ("hive <<EOF\nselect * from t where ds = '$(date +%F)'\nEOF\n", (2, 31)),
    ("if [ \"$(date +%d)\" = 01 ]; then x; fi", (1, 9)),
    ("for d in a b; do run $(date +%m) $d; done", (1, 24)),
    ("DAY=${1:-$(date +%F)}", (1, 12)),
    ("# the day\ncase x in a) D=$(date +%F);; esac", (2, 18)),
    ("R=$( (date +%F) )", (1, 7)),
    ("한글=1; D=$(date +%F)", (1, 11)),
    ("cat << EOF >> file\n$(date +%F)\nEOF", (2, 3)),
    ("D=${OTHER:-`date +%F`}", (1, 13)),
    ("ACCESS_LOG=/var/log/nginx/access_$(date +%F).log", (1, 36)),
    ("load app_$(date +%F).log", (1, 12)),
    ("load < app_$(date +%F).log", (1, 14)),
    ("load $(date +%F) > x_$(date +%F).log", (1, 8)),
    ("load > $(date +%F).csv 2> x.log", (1, 10)),
    ("hive -e \"insert into t select * from s where ds = current_date\"", (1, 51)),
    ("hive -e \"use '$X'; select \\$y, current_date\"", (1, 32)),
    ("beeline -u x -e \"select 1;\nselect now()\"", (2, 8)),
    ("$SPARK_HOME/bin/spark-sql -S -e 'select current_timestamp()'", (1, 41)),
    ("psql -c \"select now()\"", (1, 17)),
    ("psql -h db -c 'select 1' -Atc 'select now()' mart", (1, 39)),
    ("mysql --execute=\"select curdate()\"", (1, 25)),
    ("sudo -u etl timeout 1h hive -e \"select current_date\"", (1, 40)),
    ("D=$(python3 -c \"import datetime; print(datetime.date.today())\")", (1, 40)),
    ("python -c \"\nimport datetime\nload(datetime.datetime.today())\" x", (3, 6)),
    ("python3.11 -Wignore -c 'import datetime; load(datetime.datetime.today())' x", (1, 47)),
]
GOOD_BASH = [
    "D=\"${RUNNER_DS:-`date +%F`}\"",
    "D=${RUNNER_DS:-`date -d yesterday +%F`}; e=1",
    "hive -e \"select * from t where ds = '$RUNNER_DS' and note <> 'now()'\"",
    "hive -e \"select 1 -- current_date\"",
    "hive --hivevar d=$RUNNER_DS -f current_date.hql",
    "echo hive -e \"select current_date\"",
    "grep -e 'now()' hive psql",
    "psql -c 'create table t (a timestamp default now())'",
    "psql -c \"select now()\"  # runner: clock-ok",
    "python -c 'import datetime; print(datetime.date.today())'",
    "python x.py -c 'f(datetime.date.today())'",
    "python -c",
    "hive -e",
    "DAY=$RUNNER_DS",
    "DAY=<< ds >>",
    "Y=$(date -d \"<< ds >> +1 day\" +%F)",
    "Y=$(date -d '<< ds >>' +%Y%m%d)",
    "Y=$(date -d \"$RUNNER_DS -1 day\" +%F)",
    "Y=$(date --date=\"$1\" +%F)",
    "Y=$(date -d \"${DAY} 1 day ago\" +%F)",
    "Y=$(date +%F -d \"$(cat day) -1 day\")",
    "Y=$(date -r file +%F)",
    "Y=$(date -d @1700000000 +%F)",
    "Y=$(date -d 2024-01-31 +%j)",
    "Y=$(date -j -f %F \"$1\" +%Y)",
    "T=$(date +%T)",
    "T=$(date +%H:%M:%S)",
    "S=$(date +%s); E=$(date +%s%N)",
    "S=$(date -u '+%%Y %H')",
    "# DAY=$(date +%F)",
    "run x # at $(date +%F)",
    "echo \"$(date '+%F %T') start\"",
    "echo `date +%F` start",
    "printf '%s %s\\n' \"$(date +%F)\" start",
    "logger \"$(date +%F) start\"",
    "log_info \"$(date +%F) start\"",
    "echo \"$(date +%F) x\" | tee -a log",
    "if x; then echo $(date +%F); fi",
    "( echo \"$(date +%F)\" )",
    "date",
    "date '+%F %T'",
    "printf '%(%F %T)T %s\\n' -1 start",
    "printf -v d '%(%F)T' \"$epoch\"",
    "printf -v t '%(%H%M)T' -1",
    "awk '{ print strftime(\"%F\", $1) }' x",
    "awk '{ print strftime(\"%H:%M\") }' x",
    "LOG=/var/log/etl/load_$(date +%Y%m%d).log",
    "export LOG_FILE=\"$DIR/load_`date +%F`.log\"",
    "exec >> x.$(date +%F).log 2>&1",
    "load > \"load_$(date +%F).log\" 2>&1",
    "load | tee -a load_$(date +%F).log",
    "DAY=${RUNNER_DS:-$(date +%F)}",
    "DAY=\"${RUNNER_DS:-\"$(date +%F)\"}\"",
    "DAY=$(date +%F) # runner: clock-ok",
    "DAY=`date +%F`   #a stamp; runner:clock-ok, as agreed",
    "cat <<'EOF'\n$(date +%F)\nEOF",
    "grep 'date +%F' x; update +%F; mydate +%F",
    "echo '$(date +%F)'",
    "run --date +%F",
    "x='$(date +%F)'",
    "run \\$(date",
    "",
]
BAD_PYTHON = [
    ("from datetime import datetime\nday = datetime.now()", (2, 7)),
    ("import datetime\nday = datetime.datetime.utcnow().date()", (2, 7)),
    ("import datetime as dt\nday = dt.date.today()", (2, 7)),
    ("from datetime import date as D\nday = D.today() - x", (2, 7)),
    ("from datetime import datetime as dt\nday = dt.now(tz)", (2, 7)),
    ("day = datetime.today().strftime('%Y%m%d')", (1, 7)),
    ("import time\nday = time.strftime('%Y-%m-%d')", (2, 7)),
    ("from time import strftime as s\nday = s('%F')", (2, 7)),
    ("import time\nt = time.localtime()", (2, 5)),
    ("import time\nt = time.gmtime().tm_mday", (2, 5)),
    ("day = pd.Timestamp.now()", (1, 7)),
    ("day = pd.Timestamp.today().normalize()", (1, 7)),
    ("day = pd.Timestamp('today')", (1, 7)),
    ("df['d'] = pd.to_datetime('today')", (1, 11)),
    ("df = df.where(F.col('ds') == F.current_date())", (1, 30)),
    ("from pyspark.sql.functions import *\nx = current_timestamp()", (2, 5)),
    ("spark.sql('select * from t where ds = current_date')", (1, 11)),
    ("spark.sql(f'insert into {t} select now()')", (1, 11)),
    ("spark.sql('''\nselect *\nfrom t where ds = date_sub(current_date(), 1)\n''')", (3, 28)),
    ("df.where(F.expr('ds = current_date()'))", (1, 17)),
    ("import arrow\nday = arrow.utcnow()", (2, 7)),
    ("import pendulum\nday = pendulum.today('Asia/Seoul')", (2, 7)),
    ("path = f'/data/{date.today()}.csv'", (1, 8)),
    ("print(load(date.today()))", (1, 12)),
    ("print(date.today(), file=out)", (1, 7)),
    ("ds = << params.x >>\nday = date.today()", (2, 7)),
    ("<% if params.x %>\nday = date.today()\n<% endif %>", (2, 7)),
    ("print 'Python 2'\nday = date.today()", (2, 7)),
    ("x = '한글'; day = date.today()", (1, 17)),
    ("a = 1 << n >> 2\nday = date.today()", (2, 7)),
]
GOOD_PYTHON = [
    "import os\nday = os.environ['RUNNER_DS']",
    "day = date.fromisoformat('<< ds >>')",
    "import time\nstart = time.time(); took = time.monotonic() - start",
    "import time\nx = time.strftime('%F', time.gmtime(0))",
    "import time\nx = time.strftime('%H:%M:%S')",
    "import time\nx = time.localtime(stamp)",
    "t = datetime.now().timestamp()",
    "t = datetime.now().time()",
    "t = datetime.now().strftime('%H:%M')",
    "print(datetime.now())",
    "print('start', str(date.today()), flush=True)",
    "print(f'{datetime.now():%F} start')",
    "import sys\nprint(datetime.now(), file=sys.stderr)",
    "logging.info('start %s', datetime.now())",
    "logger.info('start ' + datetime.now().isoformat())",
    "self.log.warning('%s', date.today())",
    "logging.getLogger('x').error(date.today())",
    "# day = date.today()",
    "x = 'date.today()'",
    "day = date.today()  # runner: clock-ok",
    "day = self.clock.now()",
    "from mine import now\nday = now()",
    "x = today(); y = current_user()",
    "day = pd.to_datetime(df['now'])",
    "day = pd.Timestamp('2024-01-31')",
    "spark.sql('select \"current_date\" from t -- now()')",
    "q = 'select current_date'",
    "print 'x', date.today()",
    "print 'x'\n# date.today()",
    "def now(): pass",
    "",
]
BAD_SQL = [
    ("select current_date", (1, 8)),
    ("select *\nfrom t\nwhere ds = CURRENT_DATE()", (3, 12)),
    ("select current_timestamp, x", (1, 8)),
    ("insert into t select now( )", (1, 22)),
    ("select sysdate - 1 from dual", (1, 8)),
    ("select getdate()", (1, 8)),
    ("select today()", (1, 8)),
    ("select localtimestamp", (1, 8)),
    ("select curdate()", (1, 8)),
    ("select unix_timestamp()", (1, 8)),
    ("select from_unixtime(unix_timestamp())", (1, 8)),
    ("where ds = date_sub(current_date, 1)", (1, 21)),
    ("where ds = '<< ds >>' and x < now()", (1, 31)),
    ("select 'it''s', now()", (1, 17)),
    ("select 'a\\'b', now()", (1, 16)),
    ("/* day */ select now() -- x", (1, 18)),
    ("insert into t values (default, now())", (1, 32)),
    ("select cast(current_timestamp as date)", (1, 13)),
]
GOOD_SQL = [
    "select '<< ds >>'",
    "where ds = '${hivevar:ds}'",
    "where ds = '${hivevar:current_date}'",
    "-- current_date\nselect 1",
    "/* now()\n current_date */ select 1",
    "select 'current_date', 'now()'",
    "select \"current_date\"",
    "select `current_date`, t.sysdate",
    "select unix_timestamp(ts), from_unixtime(x)",
    "select x as current_date_x, my_current_date",
    "select x as current_date",
    "select ds_now(), know(), now",
    "create table t (loaded_at timestamp default current_timestamp)",
    "select current_date -- runner: clock-ok",
    "select now() /* runner: clock-ok */",
    "select current_user, current_database()",
    "select << params.now() >>",
    "set current_date = '2024-01-31'",
    "select 'unterminated now()",
    "",
]  # fmt: skip


@pytest.mark.parametrize(
    "language, text, where",
    [("bash", *row) for row in BAD_BASH] + [("python", *row) for row in BAD_PYTHON] + [("sql", *row) for row in BAD_SQL],
)
def test_found(language, text, where):
    found = find_clock_reads(text, language)
    assert [(each.line, each.column) for each in found] == [where]
    assert found == [ClockRead(*where, MESSAGE, HINTS[language])]


@pytest.mark.parametrize(
    "language, text", [("bash", row) for row in GOOD_BASH] + [("python", row) for row in GOOD_PYTHON] + [("sql", row) for row in GOOD_SQL]
)
def test_left_alone(language, text):
    assert find_clock_reads(text, language) == []


def test_hql_is_sql_and_other_languages_find_nothing():
    assert find_clock_reads("select now()", "hql") == find_clock_reads("select now()", "sql") != []
    assert [find_clock_reads("select now() $(date +%F)", language) for language in ("", "http", "spark")] == [[], [], []]


def test_all_in_order():
    text = "A=$(date +%F)\nB=$(date +%T)\nC=$(date +%m); D=`date +%d`\n"
    assert [(each.line, each.column) for each in find_clock_reads(text, "bash")] == [(1, 5), (3, 5), (3, 19)]


def test_hints_say_what_to_write():
    assert "<< ds >>" in HINTS["bash"] and "$RUNNER_DS" in HINTS["bash"]
    assert 'os.environ["RUNNER_DS"]' in HINTS["python"]
    assert "'<< ds >>'" in HINTS["sql"] and "${hivevar:ds}" in HINTS["sql"]
    assert all("runner: clock-ok" in hint for hint in [*HINTS.values(), *PLAIN_HINTS.values()])


@pytest.mark.parametrize("text, language, wanted", [
    ("D=$(date +%F)", "bash", "write $RUNNER_DS, or"), ("date.today()", "python", 'write os.environ["RUNNER_DS"]'),
    ("select now()", "hql", "write '${hivevar:ds}', and"),
])
def test_no_template_is_offered_to_a_text_that_is_none(text, language, wanted):
    (found,) = find_clock_reads(text, language, templated=False)
    assert found.hint.startswith(wanted) and "<<" not in found.hint


SLOW = [
    ("bash", "$(date +%F) "), ("bash", "$(date +%F)"), ("bash", "A=$(date +%F) "), ("bash", "$(date "), ("bash", "(date "), ("bash", "`date "),
    ("bash", "\"date "), ("bash", "date << x "), ("bash", "cat <<E\ndate\nE\n"), ("bash", "'\\date"), ("bash", "%()T("), ("bash", "date+"),
    ("bash", "${RUNNER_DS:-$(date +%F"), ("bash", "echo $(date +%F) | "), ("bash", "awk strftime(\"date\" "),
    ("python", "x = date.today()\n"), ("python", "date.today() + "), ("python", "f(date.today("), ("python", "print 'x', date.today('\n"),
    ("python", "<< today "), ("sql", "now( "), ("sql", "/* now() "), ("sql", "'\\"), ("sql", "'now() "), ("sql", "<< now "), ("sql", "as "),
    ("sql", "from_unixtime(unix_timestamp("), ("bash", "/*#--date $(date +%F)"), ("bash", "hive -e now() "), ("bash", "psql -c now()$x"),
    ("bash", "python -c \"date.today()\" "), ("sql", "${now"),
]  # fmt: skip


@pytest.mark.parametrize("language, piece", SLOW)
def test_time_is_linear(language, piece):
    def took(times):
        text = piece * times + ("\ndate now()" if language != "python" else "")
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            find_clock_reads(text, language)
            best = min(best, time.process_time() - start)
        return best

    small = took(1000)
    assert took(4000) < 12 * small + 0.05


MEASURES = "from datetime import datetime, timedelta\nimport time\n"


@pytest.mark.parametrize(
    "code",
    [
        "start = datetime.now()\nwork()\nprint(datetime.now() - start)", "start = datetime.now()\nspent = datetime.now() - start\nlog.info('%s', spent)",
        "start = datetime.now()\nlog.info('begin %s', start)\ntook = (datetime.now() - start).total_seconds()", "start = time.time()\ntook = time.time() - start",
    ],
)  # fmt: skip
def test_measuring_is_left_alone(code):
    assert find_clock_reads(MEASURES + code, "python") == []


@pytest.mark.parametrize(
    "code",
    [
        "day = datetime.now() - timedelta(days=1)", "one = timedelta(days=1)\nday = datetime.now() - one",
        "now = datetime.now()\nday = now - timedelta(days=1)", "start = datetime.now()\ntook = clock() - start\npath = f'/d/{start:%Y%m%d}'",
        "day = datetime.fromtimestamp(time.time())", "day = time.strftime('%F', time.localtime(time.time()))",
    ],
)  # fmt: skip
def test_a_day_worked_out_of_now_is_found(code):
    assert len(find_clock_reads(MEASURES + code, "python")) == 1


@pytest.mark.parametrize("text", ["D=$(date -d @$EPOCHSECONDS +%F)", "printf -v day '%(%F)T' $EPOCHSECONDS"])
def test_the_clock_of_bash_is_no_base(text):
    assert len(find_clock_reads(text, "bash")) == 1
    assert find_clock_reads(text.replace("$EPOCHSECONDS", "$made_at"), "bash") == []
