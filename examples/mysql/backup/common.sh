# Read by the other scripts here; POSIX sh: all of a backup but how the file is made. The script that
# reads it has 'client', which runs the client, 'prepare', what else is asked before, 'make_backup', which
# writes $partial, and SUFFIX, how the files' names end.
# shellcheck shell=sh
BACKUP_RUN=${BACKUP_RUN:-/run/backup}
BACKUP_DIR=${BACKUP_DIR:-/backup}
BACKUP_NAME=${BACKUP_NAME:-mysql}
BACKUP_KEEP=${BACKUP_KEEP:-7} # how many there are afterwards
BACKUP_USER=${BACKUP_USER:-peerdisco_backup}
BACKUP_PASSWORD_FILE=${BACKUP_PASSWORD_FILE:-/etc/peerdisco/backup}
BACKUP_PORT=${BACKUP_PORT:-3306}
BACKUP_TIMEOUT=${BACKUP_TIMEOUT:-300} # seconds to wait for an ALTER TABLE in progress
# Seconds to wait for the lock with which a backup begins. What begins meanwhile waits for that, too.
BACKUP_LOCK_TIMEOUT=${BACKUP_LOCK_TIMEOUT:-30}

say() {
    printf 'backup: %s\n' "$*" >&2
}

fail() {
    say "failed: $*"
    exit 1
}

leave() {
    [ -z "${watcher:-}" ] || kill "$watcher" 2>/dev/null || :
    rm -f "$BACKUP_RUN/server.cnf"
    [ -z "${partial:-}" ] || rm -rf "$partial" "$partial.packed"
}

ask() {
    client --connect-timeout=10 --batch --skip-column-names --execute="$1"
}

OWN_SCHEMAS="('information_schema', 'performance_schema', 'mysql', 'sys', 'lost+found', '#mysql50#lost+found', 'peerdisco')"
# The schemas, one a line, of which a backup is made.
SCHEMAS="SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN $OWN_SCHEMAS
    ORDER BY SCHEMA_NAME"
# Tables whose rows are in no transaction: the dump would not have them as of one moment.
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
# Without this privilege an account sees its own statements alone.
SEES_ALL="SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'PROCESS'
    AND GRANTEE = CONCAT(QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))"

# Waits until no statement changes a table's definition on $1; $2... asks it. The dump would fail
# when the statement ends, or have the table as it was. One that begins later makes the dump fail.
wait_for_ddl() {
    where=$1 asked=$(date +%s) changing=''
    shift
    sees=$("$@" "$SEES_ALL" 2>"$BACKUP_RUN/error") || fail "$where: $(head -n 1 "$BACKUP_RUN/error")"
    [ "$sees" != 0 ] ||
        say "$where: the account does not have the privilege PROCESS, so ALTER TABLE in progress is not seen"
    while :; do
        before=$changing
        changing=$("$@" "$CHANGING" 2>"$BACKUP_RUN/error") || fail "$where: $(head -n 1 "$BACKUP_RUN/error")"
        [ -n "$changing" ] || return 0
        [ -n "$before" ] || say "waiting: $where changes the definition of a table: $changing"
        [ $(($(date +%s) - asked)) -lt "$BACKUP_TIMEOUT" ] ||
            fail "$where still changes the definition of a table after $BACKUP_TIMEOUT s: $changing"
        sleep 1
    done
}

# Sessions of this account that wait too long for a lock: those that lock everything hold up all
# writes meanwhile, behind a statement or a commit that does not end.
LOCKING="INFO LIKE 'FLUSH %TABLES%' OR INFO LIKE 'BACKUP STAGE %'"
WAITING="SELECT CONCAT_WS('|', ID, LEFT(INFO, 40), CONCAT(TIME, ' s'), STATE) FROM information_schema.PROCESSLIST
    WHERE USER = SUBSTRING_INDEX(CURRENT_USER(), '@', 1) AND (STATE LIKE 'Waiting for %' AND TIME >= $BACKUP_TIMEOUT
    OR ($LOCKING) AND TIME >= $BACKUP_LOCK_TIMEOUT) ORDER BY TIME DESC LIMIT 1"

# Ends a backup that waits too long, so that what waits behind it goes on.
watch_locks() {
    while sleep 1; do
        waiting=$(ask "$WAITING" 2>/dev/null) || continue
        [ -n "$waiting" ] || continue
        [ -s "$BACKUP_RUN/waited" ] || printf '%s\n' "${waiting#*|}" >"$BACKUP_RUN/waited"
        ask "KILL ${waiting%%|*}" 2>/dev/null || :
    done
}

# Waits for the process $1, which makes the backup. A shell that waits hears a signal at once, unlike
# one that runs a command.
wait_for() {
    watch_locks &
    watcher=$!
    wait "$1" || :
    kill "$watcher" 2>/dev/null || :
    watcher=''
    [ ! -s "$BACKUP_RUN/waited" ] ||
        fail "$host: it waited for a lock, and was ended: $(cat "$BACKUP_RUN/waited"): a long statement there, or a commit that waits for a replica, keeps it"
}

umask 077
for directory in "$BACKUP_RUN" "$BACKUP_DIR"; do
    [ -d "$directory" ] || fail "$directory is no directory"
    [ -w "$directory" ] || fail "$directory cannot be written to"
done
case $BACKUP_NAME in
    '' | *[!A-Za-z0-9._-]*) fail "BACKUP_NAME: got '$BACKUP_NAME', expected letters, digits, '.', '_' and '-'" ;;
esac
case $BACKUP_TIMEOUT in
    '' | *[!0-9]*) fail "BACKUP_TIMEOUT: got '$BACKUP_TIMEOUT', expected a number of seconds" ;;
esac
case $BACKUP_LOCK_TIMEOUT in
    '' | *[!0-9]*) fail "BACKUP_LOCK_TIMEOUT: got '$BACKUP_LOCK_TIMEOUT', expected a number of seconds" ;;
esac
case $BACKUP_KEEP in
    '' | 0 | *[!0-9]*) fail "BACKUP_KEEP: got '$BACKUP_KEEP', expected a number of 1 or more" ;;
esac
[ -s "$BACKUP_PASSWORD_FILE" ] || fail "$BACKUP_PASSWORD_FILE is empty or is not there (set BACKUP_PASSWORD_FILE)"
[ -s "$BACKUP_RUN/host" ] || fail "$BACKUP_RUN/host is missing: find-candidate.sh has to run first"
read -r host <"$BACKUP_RUN/host"
trap leave EXIT
trap 'exit 143' TERM INT

# Never on a command line, which every process could read.
{
    printf '[client]\nuser="%s"\npassword="' "$BACKUP_USER"
    # In quotes a backslash escapes, and a quote in front of a # would begin a comment.
    sed 's/[\\"]/\\&/g' "$BACKUP_PASSWORD_FILE" | tr -d '\n'
    printf '"\n'
} >"$BACKUP_RUN/server.cnf"

read_only=$(ask 'SELECT @@GLOBAL.read_only' 2>"$BACKUP_RUN/error") || fail "$host: $(head -n 1 "$BACKUP_RUN/error")"
# What the server itself says counts, whatever its name is.
[ "$read_only" != 0 ] || [ "${BACKUP_FROM_PRIMARY:-}" = 1 ] ||
    fail "$host takes writes, and the primary is left in peace unless BACKUP_FROM_PRIMARY=1"
schemas=$(ask "$SCHEMAS" 2>"$BACKUP_RUN/error") || fail "$host: $(head -n 1 "$BACKUP_RUN/error")"
[ -n "$schemas" ] || fail "$host holds no schema of yours: there is nothing to save"
unsafe=$(ask "$UNSAFE" 2>"$BACKUP_RUN/error") || fail "$host: $(head -n 1 "$BACKUP_RUN/error")"
[ -z "$unsafe" ] ||
    fail "$host has tables that a dump cannot have as of one moment: $(printf '%s' "$unsafe" | tr '\n' ' '): change them on the primary (ALTER TABLE ... ENGINE = InnoDB)"
prepare
wait_for_ddl "$host" ask

file=$BACKUP_DIR/$BACKUP_NAME-$(date -u +%Y%m%dT%H%M%SZ).$SUFFIX
[ ! -e "$file" ] || fail "$file is there already"
partial=$file.partial
# What a backup that was killed left behind.
rm -rf "$BACKUP_RUN/failed" "$BACKUP_RUN/waited" "$BACKUP_DIR/$BACKUP_NAME"-????????T??????Z."$SUFFIX".partial*
say "from $host to $file"
make_backup
sync
mv "$partial" "$file"
partial=''
say "done: $(wc -c <"$file") bytes"

# The names begin alike and go on with the time, so their order is that of time.
surplus=$(find "$BACKUP_DIR" -name "$BACKUP_NAME-????????T??????Z.$SUFFIX" | sort -r | tail -n +$((BACKUP_KEEP + 1)))
printf '%s\n' "$surplus" | while read -r old; do
    [ -z "$old" ] || { rm -f "$old" && say "removed: $old"; }
done
