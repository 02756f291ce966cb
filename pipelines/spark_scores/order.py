"""Customers ordered by spending score, ascending, as one Parquet file: order.py IN.csv OUT DATE

The folder is overwritten, so that a rerun of a date gives the same result once.
"""

import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import lit

# Parquet refuses blanks and brackets in the names of columns
NAMES = {"CustomerID": "customer_id", "Gender": "gender", "Age": "age", "Annual Income (k$)": "annual_income", "Spending Score (1-100)": "spending_score"}


def main(source, target, date):
    spark = SparkSession.builder.getOrCreate()
    rows = spark.read.csv(source, header=True, inferSchema=True)
    for name, short in NAMES.items():
        rows = rows.withColumnRenamed(name, short)
    ordered = rows.withColumn("date", lit(date)).orderBy("spending_score", "customer_id").coalesce(1)
    ordered.write.mode("overwrite").parquet(target)

    written = spark.read.parquet(target)
    count, lowest, highest = written.selectExpr("count(*)", "min(spending_score)", "max(spending_score)").first()
    print(f"{count} rows in {target}")
    output = os.environ.get("RUNNER_OUTPUT")  # on another host, in cluster mode, there is none
    if output:
        with open(output, "a") as file:
            file.write(f"rows={count}\nlowest={lowest}\nhighest={highest}\n")
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
