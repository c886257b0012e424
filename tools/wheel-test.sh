#!/bin/sh
# The tests against what a user gets: sdist -> wheel -> a fresh environment, in a folder that holds no source of the package.
# Usage: sh tools/wheel-test.sh [PYTHON] [arguments of pytest]
set -eu
python=${1:-python3}
[ $# -eq 0 ] || shift
case $python in */*) python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python") ;; esac
cd "$(dirname "$0")/.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

rm -rf build
"$python" -m venv "$place/env"
bin=$place/env/bin
"$bin/python" -m pip install --quiet --disable-pip-version-check build
"$bin/python" -m build --outdir "$place/dist" . >"$place/build.log" 2>&1 || { cat "$place/build.log"; exit 1; }
set -- "$place"/dist/*.whl "$@"
wheel=$1
shift
echo "built $(basename "$wheel")"
"$bin/python" -m pip install --quiet --disable-pip-version-check "${wheel}[test]"

# the tests come from the sdist, so that what it lacks is missed here
mkdir "$place/unpacked" "$place/outside"
tar -xzf "$place"/dist/*.tar.gz -C "$place/unpacked" --strip-components 1
for name in tests docs tools pyproject.toml setup.cfg README.md CONTRIBUTING.md CHANGELOG.md Makefile; do
    mv "$place/unpacked/$name" "$place/outside/"
done
cd "$place/outside"
"$bin/python" -P -c 'import sys, traindyn; print("testing", traindyn.__file__); sys.exit("site-packages" not in traindyn.__file__)'
"$bin/pytest" -q -n auto --maxprocesses 8 --dist worksteal "$@"
