insert overwrite table mart partition (dt='<< ds >>') select * from stage where dt = '${hivevar:dt}';
