#!/bin/sh
# Runs role.sh every INTERVAL seconds (default: 5) until SIGTERM: for a sidecar container.
#
#   follow.sh [SERVICE]
set -u

here=$(dirname "$0")
trap 'kill "${sleeper:-}" 2>/dev/null; exit 0' TERM INT

while :; do
    "$here/role.sh" "$@"
    [ $? -eq 2 ] && exit 2
    # In the background, so that a signal ends the wait at once.
    sleep "${INTERVAL:-5}" &
    sleeper=$!
    wait "$sleeper"
done
