#!/bin/bash
echo "check $1 $2"
