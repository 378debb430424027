#!/bin/sh
# Sends a copy of this pod's data to each pod that proves that it may have one, one at a time.
#
#   serve-mariadb-backup.sh        (in a container beside the server, with the server's volume)
#
# For each connection it runs stream-mariadb-backup.sh. Settings are in README.md.
#
# It needs mariadb-backup, mbstream and socat, of the server's own image.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
. "$here/common-stream.sh"

STREAM_BIND=${STREAM_BIND:-} # an IPv4 address, or an IPv6 address in brackets; empty: all of IPv4

check_stream_settings
[ -d "$CLONE_RUN" ] || fail "$CLONE_RUN is no directory"
family='' address=''
case $STREAM_BIND in
    '') ;;
    *[!0-9A-Fa-f.:\[\]]*) fail "STREAM_BIND: got '$STREAM_BIND', expected an address" ;;
    \[*) family=,pf=ip6,ipv6only=0 address=,bind=$STREAM_BIND ;;
    *) address=,bind=$STREAM_BIND ;;
esac
say "serving on port $STREAM_PORT"
# One at a time: each reads all data once. A second connection waits until the first one has ended.
exec socat -U \
    "OPENSSL-LISTEN:$STREAM_PORT,reuseaddr,fork,max-children=1$family$address,$STREAM_TLS" \
    "EXEC:sh $here/stream-mariadb-backup.sh,pipes"
