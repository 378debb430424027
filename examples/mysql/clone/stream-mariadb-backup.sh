#!/bin/sh
# Writes a copy of this pod's data to standard output, as xbstream, for serve-mariadb-backup.sh.
#
# The last file of the stream says whether it is complete, or why not: the end of a connection says
# nothing. DDL is blocked for the moments in which mariadb-backup needs it (BACKUP STAGE); an ALTER
# TABLE that runs already is waited for by the script that asked for the copy.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
. "$here/common-stream.sh"

STREAM_DATADIR=${STREAM_DATADIR:-/var/lib/mysql}
STREAM_HOST=${STREAM_HOST:-127.0.0.1} # the server in this pod

own=$(mktemp -d "$CLONE_RUN/stream.XXXXXX")
CLONE_RUN=$own # the password, which is this script's own
backup=''

clean_up() {
    [ -z "$backup" ] || kill "$backup" 2>/dev/null || :
    rm -rf "$own"
}
trap clean_up EXIT
trap 'exit 143' TERM INT HUP PIPE

write_credentials
say "sending the files in $STREAM_DATADIR"
mkdir "$own/tmp"
mariadb-backup --defaults-file="$own/source.cnf" --backup --stream=xbstream --protocol=tcp \
    --host="$STREAM_HOST" --port="$CLONE_PORT" --datadir="$STREAM_DATADIR" --target-dir="$own/tmp" \
    2>"$own/log" &
backup=$!
if wait "$backup"; then
    ended=complete
else
    # Its last complaint is the reason; the lines before it say what went well.
    ended=$(grep -i -E 'error|fail|cannot|denied' "$own/log" | tail -n 1 || :)
    [ -n "$ended" ] || ended=$(tail -n 1 "$own/log")
fi
backup=''
printf '%s\n' "${ended:-it ended without a reason}" >"$own/$STREAM_END"
cd "$own"
mbstream -c "$STREAM_END"
say "sent: $ended"
