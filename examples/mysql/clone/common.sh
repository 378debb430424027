# Read by the other scripts here; POSIX sh. What they share: settings, words, and the questions
# whether there is data already and which of two GTID positions holds more.
# shellcheck shell=sh

# The volume; the data directory is a directory in it, so that a copy gets its place by a rename.
CLONE_VOLUME=${CLONE_VOLUME:-/volume}
CLONE_DIRECTORY=${CLONE_DIRECTORY:-mysql}
# Small files that must not reach a disk: the list of sources, and the password for the clients.
CLONE_RUN=${CLONE_RUN:-/run/clone}
CLONE_USER=${CLONE_USER:-peerdisco_backup}
CLONE_PASSWORD_FILE=${CLONE_PASSWORD_FILE:-/etc/peerdisco/backup}
CLONE_PORT=${CLONE_PORT:-3306}
# Seconds to wait for a source that can be asked and has made up its mind.
CLONE_TIMEOUT=${CLONE_TIMEOUT:-300}
# Seconds to wait for the lock with which a copy begins. What begins meanwhile waits for that, too.
CLONE_LOCK_TIMEOUT=${CLONE_LOCK_TIMEOUT:-30}

data=$CLONE_VOLUME/$CLONE_DIRECTORY
unfinished=$CLONE_VOLUME/$CLONE_DIRECTORY.unfinished
# On the volume too: what the load of a large dump sorts would fill /tmp, if that can be written.
scratch=$CLONE_VOLUME/$CLONE_DIRECTORY.scratch
server=''         # the process ID of the local server, while it runs
found='' why=''   # what 'look' says of a source
primary=''        # with whose history the copy is compared; empty if it is the primary that is restored
copying=''        # the source, while it is copied
watcher=''        # the process ID of 'watch_locks', while it runs

# Everything but the server's own schemas, and the schema in which peerdisco keeps its rows.
OWN_SCHEMAS="('information_schema', 'performance_schema', 'mysql', 'sys', 'lost+found', '#mysql50#lost+found', 'peerdisco')"
OTHERS="SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN $OWN_SCHEMAS"
ROW="SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'peerdisco' AND TABLE_NAME = 'cluster'"
EPOCHS="SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'peerdisco' AND TABLE_NAME = 'epochs'"
# Tables whose rows are in no transaction: a copy would have them half, or not at all.
UNSAFE="SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME, ' (', ENGINE, ')') FROM information_schema.TABLES
    WHERE TABLE_SCHEMA NOT IN $OWN_SCHEMAS AND TABLE_TYPE <> 'TEMPORARY' AND ENGINE <> 'InnoDB'
    ORDER BY 1 LIMIT 5"
# Statements in progress that change the definition of a table, of clients and of replication. Only
# the beginning of a statement is printed, because the rest may hold a password.
SPACE='([[:space:]]|/[*].*?[*]/|/[*]![0-9]*)+'
MODIFIERS="((ONLINE|OFFLINE|IGNORE|OR|REPLACE|UNIQUE|FULLTEXT|SPATIAL|LOCAL|NO_WRITE_TO_BINLOG)$SPACE)*"
OBJECTS="(TABLES?|INDEX|SCHEMA|DATABASE|SEQUENCE|TABLESPACE)$SPACE(IF$SPACE(NOT$SPACE)?EXISTS$SPACE)?"
VERBS='(ALTER|CREATE|DROP|RENAME|OPTIMIZE|REPAIR)'
DDL="(?s)^($SPACE)?($VERBS$SPACE$MODIFIERS$OBJECTS|TRUNCATE$SPACE(TABLE$SPACE)?)[^[:space:](;]+"
CHANGING="SELECT CONCAT(REGEXP_SUBSTR(INFO, '$DDL'), ' (', USER, ', ', TIME, ' s, ', COALESCE(STATE, ''), ')')
    FROM information_schema.PROCESSLIST WHERE INFO REGEXP '$DDL' ORDER BY TIME DESC LIMIT 1"
# Sessions of this account that wait too long for a lock: those that lock everything hold up all
# writes meanwhile, behind a statement or a commit that does not end.
LOCKING="INFO LIKE 'FLUSH %TABLES%' OR INFO LIKE 'BACKUP STAGE %'"
WAITING="SELECT CONCAT_WS('|', ID, LEFT(INFO, 40), CONCAT(TIME, ' s'), STATE) FROM information_schema.PROCESSLIST
    WHERE USER = SUBSTRING_INDEX(CURRENT_USER(), '@', 1) AND (STATE LIKE 'Waiting for %' AND TIME >= $CLONE_TIMEOUT
    OR ($LOCKING) AND TIME >= $CLONE_LOCK_TIMEOUT) ORDER BY TIME DESC LIMIT 1"
# Without this privilege an account sees its own statements alone.
SEES_ALL="SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'PROCESS'
    AND GRANTEE = CONCAT(QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))"

say() {
    printf 'clone: %s\n' "$*" >&2
}

fail() {
    say "failed: $*"
    # What this source could not give, the next attempt asks of another one.
    [ -z "$copying" ] || printf '%s\n' "$copying" >>"$CLONE_RUN/avoid"
    exit 1
}

# Whatever lies in the data directory is somebody's, whole or not: none of it is touched.
data_there() {
    [ -d "$data" ] && [ -n "$(ls -A "$data")" ]
}

# A name from DNS or from a user goes into an option file and into SQL.
host_name() {
    case $1 in
        '' | -* | *[!A-Za-z0-9.-]*) fail "'$1' is no host name" ;;
    esac
}

check_settings() {
    # A relative path would be another one for the server, which changes its directory.
    case $CLONE_VOLUME:$CLONE_RUN in
        /*:/*) ;;
        *) fail "CLONE_VOLUME and CLONE_RUN have to be absolute paths, got '$CLONE_VOLUME' and '$CLONE_RUN'" ;;
    esac
    case $CLONE_PORT:$CLONE_TIMEOUT in
        :* | *: | *[!0-9:]*) fail "CLONE_PORT and CLONE_TIMEOUT have to be numbers, got '$CLONE_PORT' and '$CLONE_TIMEOUT'" ;;
    esac
    case $CLONE_LOCK_TIMEOUT in
        '' | *[!0-9]*) fail "CLONE_LOCK_TIMEOUT has to be a number, got '$CLONE_LOCK_TIMEOUT'" ;;
    esac
    for directory in "$CLONE_VOLUME" "$CLONE_RUN"; do
        [ -d "$directory" ] || fail "$directory is no directory"
    done
}

# The password goes from one file into another that only this user can read, and never onto a
# command line, which every process of the pod could read.
write_credentials() {
    [ -r "$CLONE_PASSWORD_FILE" ] || fail "$CLONE_PASSWORD_FILE cannot be read (set CLONE_PASSWORD_FILE)"
    [ -s "$CLONE_PASSWORD_FILE" ] || fail "$CLONE_PASSWORD_FILE is empty"
    [ "$(wc -l <"$CLONE_PASSWORD_FILE")" -le 1 ] || fail "$CLONE_PASSWORD_FILE has several lines, and a password has one"
    (
        umask 077
        {
            printf '[client]\nuser="%s"\npassword="' "$CLONE_USER"
            # In quotes a backslash escapes, and a quote in front of a # would begin a comment.
            sed 's/[\\"]/\\&/g' "$CLONE_PASSWORD_FILE" | tr -d '\n'
            printf '"\n'
        } >"$CLONE_RUN/source.cnf"
    )
}

# Kills the local server: what it has written so far is thrown away by the next attempt.
leave() {
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || :
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null || :
    rm -f "$CLONE_RUN/source.cnf"
}

# Throws away what an attempt before this one has left.
begin_anew() {
    rm -rf "$unfinished" "$scratch"
    mkdir "$scratch"
    # The lock of a socket names a process, and the number may be another one's after a restart.
    rm -f "$CLONE_RUN"/mysqld.sock* "$CLONE_RUN/mysqld.pid"
    : >"$CLONE_RUN/server.log"
}

# Ends the local server in good order.
stop_server() {
    kill "$server"
    wait "$server" || fail "the local server did not end in good order: $(complaint)"
    server=''
}

# Waits until the local server can be asked: $@ is a command that asks it.
wait_for_server() {
    waited=0
    until "$@" >/dev/null 2>&1; do
        kill -0 "$server" 2>/dev/null || fail "the local server ended: $(complaint)"
        [ "$waited" -lt 120 ] || fail "the local server was not ready within 120 s: $(complaint)"
        sleep 1
        waited=$((waited + 1))
    done
}

# The server's own complaint: the first, which is the reason of those that follow.
complaint() {
    grep -m 1 'ERROR' "$CLONE_RUN/server.log" || tail -n 1 "$CLONE_RUN/server.log"
}

# Asks each source in turn, the nearest first, until one of them settles the matter, and leaves its
# name in $source, or nothing there if the server is to start with an empty volume.
#
# A source that holds data is copied. Whether there is nothing to copy is for the primary alone to
# say, which is the last of the list: another pod may be as new as this one.
#
# 'look HOST' is the family's own: it sets $found to data, blank or unsettled, and $why.
choose_source() {
    begun=$(date +%s)
    while :; do
        reasons=''
        for source in $1; do
            look "$source"
            [ "$found" != data ] || return 0
            reasons="${reasons:+$reasons; }$source: $why"
        done
        if [ "$found" = blank ]; then
            [ ! -e "$CLONE_RUN/named" ] || fail "CLONE_FROM names $source, and $why"
            source=''
            return 0
        fi
        [ $(($(date +%s) - begun)) -lt "$CLONE_TIMEOUT" ] ||
            fail "no source within $CLONE_TIMEOUT s: $reasons"
        sleep 1
    done
}

# Tables that are not InnoDB are refused, in the source and in the copy: $2... asks for them.
check_engines() {
    where=$1
    shift
    unsafe=$("$@" "$UNSAFE" 2>"$CLONE_RUN/error") || fail "$where: $(head -n 1 "$CLONE_RUN/error")"
    [ -z "$unsafe" ] ||
        fail "$where has tables that cannot be copied consistently: $(printf '%s' "$unsafe" | tr '\n' ' '): change them on the primary (ALTER TABLE ... ENGINE = InnoDB)"
}

# Waits until no statement changes a table's definition on $1; $2... asks it. The copy would have the
# table as it was, or fail when the statement ends. One that begins later makes the copy fail.
wait_for_ddl() {
    where=$1 asked=$(date +%s) changing=''
    shift
    sees=$("$@" "$SEES_ALL" 2>"$CLONE_RUN/error") || fail "$where: $(head -n 1 "$CLONE_RUN/error")"
    [ "$sees" != 0 ] ||
        say "$where: the account does not have the privilege PROCESS, so ALTER TABLE in progress is not seen"
    while :; do
        before=$changing
        changing=$("$@" "$CHANGING" 2>"$CLONE_RUN/error") || fail "$where: $(head -n 1 "$CLONE_RUN/error")"
        [ -n "$changing" ] || return 0
        [ -n "$before" ] || say "waiting: $where changes the definition of a table: $changing"
        [ $(($(date +%s) - asked)) -lt "$CLONE_TIMEOUT" ] ||
            fail "$where still changes the definition of a table after $CLONE_TIMEOUT s: $changing"
        sleep 1
    done
}

# Ends a copy that waits too long, so that what waits behind it goes on.
watch_locks() {
    while sleep 1; do
        waiting=$(ask "$source" "$WAITING" 2>/dev/null) || continue
        [ -n "$waiting" ] || continue
        [ -s "$CLONE_RUN/waited" ] || printf '%s\n' "${waiting#*|}" >"$CLONE_RUN/waited"
        ask "$source" "KILL ${waiting%%|*}" 2>/dev/null || :
    done
}

# Waits for the process $1, which copies. A shell that waits hears a signal at once, unlike one that
# runs a command.
wait_for_copy() {
    rm -f "$CLONE_RUN/waited"
    watch_locks &
    watcher=$!
    wait "$1" || :
    kill "$watcher" 2>/dev/null || :
    watcher=''
    [ ! -s "$CLONE_RUN/waited" ] ||
        fail "$source: the copy waited for a lock, and was ended: $(cat "$CLONE_RUN/waited"): a long statement there, or a commit that waits for a replica, keeps it"
}

# The epochs of a server, in order: which primaries its data came from, each with the id of the epoch
# and of the server. $@ asks it.
history_of() {
    [ "$("$@" "$EPOCHS")" = 0 ] || "$@" "SELECT CONCAT_WS(' ', id, server) FROM peerdisco.epochs ORDER BY number"
}

# The copy has to have come from the primaries that this database had, and from no others: $@ asks
# the copy. A primary that is restored has nobody to be compared with but the source.
check_history() {
    [ -n "$primary" ] || return 0
    theirs=$(history_of ask "$primary" 2>"$CLONE_RUN/error") ||
        fail "$primary could not be asked for its history: $(head -n 1 "$CLONE_RUN/error")"
    ours=$(history_of "$@") || fail "the copy has no history that can be read"
    case "$theirs
" in
        "$ours
"*) ;;
        *) [ -z "$ours" ] || fail "the history of the copy is not that of $primary: $source followed another primary" ;;
    esac
}

# Leaves out the sources that failed before, unless no other one is left.
without_failed() {
    [ -s "$CLONE_RUN/avoid" ] || return 0
    others=$(printf '%s\n' "$sources" | grep -vxF -f "$CLONE_RUN/avoid" || :)
    if [ -n "$others" ]; then
        sources=$others
    else
        rm -f "$CLONE_RUN/avoid"
    fi
}

# What is common to all copies: nothing to do, nobody to ask, or a list of sources in $sources.
begin() {
    umask 027
    check_settings
    if data_there; then
        say "skipped: $data holds data already"
        exit 0
    fi
    [ -f "$CLONE_RUN/sources" ] || fail "$CLONE_RUN/sources is missing: find-source.sh has to run first"
    sources=$(cat "$CLONE_RUN/sources")
    if [ -z "$sources" ]; then
        say "skipped: there is nobody to copy from, the server starts with an empty volume"
        exit 0
    fi
    for source in $sources; do
        host_name "$source"
    done
    primary=$source # the last one, unless another one is named
    [ ! -e "$CLONE_RUN/primary" ] || primary=$(cat "$CLONE_RUN/primary")
    [ -z "$primary" ] || host_name "$primary"
    without_failed
    trap leave EXIT
    trap 'exit 143' TERM INT
    write_credentials
}

# The data directory appears as a whole or not at all.
finish() {
    say "finish: $data"
    rm -rf "$scratch"
    sync # a rename that reaches the disk before the files would be a copy with holes
    # A mount of that directory may have created it, empty.
    [ ! -d "$data" ] || rmdir "$data"
    mv "$unfinished" "$data"
    say "done: copied from $source"
}
