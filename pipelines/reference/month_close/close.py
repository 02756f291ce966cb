"""The books of one month. Usage: spark-submit close.py --month 2026-01"""
import argparse

from pyspark.sql import SparkSession

words = argparse.ArgumentParser()
words.add_argument("--month", required=True)
said = words.parse_args()

spark = SparkSession.builder.appName("close %s" % said.month).enableHiveSupport().getOrCreate()
spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")  # a retry replaces this month, and no other
days = spark.table("close.day_sum").where("month = '%s'" % said.month)
days.createOrReplaceTempView("days")
spark.sql("SELECT account, sum(debit) debit, sum(credit) credit, month FROM close_in.bookings NATURAL JOIN days GROUP BY account, month") \
    .write.mode("overwrite").insertInto("close.ledger")
spark.stop()
