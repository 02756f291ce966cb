"""A CSV of customers as Hive's text tables want it: no header, no byte order mark, LF. Usage: prepare.py IN OUT"""
import csv
import io
import os
import sys

COLUMNS = ["CustomerID", "Gender", "Age", "Annual Income (k$)", "Spending Score (1-100)"]

try:
    with io.open(sys.argv[1], encoding="utf-8-sig", newline="") as source:
        rows = [row for row in csv.reader(source) if row]
except (OSError, UnicodeDecodeError) as error:
    sys.exit("%s cannot be read: %s" % (sys.argv[1], error))
header = rows.pop(0) if rows else []
if header != COLUMNS:
    sys.exit("%s: its columns are %s; needed are %s" % (sys.argv[1], ", ".join(header) or "none", ", ".join(COLUMNS)))
wrong = [number for number, row in enumerate(rows, 2) if len(row) != len(COLUMNS)]
if wrong:
    sys.exit("%s: line %d has not %d cells" % (sys.argv[1], wrong[0], len(COLUMNS)))

os.makedirs(os.path.dirname(sys.argv[2]), exist_ok=True)
with io.open(sys.argv[2], "w", encoding="utf-8", newline="") as target:
    csv.writer(target, lineterminator="\n").writerows(rows)
with open(os.environ["RUNNER_OUTPUT"], "a") as handed_on:
    handed_on.write("rows=%d\n" % len(rows))
print("%d customers" % len(rows))
