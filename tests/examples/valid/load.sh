#!/bin/bash
echo "load $1"
