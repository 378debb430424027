#!/bin/sh
# Makes a backup by mariadb-dump, from the pod that find-candidate.sh found.
#
#   find-candidate.sh && dump-mariadb.sh
#
# The file gets its name when it is known to be whole; before that it is called .partial, and no
# older one is removed. Everything but the server's own schemas and peerdisco's is in it; accounts
# are not.
#
# It needs mariadb, mariadb-dump and gzip.
#
# Exit status: 0 there is a new backup; 1 there is not (one line says why).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
DUMPER=mariadb-dump

client() {
    mariadb --defaults-extra-file="$BACKUP_RUN/server.cnf" --host="$host" --port="$BACKUP_PORT" \
        --protocol=tcp "$@"
}

# System-versioned tables keep their old rows only in a dump that has them.
prepare() {
    history=''
    versioned=$(ask "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_TYPE = 'SYSTEM VERSIONED'" 2>"$BACKUP_RUN/error") ||
        fail "$host: $(head -n 1 "$BACKUP_RUN/error")"
    [ "$versioned" != 0 ] || return 0
    mariadb-dump --no-defaults --help | grep -q -e '--dump-history' ||
        fail "$host has system-versioned tables, and this mariadb-dump has no --dump-history"
    history=--dump-history
}

dumper() {
    # shellcheck disable=SC2086 # an option that is not given is no argument
    mariadb-dump --defaults-extra-file="$BACKUP_RUN/server.cnf" --host="$host" \
        --port="$BACKUP_PORT" --protocol=tcp --single-transaction --quick --routines --events \
        --triggers $history --max-allowed-packet=1G --gtid --master-data=2 --databases "$@"
}

. "$here/common-dump.sh"
. "$here/common.sh"
