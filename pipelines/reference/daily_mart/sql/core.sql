-- The views core_in.* say how a table comes from stage.*; this writes what they show of one day.
INSERT OVERWRITE TABLE core.${hivevar:table} PARTITION (dt = '${hivevar:dt}')
SELECT `(dt)?+.+` FROM core_in.${hivevar:table} WHERE dt = '${hivevar:dt}';
