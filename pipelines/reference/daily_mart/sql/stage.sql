-- One table as it was delivered. INSERT OVERWRITE of one partition: a retry leaves the same.
INSERT OVERWRITE TABLE stage.${hivevar:table} PARTITION (dt = '${hivevar:dt}')
SELECT `(dt)?+.+` FROM source.${hivevar:table} WHERE dt = '${hivevar:dt}';
