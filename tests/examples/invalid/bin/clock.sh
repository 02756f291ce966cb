#!/bin/bash
DAY=$(date -d yesterday +%F)
psql -c "delete from t where day < current_date"
