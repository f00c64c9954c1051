#!/usr/bin/env bash
# Rolls CronCord out to real hosts and tells their story (10 to 20 minutes). Needs root, and in
# CRONCORD_TEST_HOSTS a program that makes the hosts; tests/lab.py says what it must understand.
#
#   CRONCORD_TEST_HOSTS=/path/to/hosts tests/rollout/run.sh [pytest options]
#
# Given or made: CRONCORD_TEST_PYTHON (with croncord's test requirements; .venv/bin/python),
# CRONCORD_TEST_ANSIBLE (ansible-playbook; a virtual environment in build/rollout),
# CRONCORD_TEST_WHEEL (built), CRONCORD_TEST_WHEELHOUSE (downloaded). To upgrade from another version
# name its wheel in CRONCORD_TEST_WHEEL and this one's in CRONCORD_TEST_NEXT_WHEEL.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${CRONCORD_TEST_HOSTS:?names the program that makes hosts}"
python=${CRONCORD_TEST_PYTHON:-$PWD/.venv/bin/python}
work=${CRONCORD_TEST_WORK:-$PWD/build/rollout}
mkdir -p "$work"

if [ -z "${CRONCORD_TEST_ANSIBLE:-}" ]; then
  [ -x "$work/ansible/bin/ansible-playbook" ] || {
    "$python" -m venv "$work/ansible"
    "$work/ansible/bin/pip" install --quiet ansible-core
  }
  CRONCORD_TEST_ANSIBLE=$work/ansible/bin/ansible-playbook
fi
if [ -z "${CRONCORD_TEST_WHEEL:-}" ]; then
  rm -rf "$work/dist" build/lib  # what was deleted since the last build must not come along
  "$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/dist" .
  CRONCORD_TEST_WHEEL=$(ls "$work"/dist/croncord-*.whl)
fi
if [ -z "${CRONCORD_TEST_WHEELHOUSE:-}" ]; then
  CRONCORD_TEST_WHEELHOUSE=$work/wheelhouse
  "$python" -m pip wheel --quiet --wheel-dir "$CRONCORD_TEST_WHEELHOUSE" "$CRONCORD_TEST_WHEEL"
fi
export CRONCORD_TEST_HOSTS CRONCORD_TEST_ANSIBLE CRONCORD_TEST_WHEEL CRONCORD_TEST_WHEELHOUSE
exec "$python" -m pytest -m slow "${CRONCORD_TEST_SUITE:-tests/rollout}" "$@"
