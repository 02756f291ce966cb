select *
from t
where dt = '<< dss >>';
