"""Runs until a file is there: stay.py FILE [how it ends: a number to exit with, or the message of an error]"""

import os
import sys
import time

from pyspark.sql import SparkSession

path, ends = sys.argv[1], sys.argv[2:]
spark = SparkSession.builder.getOrCreate()
print("began", flush=True)
with open(path + ".began", "a") as file:
    file.write(f"{os.getpid()}\n")
while not os.path.exists(path):
    time.sleep(0.2)
if ends and ends[0].isdigit():
    sys.exit(int(ends[0]))
if ends:
    raise ValueError(ends[0])
print("ended", flush=True)
spark.stop()
