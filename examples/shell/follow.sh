#!/bin/sh
# Runs role.sh at the start and whenever the membership changes, until SIGTERM: for a sidecar.
#
#   follow.sh [SERVICE] [further options of 'peerdisco run']
#
# role.sh is run again if it could not find out; an outage of the DNS runs nothing at all.
set -u

here=$(cd "$(dirname "$0")" && pwd)
exec peerdisco run "$@" --on-change "'$here/role.sh'"
