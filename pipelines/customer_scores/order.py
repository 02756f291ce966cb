"""Order a CSV by Spending Score, lowest first; ties keep their order. Usage: order.py IN OUT"""
import csv
import io
import os
import sys

COLUMN = "Spending Score (1-100)"

with io.open(sys.argv[1], encoding="utf-8-sig", newline="") as source:
    reader = csv.DictReader(source)
    if COLUMN not in (reader.fieldnames or []):
        sys.exit("%s: no column %r; it has: %s" % (sys.argv[1], COLUMN, ", ".join(reader.fieldnames or [])))
    rows = sorted(reader, key=lambda row: int(row[COLUMN]))

with io.open(sys.argv[2], "w", encoding="utf-8", newline="") as target:
    writer = csv.DictWriter(target, reader.fieldnames)
    writer.writeheader()
    writer.writerows(rows)

with open(os.environ["RUNNER_OUTPUT"], "a") as handed_on:
    handed_on.write("lowest=%s\nhighest=%s\n" % (rows[0][COLUMN], rows[-1][COLUMN]))
print("%d customers in order" % len(rows))
