"""The customers of one partition as one Parquet file, lowest spending score first. Usage: spark-submit order.py PARTITION OUT

It reads the partition's folder, since the little cluster of the example has its metastore to itself. Where the metastore is a service,
`SparkSession.builder.enableHiveSupport()` and `spark.table("customers").where("dt = '...'")` do the same by name.
"""
import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

SCORE = "Spending Score (1-100)"
NAMES = {  # of the table -> of the file. Spark before 3.3 refuses blanks and brackets in the columns of Parquet
    "customer_id": "CustomerID", "gender": "Gender", "age": "Age", "annual_income": "Annual Income (k$)", "spending_score": SCORE,
}

source, target = sys.argv[1:]
spark = SparkSession.builder.appName("customer_segments").getOrCreate()
customers = spark.read.parquet(source).select([F.col(old).alias(new) for old, new in NAMES.items()])
# One partition, then sorted: one file in one order. The number breaks ties, so that a rerun writes the same.
customers.repartition(1).sortWithinPartitions(F.col("`%s`" % SCORE).asc(), "CustomerID").write.mode("overwrite").parquet(target)

scores = [row[0] for row in spark.read.parquet(target).select("`%s`" % SCORE).collect()]  # what is there now, as it stands there
if not scores or scores != sorted(scores):
    sys.exit("%s is not in order" % target)
with open(os.environ["RUNNER_OUTPUT"], "a") as handed_on:
    handed_on.write("rows=%d\nlowest=%s\nhighest=%s\n" % (len(scores), scores[0], scores[-1]))
print("%d customers from %s to %s" % (len(scores), scores[0], scores[-1]))
spark.stop()
