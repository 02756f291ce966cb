#!/bin/bash
DAY=$(date +%Y%m%d)
cp in.csv $DAY.csv
