# Read by the other scripts here; POSIX sh: all of a backup but the programs of the database's family.
# The script that reads it has 'client', which runs the client, and 'dumper', which dumps the schemas
# in $@.
# shellcheck shell=sh
BACKUP_RUN=${BACKUP_RUN:-/run/backup}
BACKUP_DIR=${BACKUP_DIR:-/backup}
BACKUP_NAME=${BACKUP_NAME:-mysql}
BACKUP_KEEP=${BACKUP_KEEP:-7} # how many there are afterwards
BACKUP_USER=${BACKUP_USER:-peerdisco_backup}
BACKUP_PASSWORD_FILE=${BACKUP_PASSWORD_FILE:-/etc/peerdisco/backup}
BACKUP_PORT=${BACKUP_PORT:-3306}
BACKUP_TIMEOUT=${BACKUP_TIMEOUT:-300} # seconds to wait for an ALTER TABLE in progress

say() {
    printf 'backup: %s\n' "$*" >&2
}

fail() {
    say "failed: $*"
    exit 1
}

leave() {
    rm -f "$BACKUP_RUN/server.cnf"
    [ -z "${partial:-}" ] || rm -f "$partial"
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

file=$BACKUP_DIR/$BACKUP_NAME-$(date -u +%Y%m%dT%H%M%SZ).sql.gz
[ ! -e "$file" ] || fail "$file is there already"
partial=$file.partial
# What a backup that was killed left behind.
rm -f "$BACKUP_RUN/failed" "$BACKUP_DIR/$BACKUP_NAME"-????????T??????Z.sql.gz.partial
say "from $host to $file"

# A schema's name may hold blanks and asterisks, and no line break.
dump() {
    set -f
    IFS='
'
    # shellcheck disable=SC2086
    set -- $schemas
    dumper "$@"
}

# sh has no pipefail: each side of the pipe leaves a file if it fails.
{ dump 2>"$BACKUP_RUN/error" || echo "$DUMPER" >"$BACKUP_RUN/failed"; } |
    gzip >"$partial" 2>"$BACKUP_RUN/gzip.error" || echo gzip >"$BACKUP_RUN/failed" &
wait $! # a shell that waits hears a signal at once, unlike one that runs a command
if [ -e "$BACKUP_RUN/failed" ]; then
    fail "$(cat "$BACKUP_RUN/failed"): $(cat "$BACKUP_RUN/error" "$BACKUP_RUN/gzip.error" | head -n 1)"
fi

# The last line says that the dump is whole, and reading it that the file can be read.
ending=$(gzip -dc "$partial" 2>"$BACKUP_RUN/gzip.error" | tail -n 1)
[ ! -s "$BACKUP_RUN/gzip.error" ] || fail "$partial: $(head -n 1 "$BACKUP_RUN/gzip.error")"
case $ending in
    '-- Dump completed'*) ;;
    *) fail "the dump ends with '$ending', which is not the end of a dump" ;;
esac
sync
mv "$partial" "$file"
partial=''
say "done: $(wc -c <"$file") bytes"

# The names begin alike and go on with the time, so their order is that of time.
surplus=$(find "$BACKUP_DIR" -name "$BACKUP_NAME-????????T??????Z.sql.gz" | sort -r | tail -n +$((BACKUP_KEEP + 1)))
printf '%s\n' "$surplus" | while read -r old; do
    [ -z "$old" ] || { rm -f "$old" && say "removed: $old"; }
done
