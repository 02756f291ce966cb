"""One mart of one day. Usage: spark-submit mart.py --mart NAME --date DAY

The date is an argument: in cluster mode this runs on another host, which has none of the step's variables.
"""
import argparse

from pyspark.sql import SparkSession

words = argparse.ArgumentParser()
words.add_argument("--mart", required=True)
words.add_argument("--date", required=True)
said = words.parse_args()

spark = SparkSession.builder.appName("mart %s %s" % (said.mart, said.date)).enableHiveSupport().getOrCreate()
spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")  # a retry replaces this day, and no other
day = spark.table("mart_in.%s" % said.mart).where("dt = '%s'" % said.date)
day.write.mode("overwrite").insertInto("mart.%s" % said.mart)
spark.stop()
