#!/bin/sh
# The package has no folder of its own name: give the type checker one. Usage: sh tools/typecheck.sh [MYPY]
set -eu
mypy=${1:-mypy}
case $mypy in */*) mypy=$(cd "$(dirname "$mypy")" && pwd)/$(basename "$mypy") ;; esac
cd "$(dirname "$0")/.."
mkdir -p .tc && ln -sfn .. .tc/traindyn
"$mypy"
