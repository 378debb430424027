#!/bin/sh
# Gives an empty volume its first copy of the data, from another pod's MySQL, by the CLONE plugin.
#
#   find-source.sh && clone-mysql.sh        (in an init container, before the server)
#
# A local server that nobody can reach, on a directory beside the data directory, fetches the
# source's files; that directory gets its place by a rename when everything has been checked. Killed
# at any moment it begins again from nothing, and does nothing at all where there is data.
#
# It needs the programs of the server's own image: mysqld and mysql. The plugin mysql_clone.so has to
# be loaded at the source (plugin_load_add = mysql_clone.so), and both have to be of one series.
# The configuration is the server's: /etc/my.cnf, or CLONE_DEFAULTS_FILE.
#
# Exit status: 0 copied, or nothing to copy; 1 not copied (one line says why): run it again.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

defaults=${CLONE_DEFAULTS_FILE:+--defaults-file=$CLONE_DEFAULTS_FILE}
socket=$CLONE_RUN/mysqld.sock

# Runs SQL on a pod's server; the rows, without headings. The source's public key is for a connection
# without TLS, on which a password would not be sent as it is.
ask() {
    mysql --defaults-extra-file="$CLONE_RUN/source.cnf" --host="$1" --port="$CLONE_PORT" \
        --protocol=tcp --connect-timeout=5 --get-server-public-key --batch --skip-column-names \
        --execute="$2"
}

# The same on the local server, with the source's account, which is in the copy.
ask_copy() {
    mysql --defaults-extra-file="$CLONE_RUN/source.cnf" --protocol=socket --socket="$socket" \
        --batch --skip-column-names --execute="$1"
}

look() {
    identity='' found=unsettled
    if ! answer=$(ask "$1" "SELECT CONCAT_WS('|', ($ROW), ($OTHERS))" 2>"$CLONE_RUN/error"); then
        explain "$1"
        return 0
    fi
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

# What the client complained of, without what it says at every start.
client_error() {
    grep -m 1 '^ERROR' "$CLONE_RUN/error" || head -n 1 "$CLONE_RUN/error"
}

# Why a server gave no answer. A server that is not there may come; one that says no will say no.
explain() {
    why=$(client_error)
    code=$(printf '%s\n' "$why" | sed -n 's/^ERROR \([0-9]*\).*/\1/p')
    case $code in
        1040 | 1053 | 1080 | 3168 | 20[0-9][0-9]) ;;
        1045) fail "$1 does not take the password in $CLONE_PASSWORD_FILE for $CLONE_USER: $why" ;;
        *) fail "$1: $why" ;;
    esac
}

# A primary that is restored from a replica has to get all that any replica has: what it lacks
# would be missing from the database, and the replica that has it could not replicate any more.
check_others() {
    [ -s "$CLONE_RUN/others" ] || return 0
    while read -r other || [ -n "$other" ]; do
        host_name "$other"
        theirs=$(ask "$other" 'SELECT @@GLOBAL.gtid_executed' 2>"$CLONE_RUN/error" </dev/null) ||
            fail "$other could not be asked whether it has more than $source: $(client_error)"
        more=$(ask "$source" "SELECT GTID_SUBTRACT('$(gtids "$theirs")', @@GLOBAL.gtid_executed)" 2>"$CLONE_RUN/error" </dev/null) ||
            fail "$source: $(client_error)"
        [ -z "$more" ] ||
            fail "$other has more than $source, $more: set CLONE_FROM to the pod that has most"
    done <"$CLONE_RUN/others"
}

# The GTIDs $1 of the copy, which name the servers that wrote them, have to be the primary's too.
check_servers() {
    [ -n "$primary" ] || return 0
    more=$(ask "$primary" "SELECT GTID_SUBTRACT('$(gtids "$1")', @@GLOBAL.gtid_executed)" 2>"$CLONE_RUN/error") ||
        fail "$primary could not be asked for its position: $(client_error)"
    [ -z "$more" ] || fail "the copy has transactions that $primary does not have: $more"
}

# A set of GTIDs on one line; another server's word, so nothing else may be in it.
gtids() {
    printf '%s' "$1" | sed 's/\\n//g' | tr -cd '0-9A-Za-z:,_-'
}

# A text as SQL has it.
literal() {
    printf "'"
    sed "s/[\\\\']/\\\\&/g" "$1" | tr -d '\n'
    printf "'"
}

# The password is read from standard input, and the server leaves it out of its logs.
clone() {
    {
        printf "SET GLOBAL clone_valid_donor_list = '%s:%s';\n" "$source" "$CLONE_PORT"
        printf "CLONE INSTANCE FROM '%s'@'%s':%s IDENTIFIED BY " "$CLONE_USER" "$source" "$CLONE_PORT"
        literal "$CLONE_PASSWORD_FILE"
        printf ';\n'
    } | mysql --no-defaults --socket="$socket" --user=root --batch >/dev/null 2>"$CLONE_RUN/error" ||
        : >"$CLONE_RUN/clone.ended"
}

start_server() {
    # shellcheck disable=SC2086 # an option that is not given is no argument
    mysqld $defaults $user --datadir="$unfinished" --tmpdir="$scratch" --socket="$socket" \
        --pid-file="$CLONE_RUN/mysqld.pid" --skip-networking --mysqlx=OFF --skip-replica-start \
        --read-only=OFF --super-read-only=OFF --event-scheduler=OFF --log-error=stderr \
        "$@" >>"$CLONE_RUN/server.log" 2>&1 &
    server=$!
}

# --- what is done

begin
case $CLONE_USER in
    *[!A-Za-z0-9_.-]*) fail "CLONE_USER: got '$CLONE_USER', expected letters, digits, '_', '.' and '-'" ;;
esac
say "source: asking $(printf '%s' "$sources" | tr '\n' ' ')"
choose_source "$sources"
if [ -z "$source" ]; then
    say "skipped: $reasons, so the server starts with an empty volume"
    exit 0
fi
check_others
check_engines "$source" ask "$source"
wait_for_ddl "$source" ask "$source"

say "prepare: an empty data directory in $unfinished"
begin_anew
rm -f "$CLONE_RUN/clone.ended"
# A server that runs as root wants to be told so; in a pod it should not.
user=
[ "$(id -u)" != 0 ] || user=--user=root
# shellcheck disable=SC2086
mysqld $defaults $user --initialize-insecure --datadir="$unfinished" --tmpdir="$scratch" \
    --log-error=stderr >"$CLONE_RUN/server.log" 2>&1 || fail "mysqld --initialize-insecure: $(complaint)"

say "start: a local server that nobody can reach"
start_server --plugin-load-add=mysql_clone.so
wait_for_server mysql --no-defaults --socket="$socket" --user=root --execute='SELECT 1'

say "copy: from $source"
copying=$source
clone &
wait $! # a shell that waits hears a signal at once, unlike one that runs a command
# 3707: all is there, and a server without a supervisor ends, to be started again by somebody. That
# is success, and the only one.
[ ! -e "$CLONE_RUN/clone.ended" ] || grep -q '^ERROR 3707' "$CLONE_RUN/error" ||
    fail "CLONE from $source: $(client_error)"
[ -e "$CLONE_RUN/clone.ended" ] || fail "CLONE from $source: the local server did not end behind it"
wait "$server" || :
server=''

say "check: the state of the copy, the identity and the accounts"
start_server
wait_for_server ask_copy 'SELECT 1'
state=$(ask_copy 'SELECT STATE FROM performance_schema.clone_status' 2>"$CLONE_RUN/error") ||
    fail "the copy: $(client_error)"
[ "$state" = Completed ] || fail "the copy's state is '$state', not Completed"
copied=$(ask_copy 'SELECT id FROM peerdisco.cluster' 2>"$CLONE_RUN/error") ||
    fail "the copy: $(client_error)"
[ "$copied" = "$identity" ] || fail "the copy is of cluster $copied, and $source was of $identity"
reached=$(ask_copy 'SELECT @@GLOBAL.gtid_executed')
[ -n "$reached" ] || fail "the copy has no position: has $source GTIDs?"
check_engines "the copy" ask_copy
check_history ask_copy
check_servers "$reached"

copying=''
say "stop: the local server"
stop_server
finish
