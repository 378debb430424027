# Read by clone-mariadb.sh and clone-mariadb-backup.sh; POSIX sh. What copies of MariaDB share, beside
# common.sh: the questions to the servers, the local server, and the checks of the copy.
# shellcheck shell=sh

defaults=${CLONE_DEFAULTS_FILE:+--defaults-file=$CLONE_DEFAULTS_FILE}
socket=$CLONE_RUN/mysqld.sock
# A server that runs as root wants to be told so; in a pod it should not.
user=
[ "$(id -u)" != 0 ] || user=--user=root

# Runs SQL on a pod's server; the rows, without headings.
ask() {
    mariadb --defaults-extra-file="$CLONE_RUN/source.cnf" --host="$1" --port="$CLONE_PORT" \
        --protocol=tcp --connect-timeout=5 --batch --skip-column-names --execute="$2"
}

# The same on the copy, with the source's account, which is in the copy.
ask_copy() {
    mariadb --defaults-extra-file="$CLONE_RUN/source.cnf" --protocol=socket --socket="$socket" \
        --batch --skip-column-names --execute="$1"
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

# Whether the GTID position $1 holds all that $2 does; both as in 0-100-7,1-101-3. The same number
# from two servers is not the same transaction.
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
        [ "${has##*-}" != "${one##*-}" ] || [ "$domain-$has" = "$one" ] || return 1
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

# The position $1 of the copy has to be one of the primary's: a transaction with a number that the
# primary has from another server, or does not have from that server, comes from another history.
check_servers() {
    [ -n "$primary" ] || return 0
    state=$(ask "$primary" 'SELECT @@GLOBAL.gtid_binlog_state' 2>"$CLONE_RUN/error") ||
        fail "$primary could not be asked for its position: $(head -n 1 "$CLONE_RUN/error")"
    for mine in $(printf '%s' "$1" | tr , ' '); do
        for theirs in $(printf '%s' "$state" | tr , ' '); do
            [ "${mine%%-*}" = "${theirs%%-*}" ] || continue # of another domain
            if [ "${mine%-*}" = "${theirs%-*}" ]; then
                [ "${mine##*-}" -le "${theirs##*-}" ] ||
                    fail "the copy has $mine, and $primary has $theirs: $source has transactions that $primary does not have"
            else
                [ "${mine##*-}" != "${theirs##*-}" ] ||
                    fail "the copy has $mine, and $primary has $theirs: these are different transactions"
            fi
        done
    done
}

# Chooses a source that may be copied, and ends the script where there is nothing to copy.
choose() {
    begin
    say "source: asking $(printf '%s' "$sources" | tr '\n' ' ')"
    choose_source "$sources"
    if [ -z "$source" ]; then
        say "skipped: $reasons, so the server starts with an empty volume"
        exit 0
    fi
    check_others "$position"
    check_engines "$source" ask "$source"
    wait_for_ddl "$source" ask "$source"
    series=$(mariadbd --no-defaults --version 2>/dev/null | sed -n 's/.*Ver \([0-9]*\.[0-9]*\).*/\1/p')
    case $version in
        "$series".*) ;;
        # The copy holds the system tables, which are not those of another series.
        *) fail "$source runs MariaDB $version and this image $series: copy between servers of one series" ;;
    esac
}

# Starts the local server; $@ are more options of it.
start_server() {
    # shellcheck disable=SC2086 # an option that is not given is no argument
    mariadbd $defaults $user --datadir="$unfinished" --tmpdir="$scratch" --socket="$socket" \
        --pid-file="$CLONE_RUN/mysqld.pid" --skip-networking --skip-slave-start --read-only=OFF \
        --event-scheduler=OFF --skip-log-error "$@" >>"$CLONE_RUN/server.log" 2>&1 &
    server=$!
}

# What was copied, and from where in the history: $1 the position and $2 that of the binary log, $3
# the cluster; $4... asks the copy.
check_copy() {
    reached=$1 logged=$2 copied=$3
    shift 3
    [ "$copied" = "$identity" ] || fail "the copy is of cluster $copied, and $source was of $identity"
    [ -n "$reached" ] || fail "the copy has no position: has $source a binary log?"
    [ "$logged" = "$reached" ] ||
        fail "the copy has the position $reached, and its binary log '$logged'"
    # A source that was itself copied, without its binary log having been told, knows too little.
    covers "$reached" "$position" ||
        fail "the copy says that it holds $reached, and $source held $position before: copy from the primary (CLONE_FROM)"
    check_others "$reached"
    check_engines "the copy" "$@"
    check_history "$@"
    check_servers "$reached"
    ask_copy 'SELECT 1' >/dev/null 2>"$CLONE_RUN/error" ||
        fail "the copied account $CLONE_USER cannot log in: $(head -n 1 "$CLONE_RUN/error")"
}
