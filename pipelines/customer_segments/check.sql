-- Is every customer of the table in the Parquet file, once, and nobody else?
DROP TABLE IF EXISTS customers_ordered;
CREATE EXTERNAL TABLE customers_ordered (`CustomerID` INT, `Spending Score (1-100)` INT) STORED AS PARQUET LOCATION '${hivevar:ordered}';

SELECT assert_true(count(*) = ${hivevar:rows} AND count(DISTINCT o.`CustomerID`) = count(DISTINCT c.customer_id))
FROM customers_ordered o
JOIN customers c ON c.customer_id = o.`CustomerID` AND c.spending_score = o.`Spending Score (1-100)` AND c.dt = '${hivevar:dt}';
