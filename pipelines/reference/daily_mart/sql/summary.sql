INSERT OVERWRITE TABLE summary.${hivevar:table} PARTITION (dt = '${hivevar:dt}')
SELECT `(dt)?+.+` FROM summary_in.${hivevar:table} WHERE dt = '${hivevar:dt}';
