#!/bin/sh
# Restores a backup of files-mariadb.sh into an empty volume, before the server starts on it.
#
#   restore-mariadb.sh [FILE]
#
# FILE, or RESTORE_FILE, is a path or a name in RESTORE_FROM; by default the newest one there.
#
# The files go into a directory beside the data directory, which gets its place by a rename when everything
# has been checked. Killed at any moment it begins again from nothing, and does nothing where there is data.
#
# It needs mariadbd and mariadb of the series that made the backup, tar and gzip. The configuration is the
# server's: /etc/mysql, or RESTORE_DEFAULTS_FILE; the binary log has the name that 'mysql-setup config' gives.
#
# Exit status: 0 restored; 1 not restored (one line says why).
set -eu

RESTORE_VOLUME=${RESTORE_VOLUME:-/volume}
RESTORE_DIRECTORY=${RESTORE_DIRECTORY:-mysql} # the data directory's name in it
RESTORE_RUN=${RESTORE_RUN:-/run/restore}      # an emptyDir
RESTORE_FROM=${RESTORE_FROM:-/backup}
defaults=${RESTORE_DEFAULTS_FILE:+--defaults-file=$RESTORE_DEFAULTS_FILE}
file=${1:-${RESTORE_FILE:-}}
data=$RESTORE_VOLUME/$RESTORE_DIRECTORY
unfinished=$data.unfinished
socket=$RESTORE_RUN/mysqld.sock
server=''

say() {
    printf 'restore: %s\n' "$*" >&2
}

fail() {
    say "failed: $*"
    exit 1
}

leave() {
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null || :
}

complaint() {
    grep -m 1 'ERROR' "$RESTORE_RUN/server.log" || tail -n 1 "$RESTORE_RUN/server.log"
}

ask() {
    mariadb --no-defaults --protocol=socket --socket="$socket" --user=root --batch --skip-column-names \
        --execute="$1" 2>"$RESTORE_RUN/error"
}

umask 027
case $RESTORE_VOLUME:$RESTORE_RUN in
    /*:/*) ;;
    *) fail "RESTORE_VOLUME and RESTORE_RUN have to be absolute paths, got '$RESTORE_VOLUME' and '$RESTORE_RUN'" ;;
esac
for directory in "$RESTORE_VOLUME" "$RESTORE_RUN"; do
    [ -d "$directory" ] || fail "$directory is no directory"
done
if [ -z "$file" ]; then
    # The names go on with the time.
    file=$(find "$RESTORE_FROM" -name '*-????????T??????Z.tar.gz' | sort | tail -n 1)
    [ -n "$file" ] || fail "$RESTORE_FROM has no backup"
fi
case $file in
    */*) ;;
    *) file=$RESTORE_FROM/$file ;;
esac
[ -s "$file" ] || fail "got '$file', expected a file that files-mariadb.sh made"
[ ! -d "$data" ] || [ -z "$(ls -A "$data")" ] || fail "$data holds data already"
trap leave EXIT
trap 'exit 143' TERM INT

say "unpack: $file"
rm -rf "$unfinished"
mkdir -p "$unfinished" "$unfinished.tmp"
tar -C "$unfinished" -xzf "$file" 2>"$RESTORE_RUN/error" || fail "$file: $(head -n 1 "$RESTORE_RUN/error")"
position=$(cat "$unfinished"/*_binlog_info 2>/dev/null | cut -f 3 | tr -d ' \n')
case $position in
    '' | *[!0-9,-]*) fail "$file has the position '$position', expected GTIDs: is it a backup of files-mariadb.sh?" ;;
esac
rm -f "$unfinished"/xtrabackup_* "$unfinished"/mariadb_backup_* "$unfinished/backup-my.cnf"

say "start: a local server that nobody can reach"
user=
[ "$(id -u)" != 0 ] || user=--user=root # a server that runs as root wants to be told so
rm -f "$socket"* "$RESTORE_RUN/mysqld.pid"
# shellcheck disable=SC2086 # an option that is not given is no argument
mariadbd $defaults $user --datadir="$unfinished" --tmpdir="$unfinished.tmp" --socket="$socket" \
    --pid-file="$RESTORE_RUN/mysqld.pid" --skip-networking --skip-grant-tables --skip-slave-start \
    --log-bin=binlog --read-only=OFF --event-scheduler=OFF --skip-log-error >"$RESTORE_RUN/server.log" 2>&1 &
server=$!
waited=0
until ask 'SELECT 1' >/dev/null; do
    kill -0 "$server" 2>/dev/null || fail "the local server ended: $(complaint)"
    [ "$waited" -lt 120 ] || fail "the local server was not ready within 120 s: $(complaint)"
    sleep 1
    waited=$((waited + 1))
done

# The backup has no binary log. What is in the data is then as if it had been in this one and purged.
say "check: the position and the identity"
ask "RESET MASTER; SET GLOBAL gtid_slave_pos = '$position'; SET GLOBAL gtid_binlog_state = '$position'" ||
    fail "setting the position $position: $(head -n 1 "$RESTORE_RUN/error")"
found=$(ask "SELECT CONCAT_WS('|', @@GLOBAL.gtid_slave_pos, @@GLOBAL.gtid_binlog_pos, id) FROM peerdisco.cluster") ||
    fail "the backup: $(head -n 1 "$RESTORE_RUN/error")"
[ "${found%|*}" = "$position|$position" ] ||
    fail "the backup was made at $position, and its server has '${found%|*}'"
kill "$server"
wait "$server" || fail "the local server did not end in good order: $(complaint)"
server=''

rm -rf "$unfinished.tmp"
sync
[ ! -d "$data" ] || rmdir "$data"
mv "$unfinished" "$data"
say "done: cluster ${found##*|}, at $position"
