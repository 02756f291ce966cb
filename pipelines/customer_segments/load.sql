-- One day's customers into the table `customers`, partition dt. Each statement can be run again: a retry leaves the same.
CREATE TABLE IF NOT EXISTS customers_text (customer_id STRING, gender STRING, age STRING, annual_income STRING, spending_score STRING)
ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' STORED AS TEXTFILE;

LOAD DATA LOCAL INPATH '${hivevar:file}' OVERWRITE INTO TABLE customers_text;

CREATE EXTERNAL TABLE IF NOT EXISTS customers (
  customer_id INT, gender STRING, age INT,
  annual_income INT COMMENT 'Annual Income (k$)',
  spending_score INT COMMENT 'Spending Score (1-100)')
PARTITIONED BY (dt STRING) STORED AS PARQUET LOCATION '${hivevar:table}';

INSERT OVERWRITE TABLE customers PARTITION (dt = '${hivevar:dt}')
SELECT CAST(customer_id AS INT), gender, CAST(age AS INT), CAST(annual_income AS INT), CAST(spending_score AS INT)
FROM customers_text;

-- A cell that is no number has become NULL, and must not pass for a customer without a score. A failed assert_true fails the step.
SELECT assert_true(count(*) = ${hivevar:rows} AND count(customer_id) = count(*) AND count(spending_score) = count(*))
FROM customers WHERE dt = '${hivevar:dt}';
