#!/bin/sh
# Gives an empty volume its first copy of the data, from another pod's MariaDB, by mariadb-backup.
#
#   find-source.sh && clone-mariadb-backup.sh        (in an init container, before the server)
#
# It copies files instead of rows, which is faster for a large database. mariadb-backup reads the
# source's data directory, so it runs in the source's pod, in a container with serve-mariadb-backup.sh,
# and this script connects to it. Each end proves by its certificate that it may.
#
# The files go into a directory beside the data directory, which gets its place by a rename when
# everything has been checked. Killed at any moment it begins again from nothing, and does nothing at
# all where there is data.
#
# It needs the programs of the server's own image: mariadbd, mariadb, mariadb-backup, mbstream and
# socat. The configuration is the server's: /etc/mysql, or CLONE_DEFAULTS_FILE.
#
# Exit status: 0 copied, or nothing to copy; 1 not copied (one line says why): run it again.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
. "$here/common-mariadb.sh"
. "$here/common-stream.sh"

# Receives the files. sh has no pipefail: each side of the pipe leaves a file if it fails.
copy() {
    { socat -u "OPENSSL:$source:$STREAM_PORT,$STREAM_TLS" STDOUT 2>"$CLONE_RUN/receive.error" ||
        : >"$CLONE_RUN/receive.failed"; } |
        mbstream -x -C "$unfinished" 2>"$CLONE_RUN/extract.error" || : >"$CLONE_RUN/extract.failed"
}

# The last file of a stream says whether mariadb-backup came to its end, which the stream does not.
check_stream() {
    if [ -s "$unfinished/$STREAM_END" ]; then
        ended=$(head -n 1 "$unfinished/$STREAM_END")
        [ "$ended" = complete ] || fail "mariadb-backup in $source: $ended"
    fi
    [ ! -e "$CLONE_RUN/receive.failed" ] ||
        fail "receiving from $source: $(head -n 1 "$CLONE_RUN/receive.error")"
    [ ! -e "$CLONE_RUN/extract.failed" ] || fail "mbstream: $(head -n 1 "$CLONE_RUN/extract.error")"
    [ -s "$unfinished/$STREAM_END" ] ||
        fail "receiving from $source: the connection ended before the copy did: does another pod copy at the moment?"
}

# The position of the copy: mariadb-backup writes it as the third field of a file, whose name is
# another one from MariaDB 11.1 on.
backup_position() {
    for name in mariadb_backup_binlog_info xtrabackup_binlog_info; do
        [ ! -s "$unfinished/$name" ] || cut -f 3 "$unfinished/$name" | tr -d ' \n'
    done
}

# What the server runs before anybody can log in. The copy has no binary log. What is in the data is
# then as if it had been in this server's log and purged: see clone-mariadb.sh.
write_init_file() {
    cat >"$CLONE_RUN/init.sql" <<SQL
RESET MASTER;
SET GLOBAL gtid_slave_pos = '$1';
SET GLOBAL gtid_binlog_state = '$1';
SQL
}

# --- what is done

check_stream_settings
choose

say "prepare: an empty directory in $unfinished"
begin_anew
rm -f "$CLONE_RUN/receive.failed" "$CLONE_RUN/extract.failed"
mkdir "$unfinished"

say "copy: from $source"
copying=$source
copy &
wait_for_copy $!
check_stream

say "recover: what was committed during the copy"
mariadb-backup --no-defaults --prepare --target-dir="$unfinished" >"$CLONE_RUN/server.log" 2>&1 &
wait $! || fail "mariadb-backup --prepare: $(complaint)"
reached=$(backup_position)
case $reached in
    '') fail "the copy has no position: has $source a binary log?" ;;
    *[!0-9,-]*) fail "the copy has the position '$reached', expected GTIDs" ;;
esac
rm -f "$unfinished"/xtrabackup_* "$unfinished"/mariadb_backup_* "$unfinished/backup-my.cnf" "$unfinished/$STREAM_END"

say "start: a local server that nobody can reach"
write_init_file "$reached"
start_server --init-file="$CLONE_RUN/init.sql"
wait_for_server ask_copy 'SELECT 1'

say "check: the position, the identity and the accounts"
loaded=$(ask_copy "SELECT CONCAT_WS('|', @@GLOBAL.gtid_slave_pos, @@GLOBAL.gtid_binlog_pos, id) FROM peerdisco.cluster" 2>"$CLONE_RUN/error") ||
    fail "the copy: $(head -n 1 "$CLONE_RUN/error")"
IFS='|' read -r held logged copied <<END
$loaded
END
[ "$held" = "$reached" ] || fail "the copy was made at $reached, and its server has '$held'"
check_copy "$reached" "$logged" "$copied" ask_copy

copying=''
say "stop: the local server"
stop_server
finish
