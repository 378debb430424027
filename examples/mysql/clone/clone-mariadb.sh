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

defaults=${CLONE_DEFAULTS_FILE:+--defaults-file=$CLONE_DEFAULTS_FILE}
socket=$CLONE_RUN/mysqld.sock

# Runs SQL on a pod's server; the rows, without headings.
ask() {
    mariadb --defaults-extra-file="$CLONE_RUN/source.cnf" --host="$1" --port="$CLONE_PORT" \
        --protocol=tcp --connect-timeout=5 --batch --skip-column-names --execute="$2"
}

# The same on the local server, before it has other accounts than root without a password.
ask_local() {
    mariadb --no-defaults --socket="$socket" --user=root --batch --skip-column-names --execute="$1"
}

look() {
    identity='' found=unsettled
    if ! answer=$(ask "$1" "SELECT CONCAT_WS('|', @@version, @@GLOBAL.gtid_slave_pos, ($ROW), ($OTHERS))" 2>"$CLONE_RUN/error"); then
        explain "$1"
        return 0
    fi
    version=${answer%%|*} answer=${answer#*|}
    position=${answer%%|*} answer=${answer#*|}
    if [ "${answer%%|*}" != 0 ]; then
        identity=$(ask "$1" 'SELECT id FROM peerdisco.cluster' 2>"$CLONE_RUN/error") || {
            explain "$1"
            return 0
        }
    fi
    if [ -n "$identity" ]; then
        found=data why="it holds the data of $identity"
    elif [ "${answer#*|}" = 0 ]; then
        found=blank why="it holds no data"
    else
        why="it holds data, and no row in peerdisco.cluster says of which cluster: its sidecar writes it"
    fi
}

# Why a server gave no answer. A server that is not there may come; one that says no will say no.
explain() {
    why=$(head -n 1 "$CLONE_RUN/error")
    code=$(sed -n 's/^ERROR \([0-9]*\).*/\1/p' "$CLONE_RUN/error" | head -n 1)
    case $code in
        1040 | 1053 | 1080 | 1927 | 20[0-9][0-9]) ;;
        1045) fail "$1 does not take the password in $CLONE_PASSWORD_FILE for $CLONE_USER: $why" ;;
        *) fail "$1: $why" ;;
    esac
}

# Whether the GTID position $1 holds all that $2 does; both as in 0-100-7,1-101-3.
covers() {
    rest=$2,
    while [ -n "$rest" ]; do
        one=${rest%%,*} rest=${rest#*,}
        [ -n "$one" ] || continue
        domain=${one%%-*} has=,$1,
        case $has in
            *",$domain-"*) has=${has#*",$domain-"} has=${has%%,*} ;;
            *) return 1 ;;
        esac
        [ "${has##*-}" -ge "${one##*-}" ] || return 1
    done
}

# A primary that is restored from a replica has to get all that any replica has: what it lacks it
# would write a second time, with other rows under the same numbers, and nobody would notice.
check_others() {
    [ -s "$CLONE_RUN/others" ] || return 0
    while read -r other || [ -n "$other" ]; do
        host_name "$other"
        theirs=$(ask "$other" 'SELECT @@GLOBAL.gtid_slave_pos' 2>"$CLONE_RUN/error" </dev/null) ||
            fail "$other could not be asked whether it has more than $source: $(head -n 1 "$CLONE_RUN/error")"
        covers "$1" "$theirs" ||
            fail "$other has more ($theirs) than $source ($1): set CLONE_FROM to the pod that has most"
    done <"$CLONE_RUN/others"
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

begin
say "source: asking $(printf '%s' "$sources" | tr '\n' ' ')"
choose_source "$sources"
if [ -z "$source" ]; then
    say "skipped: $reasons, so the server starts with an empty volume"
    exit 0
fi
check_others "$position"
check_engines "$source" ask "$source"
history=$(dump_history)

series=$(mariadbd --no-defaults --version 2>/dev/null | sed -n 's/.*Ver \([0-9]*\.[0-9]*\).*/\1/p')
case $version in
    "$series".*) ;;
    # The dump holds the system tables, which are not those of another series.
    *) fail "$source runs MariaDB $version and this image $series: copy between servers of one series" ;;
esac

say "prepare: an empty data directory in $unfinished"
begin_anew
rm -f "$CLONE_RUN/dump.failed" "$CLONE_RUN/load.failed"
# A server that runs as root wants to be told so; in a pod it should not.
user=
[ "$(id -u)" != 0 ] || user=--user=root
# shellcheck disable=SC2086 # an option that is not given is no argument
mariadb-install-db $defaults $user --datadir="$unfinished" --tmpdir="$scratch" --skip-log-error \
    --skip-test-db --auth-root-authentication-method=normal >"$CLONE_RUN/server.log" 2>&1 ||
    fail "mariadb-install-db: $(complaint)"

say "start: a local server that nobody can reach"
# shellcheck disable=SC2086
mariadbd $defaults $user --datadir="$unfinished" --tmpdir="$scratch" --socket="$socket" \
    --pid-file="$CLONE_RUN/mysqld.pid" --skip-networking --skip-slave-start --read-only=OFF \
    --event-scheduler=OFF --skip-log-error --max-allowed-packet=1G >>"$CLONE_RUN/server.log" 2>&1 &
server=$!
wait_for_server ask_local 'SELECT 1'
[ "$(ask_local 'SELECT @@log_bin')" = 1 ] ||
    fail "the server's configuration has no log_bin, which every pod needs"

say "copy: from $source"
copying=$source
copy &
wait $! # a shell that waits hears a signal at once, unlike one that runs a command
[ ! -e "$CLONE_RUN/dump.failed" ] || fail "mariadb-dump from $source: $(head -n 1 "$CLONE_RUN/dump.error")"
[ ! -e "$CLONE_RUN/load.failed" ] || fail "loading the dump: $(head -n 1 "$CLONE_RUN/load.error")"

say "check: the position, the identity and the accounts"
loaded=$(grep '^loaded|' "$CLONE_RUN/loaded") || fail "the copy holds no row in peerdisco.cluster"
IFS='|' read -r _ reached logged copied <<END
$loaded
END
[ "$copied" = "$identity" ] || fail "the copy is of cluster $copied, and $source was of $identity"
[ -n "$reached" ] || fail "the dump told no position: has $source a binary log?"
[ "$logged" = "$reached" ] ||
    fail "the copy has the position $reached, and its binary log '$logged'"
# A source that was itself copied, without its binary log having been told, knows too little.
covers "$reached" "$position" ||
    fail "the dump says that it holds $reached, and $source held $position before: copy from the primary (CLONE_FROM)"
check_others "$reached"
check_engines "the copy" ask_local
check_history ask_local
mariadb --defaults-extra-file="$CLONE_RUN/source.cnf" --protocol=socket --socket="$socket" \
    --batch --execute='SELECT 1' >/dev/null 2>"$CLONE_RUN/error" ||
    fail "the copied account $CLONE_USER cannot log in: $(head -n 1 "$CLONE_RUN/error")"

copying=''
say "stop: the local server"
stop_server
finish
