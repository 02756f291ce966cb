"""A CSV of customers, ordered by the spending score, as one Parquet file: sort_scores.py IN.csv OUT DATE"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import lit

source, target, date = sys.argv[1:]
spark = SparkSession.builder.getOrCreate()
rows = spark.read.csv(source, header=True, inferSchema=True)
ordered = rows.orderBy("Spending Score (1-100)", "CustomerID").withColumn("date", lit(date)).coalesce(1)
# Parquet refuses blanks and brackets in the names of columns
ordered.toDF("customer_id", "gender", "age", "annual_income", "spending_score", "date").write.mode("overwrite").parquet(target)
print("first:", spark.read.parquet(target).first().asDict())
spark.stop()
