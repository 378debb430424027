#!/bin/sh
# Makes a backup by mariadb-backup, from the pod that find-candidate.sh found.
#
#   find-candidate.sh && files-mariadb.sh
#
# mariadb-backup reads the server's files, so it runs in that pod: in the container of
# ../kubernetes/mariadb-backup, which sends the files to whoever has the key. They are recovered here, so that
# a backup that cannot be restored is none; its name it gets when it is known to be whole. All is in it:
# accounts, and the cluster's row and history. restore-mariadb.sh restores it.
#
# It needs mariadb, mariadb-backup and mbstream of the servers' series, socat, tar and gzip. While it
# runs it needs the space of all data in BACKUP_DIR.
#
# Exit status: 0 there is a new backup; 1 there is not (one line says why).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
SUFFIX=tar.gz
STREAM_PORT=${STREAM_PORT:-4444}
STREAM_CERTIFICATE=${STREAM_CERTIFICATE:-/etc/peerdisco-copy/copy.pem}
STREAM_NAME=${STREAM_NAME:-mysql-copy} # the name in it
STREAM_TLS="cert=$STREAM_CERTIFICATE,cafile=$STREAM_CERTIFICATE,verify=1,commonname=$STREAM_NAME,openssl-min-proto-version=TLS1.2"
STREAM_END=peerdisco_stream_end # the last file of a stream: "complete", or why it is not

client() {
    mariadb --defaults-extra-file="$BACKUP_RUN/server.cnf" --host="$host" --port="$BACKUP_PORT" \
        --protocol=tcp "$@"
}

prepare() {
    [ -r "$STREAM_CERTIFICATE" ] || fail "$STREAM_CERTIFICATE cannot be read (set STREAM_CERTIFICATE)"
}

# sh has no pipefail: each side of the pipe leaves its complaint.
receive() {
    { socat -u "OPENSSL:$host:$STREAM_PORT,$STREAM_TLS" STDOUT 2>"$BACKUP_RUN/error" ||
        echo receiving >"$BACKUP_RUN/failed"; } |
        mbstream -x -C "$partial" 2>"$BACKUP_RUN/extract.error" || echo mbstream >"$BACKUP_RUN/failed"
}

make_backup() {
    mkdir "$partial"
    receive &
    wait_for $!
    ended=$(head -n 1 "$partial/$STREAM_END" 2>/dev/null || :)
    [ -z "$ended" ] || [ "$ended" = complete ] || fail "mariadb-backup in $host: $ended"
    if [ -e "$BACKUP_RUN/failed" ]; then
        fail "$(cat "$BACKUP_RUN/failed"): $(cat "$BACKUP_RUN/error" "$BACKUP_RUN/extract.error" | head -n 1)"
    fi
    [ -n "$ended" ] || fail "receiving: the connection ended before the backup did: does a pod copy at the moment?"
    rm "$partial/$STREAM_END"
    # Its log is long, and is not for a directory in memory.
    log=$partial.packed
    mariadb-backup --no-defaults --prepare --target-dir="$partial" >"$log" 2>&1 &
    wait $! || fail "mariadb-backup --prepare: $(grep -m 1 -i error "$log" || tail -n 1 "$log")"
    cat "$partial"/*_binlog_info >/dev/null 2>&1 || fail "the backup has no position: has $host a binary log?"
    tar -C "$partial" -czf "$partial.packed" . 2>"$BACKUP_RUN/error" &
    wait $! || fail "tar: $(head -n 1 "$BACKUP_RUN/error")"
    gzip -t "$partial.packed" 2>"$BACKUP_RUN/error" || fail "$partial: $(head -n 1 "$BACKUP_RUN/error")"
    rm -rf "$partial"
    mv "$partial.packed" "$partial"
}

. "$here/common.sh"
