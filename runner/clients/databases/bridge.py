"""The child of bridged.py for a DB-API driver: run by the site's own Python, 3.6 or newer, so it imports nothing of runner."""

import sys

sys.path.pop(0)  # the folder of this file: its mysql.py must not stand before a driver of that name

import decimal  # noqa: E402
import importlib  # noqa: E402
import os  # noqa: E402
import queue  # noqa: E402
import re  # noqa: E402
import threading  # noqa: E402

ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
PLAIN = {escape: plain for plain, escape in ESCAPES.items()}
WORDS = queue.Queue()
out = os.fdopen(os.dup(1), "wb", 1 << 16)
os.dup2(2, 1)  # what a driver prints goes to the log, not between our lines


def say(*fields):
    texts = ["\\N" if one is None else re.sub(r"[\\\t\n\r]", lambda found: ESCAPES[found.group()], one) for one in fields]
    out.write(("\t".join(texts) + "\n").encode("utf-8", "surrogateescape"))


def fields(line):
    texts = line.rstrip(b"\n").decode("utf-8").split("\t")
    return [None if one == "\\N" else re.sub(r"\\.", lambda found: PLAIN[found.group()], one) for one in texts]


def cell(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if hasattr(value, "read"):  # a LOB of Oracle
        return cell(value.read())
    return str(value)


def bound(kind, text):
    return {"n": lambda t: None, "b": lambda t: t == "true", "i": int, "d": decimal.Decimal, "s": str}[kind](text)


def typed(text):
    return {"i": int, "b": lambda t: t == "true", "s": str}[text[0]](text[1:])


class Driver:
    def __init__(self):
        self.inner = self.cursor = None
        self.style = "qmark"
        self.alone = True  # each statement for itself

    def open(self, words):
        given = dict(zip(words[::2], words[1::2]))
        module = importlib.import_module(given["module"])
        self.style = getattr(module, "paramstyle", "qmark")
        named = {name[2:]: typed(value) for name, value in given.items() if name.startswith("p.")}
        self.inner = module.connect(*([given["text"]] if "text" in given else []), **named)
        version = "".join(" " + str(one) for one in [getattr(module, "__version__", "")] if one)
        say("about", "{}{} in Python {}.{}".format(given["module"], version, *sys.version_info[:2]), self.style)

    def run(self, words):
        sql, names, values = words[0], words[1::3], [bound(kind, text) for kind, text in zip(words[2::3], words[3::3])]
        self.cursor = self.inner.cursor()
        try:
            if values:
                self.cursor.execute(sql, dict(zip(names, values)) if self.style in ("named", "pyformat") else tuple(values))
            else:
                self.cursor.execute(sql)
            if self.cursor.description is None:
                self.settle()
                return say("ok", str(self.cursor.rowcount if isinstance(self.cursor.rowcount, int) else -1))
            rows = self.cursor.fetchmany(500)
            first = rows[0] if rows else None
            heads = [("%s" % column[0], "i" if first is None or isinstance(first[at], int) else "t") for at, column in enumerate(self.cursor.description)]
            say("cols", *[word for head in heads for word in head])
            while rows:
                for row in rows:
                    say("row", *[cell(value) for value in row])
                rows = self.cursor.fetchmany(500)
            self.settle()
            say("ok", "-1")
        except Exception:
            if self.alone and callable(getattr(self.inner, "rollback", None)):
                self.inner.rollback()
            raise
        finally:
            cursor, self.cursor = self.cursor, None
            cursor.close()

    def settle(self):
        if self.alone and not getattr(self.inner, "autocommit", False) is True:
            self.inner.commit()

    def begin(self, words):
        """DB-API opens a transaction by itself."""
        self.alone = False
        if getattr(self.inner, "autocommit", None) is True:
            self.inner.autocommit = False
        say("ok", "-1")

    def commit(self, words):
        self.inner.commit()
        say("ok", "-1")

    def rollback(self, words):
        self.inner.rollback()
        say("ok", "-1")

    def cancel(self):
        for thing, name in ((self.inner, "cancel"), (self.cursor, "cancel"), (self.cursor, "cancel_operation"), (self.inner, "interrupt")):
            if callable(getattr(thing, name, None)):
                try:
                    return getattr(thing, name)()
                except Exception as error:
                    sys.stderr.write("cancel: {}\n".format(error))


def read(driver):
    """The other thread: takes the lines, so that a cancel is heard while a statement runs."""
    for line in sys.stdin.buffer:
        words = fields(line)
        if words[0] == "cancel":
            driver.cancel()
        else:
            WORDS.put(words)
    driver.cancel()
    os._exit(0)  # the parent is gone


def trouble(error):
    """(code, message) in the driver's words."""
    code = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None) or ""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ImportError):
        return "", "{} cannot load the driver: {}".format(sys.executable, text)
    return str(code), text


def main():
    driver = Driver()
    threading.Thread(target=read, args=(driver,), daemon=True).start()
    while True:
        words = WORDS.get()
        try:
            getattr(driver, words[0])(words[1:])
        except Exception as error:
            code, text = trouble(error)
            hint = "install it there, or name another Python in `python:` of the connection" if isinstance(error, ImportError) else ""
            say("err", code, text, hint)
        out.flush()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # who asked is gone
        os._exit(141)
