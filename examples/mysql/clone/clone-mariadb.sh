#!/bin/sh
# Gives an empty volume its first copy of the data, from another pod's MariaDB, by mariadb-dump.
#
#   find-source.sh && clone-mariadb.sh        (in an init container, before the server)
#
# The dump goes straight into a local server that nobody can reach, on a directory beside the data
# directory; that directory gets its place by a rename when everything has been checked. Killed at
# any moment it begins again from nothing, and does nothing at all where there is data.
#
# It needs the programs of the server's own image: mariadbd, mariadb-install-db, mariadb,
# mariadb-dump. The configuration is the server's: /etc/mysql, or CLONE_DEFAULTS_FILE.
#
# Exit status: 0 copied, or nothing to copy; 1 not copied (one line says why): run it again.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
. "$here/common-mariadb.sh"

# The same on the local server, before it has other accounts than root without a password.
ask_local() {
    mariadb --no-defaults --socket="$socket" --user=root --batch --skip-column-names --execute="$1"
}

# System-versioned tables keep their old rows only in a dump that has them.
dump_history() {
    versioned=$(ask "$source" "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_TYPE = 'SYSTEM VERSIONED'" 2>"$CLONE_RUN/error") ||
        fail "$source: $(head -n 1 "$CLONE_RUN/error")"
    [ "$versioned" != 0 ] || return 0
    mariadb-dump --no-defaults --help | grep -q -e '--dump-history' ||
        fail "$source has system-versioned tables, and this mariadb-dump has no --dump-history"
    echo --dump-history
}

# The dump, and behind it what makes of it a replica's data; only a whole dump is followed by that.
dump() {
    # shellcheck disable=SC2086 # an option that is not given is no argument
    mariadb-dump --defaults-extra-file="$CLONE_RUN/source.cnf" --host="$source" \
        --port="$CLONE_PORT" --protocol=tcp --all-databases --single-transaction --quick \
        --routines --events --triggers --max-allowed-packet=1G \
        $history --ignore-table=mysql.gtid_slave_pos --gtid --master-data=1 || return 1
    # - FLUSH PRIVILEGES: the accounts came as rows of tables.
    # - RESET REPLICA ALL: the dump has a CHANGE MASTER without a host, which is no source.
    # - gtid_binlog_state: what is in the data is then as if it had been in this server's binary
    #   log and purged. Without it a server that has this one as its source, or a dump of this one,
    #   would begin at nothing. By way of a variable: both at once lock each other out for ever.
    # - The last line is what is checked.
    cat <<'SQL'
FLUSH PRIVILEGES;
RESET REPLICA ALL;
RESET MASTER;
SET @position = @@GLOBAL.gtid_slave_pos;
SET GLOBAL gtid_binlog_state = @position;
SELECT CONCAT_WS('|', 'loaded', @@GLOBAL.gtid_slave_pos, @@GLOBAL.gtid_binlog_pos, id) FROM peerdisco.cluster;
SQL
}

# sh has no pipefail: each side of the pipe leaves a file if it fails.
copy() {
    { dump 2>"$CLONE_RUN/dump.error" || : >"$CLONE_RUN/dump.failed"; } |
        mariadb --no-defaults --socket="$socket" --user=root --batch --skip-column-names \
            --max-allowed-packet=1G --init-command='SET SESSION sql_log_bin = 0' \
            >"$CLONE_RUN/loaded" 2>"$CLONE_RUN/load.error" || : >"$CLONE_RUN/load.failed"
}

# --- what is done

choose
history=$(dump_history)

say "prepare: an empty data directory in $unfinished"
begin_anew
rm -f "$CLONE_RUN/dump.failed" "$CLONE_RUN/load.failed"
# shellcheck disable=SC2086 # an option that is not given is no argument
mariadb-install-db $defaults $user --datadir="$unfinished" --tmpdir="$scratch" --skip-log-error \
    --skip-test-db --auth-root-authentication-method=normal >"$CLONE_RUN/server.log" 2>&1 ||
    fail "mariadb-install-db: $(complaint)"

say "start: a local server that nobody can reach"
start_server --max-allowed-packet=1G
wait_for_server ask_local 'SELECT 1'
[ "$(ask_local 'SELECT @@log_bin')" = 1 ] ||
    fail "the server's configuration has no log_bin, which every pod needs"

say "copy: from $source"
copying=$source
copy &
wait_for_copy $!
[ ! -e "$CLONE_RUN/dump.failed" ] || fail "mariadb-dump from $source: $(head -n 1 "$CLONE_RUN/dump.error")"
[ ! -e "$CLONE_RUN/load.failed" ] || fail "loading the dump: $(head -n 1 "$CLONE_RUN/load.error")"

say "check: the position, the identity and the accounts"
loaded=$(grep '^loaded|' "$CLONE_RUN/loaded") || fail "the copy holds no row in peerdisco.cluster"
IFS='|' read -r _ reached logged copied <<END
$loaded
END
check_copy "$reached" "$logged" "$copied" ask_local

copying=''
say "stop: the local server"
stop_server
finish
