# Read by dump-mariadb.sh and dump-mysql.sh, before common.sh; POSIX sh: how a dump becomes a file. The
# script that reads it has DUMPER, the program's name, and 'dumper', which dumps the schemas in $@.
# shellcheck shell=sh
SUFFIX=sql.gz

# A schema's name may hold blanks and asterisks, and no line break.
dump() {
    set -f
    IFS='
'
    # shellcheck disable=SC2086,SC2154
    set -- $schemas
    dumper "$@"
}

make_backup() {
    # sh has no pipefail: each side of the pipe leaves a file if it fails.
    { dump 2>"$BACKUP_RUN/error" || echo "$DUMPER" >"$BACKUP_RUN/failed"; } |
        gzip >"$partial" 2>"$BACKUP_RUN/gzip.error" || echo gzip >"$BACKUP_RUN/failed" &
    wait_for $!
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
}
