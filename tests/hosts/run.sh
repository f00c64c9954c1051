#!/usr/bin/env bash
# Partitions, pauses and power cuts on real hosts (about an hour). Needs root, and in
# CRONCORD_TEST_HOSTS a program that makes the hosts; tests/lab.py says what it must understand.
#
#   CRONCORD_TEST_HOSTS=/path/to/hosts tests/hosts/run.sh [pytest options]
#
# With CRONCORD_TEST_HOST_ROOTS (the directory that holds the directory tree of each host) the disks
# lose what was not synced when the plug is pulled; see losing_disks.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${CRONCORD_TEST_HOST_ROOTS:-}" ]; then
  export CRONCORD_TEST_HOST_ROOTS CRONCORD_TEST_PLAIN_HOSTS=${CRONCORD_TEST_HOSTS:?}
  export CRONCORD_TEST_HOSTS=$here/losing_disks.sh
fi
CRONCORD_TEST_SUITE=tests/hosts exec "$here/../rollout/run.sh" -s "$@"
