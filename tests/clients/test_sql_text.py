"""Where a statement of SQL ends, and what in it is a bind, in the dialects of all databases."""

from __future__ import annotations

import pytest

from runner import sqltext


def texts(sql, dialect):
    return [statement.text for statement in sqltext.split(sql, dialect)]


EVERYWHERE = [
    ("select 1", ["select 1"]),
    ("select 1;", ["select 1"]),
    (" ;;\n select 1 ;\n\n; select 2;; ", ["select 1", "select 2"]),
    ("-- a; b\nselect 1 -- c; d\n; -- e", ["select 1"]),
    ("/* a; b */ select /* ; */ 1; /* only this */", ["select /* ; */ 1"]),
    ("select 'a;b', 'it''s; so', \"c;d\"", ["select 'a;b', 'it''s; so', \"c;d\""]),
    ("select '한글;', ':x'\r\n; select 2", ["select '한글;', ':x'", "select 2"]),
    ("select a/b; select 2", ["select a/b", "select 2"]),
]
OWN = {
    "postgres": [
        ("do $$ begin; end $$; select 1", ["do $$ begin; end $$", "select 1"]),
        ("select $q$ ; $$ ; $q$; select 2", ["select $q$ ; $$ ; $q$", "select 2"]),
        ("select a$b; select b$a", ["select a$b", "select b$a"]),
        ("select e'it\\'s; so', 'back\\'; select 2", ["select e'it\\'s; so', 'back\\'", "select 2"]),
        ("select /* a /* b; */ ; */ 1", ["select /* a /* b; */ ; */ 1"]),
        ("create function f() returns int begin atomic select case when true then 1 end; select 2; end; select 3",
         ["create function f() returns int begin atomic select case when true then 1 end; select 2; end", "select 3"]),
    ],
    "mysql": [
        ("select 'it\\'s; so', \"a\\\";\", `b;c`; select 2", ["select 'it\\'s; so', \"a\\\";\", `b;c`", "select 2"]),
        ("# a; b\nselect 1; select 5--3; select 2", ["select 1", "select 5--3", "select 2"]),
        ("/*!40101 set a = 1; */; select 1", ["/*!40101 set a = 1; */", "select 1"]),
        ("delimiter //\ncreate procedure p() begin select 1; select 2; end//\nDELIMITER ;\nselect 3;",
         ["create procedure p() begin select 1; select 2; end", "select 3"]),
    ],
    "sqlite": [
        ("create trigger x after insert on a begin update b set c = case when 1 then 2 end; delete from d; end; select 1",
         ["create trigger x after insert on a begin update b set c = case when 1 then 2 end; delete from d; end", "select 1"]),
        ("select [a;b], `c;d`; select 2", ["select [a;b], `c;d`", "select 2"]),
        ("begin; select 1; end", ["begin", "select 1", "end"]),
    ],
    "ansi": [
        ("begin\n  x := 1; null;\nend;\n/\nselect 1 from dual\n/\n", ["begin\n  x := 1; null;\nend;", "select 1 from dual"]),
        ("create or replace procedure p as\nbegin null; end;\n/\nselect 2", ["create or replace procedure p as\nbegin null; end;", "select 2"]),
        ("select q'[it's; so]', nq'!a'b;!' from v$session; select 2", ["select q'[it's; so]', nq'!a'b;!' from v$session", "select 2"]),
        ("select 1 /\n 2; select 3", ["select 1 /\n 2", "select 3"]),
    ],
}


@pytest.mark.parametrize("dialect, sql, wanted", [
    *[(dialect, *case) for dialect in sqltext.DIALECTS for case in EVERYWHERE], *[(dialect, *case) for dialect, cases in OWN.items() for case in cases]])
def test_statements_end_where_the_database_says(dialect, sql, wanted):
    assert texts(sql, dialect) == wanted


BINDS = [
    ("where dt = :dt and a in (:a,:b) and c>:c2", ["dt", "a", "b", "c2"]),
    ("a::text, b::numeric(10,2), x := 1", []),
    ("':no' \":no\" -- :no\n/* :no */", []),
    ("arr[1:n], '12':x, f():x", []),
    (":날짜, :_a", ["날짜", "_a"]),
    ("\\:kept, :taken", ["taken"]),
    (":a, :a", ["a", "a"]),
]


@pytest.mark.parametrize("dialect", sqltext.DIALECTS)
@pytest.mark.parametrize("sql, wanted", BINDS)
def test_binds_are_found_only_where_values_stand(dialect, sql, wanted):
    [statement] = sqltext.split("select " + sql, dialect)
    assert [bind.name for bind in statement.binds] == wanted


def test_a_trigger_has_no_binds_of_ours():
    [statement] = sqltext.split("create trigger t before insert on a begin :new.x := :old.y; end;\n/", "ansi")
    assert statement.binds == ()


def test_filled_for_a_driver_and_places_back():
    [statement] = sqltext.split("select :one, \\:two, '%' from nope where a = :three", "mysql")
    filled = statement.filled(lambda name: "%s", lambda text: text.replace("%", "%%"))
    assert filled.sql == "select %s, :two, '%%' from nope where a = %s"
    assert filled.names == ("one", "three")
    [plain] = sqltext.split("select :one, nope, :three from t", "postgres")
    sent = plain.filled(lambda name: "$1")
    assert plain.text[sent.back(sent.sql.index("nope")):].startswith("nope")
    assert plain.text[sent.back(sent.sql.index("from")):].startswith("from")
    assert sent.back(sent.sql.index("$1") + 1) == plain.text.index(":one")


def test_line_numbers_and_first_words():
    found = sqltext.split("-- head\n\nselect 1;\n/* x\n*/ delete\nfrom t;", "postgres")
    assert [(one.number, one.line, one.words[:2]) for one in found] == [(1, 3, ("SELECT", "1")), (2, 5, ("DELETE", "FROM"))]


@pytest.mark.parametrize("dialect, sql, line", [
    ("postgres", "select 1;\nselect 'abc;\nselect 2", 2), ("postgres", "/* a /* b */", 1), ("postgres", "do $x$ begin", 1),
    ("mysql", "select `a;", 1), ("mysql", "\n\nselect 'a\\'", 3), ("ansi", "select \"a", 1), ("sqlite", "select 1; select 'x", 1),
])
def test_what_is_not_closed_is_told_with_its_line(dialect, sql, line):
    with pytest.raises(sqltext.SqlTextError) as caught:
        sqltext.split(sql, dialect)
    assert caught.value.line == line and "has no end" in caught.value.message
