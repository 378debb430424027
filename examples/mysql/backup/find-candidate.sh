#!/bin/sh
# Finds the pod that a backup is made from, for the script that makes it.
#
#   find-candidate.sh [SERVICE]
#
# Writes its host name into BACKUP_RUN/host: the first that 'peerdisco mysql-source backup' prints,
# which is the replica with the highest ordinal whose sidecar reports it as ready and whose history
# is the primary's. A replica that has stopped, is far behind or was refused would give a backup of
# old or of wrong data. The primary is used only with BACKUP_FROM_PRIMARY=1, if no replica can be.
#
# It needs the peerdisco command, and the password of the account for replication
# (PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE), with which it asks the servers for their history.
#
# Exit status: 0 found; 1 not found (stderr says why).
set -eu

BACKUP_RUN=${BACKUP_RUN:-/run/backup}
BACKUP_TIMEOUT=${BACKUP_TIMEOUT:-300} # seconds to wait for a pod that may be backed up
# Of the sidecars; empty where they cannot be asked: then only the servers' histories are compared.
BACKUP_READY_PORT=${BACKUP_READY_PORT-8080}

fail() {
    printf 'backup: failed: %s\n' "$*" >&2
    exit 1
}

[ -d "$BACKUP_RUN" ] || fail "$BACKUP_RUN is no directory (set BACKUP_RUN)"
# The primary's ordinal, which DNS does not have: from a variable, or from the file of the sidecars.
if [ -z "${PRIMARY_ORDINAL:-}" ] && [ -n "${PRIMARY_ORDINAL_FILE:-}" ]; then
    read -r PRIMARY_ORDINAL _ <"$PRIMARY_ORDINAL_FILE" || [ -n "$PRIMARY_ORDINAL" ]
fi
primary='' hint=' (BACKUP_FROM_PRIMARY=1 permits the primary)'
if [ "${BACKUP_FROM_PRIMARY:-}" = 1 ]; then
    primary=--or-primary hint=''
fi
# shellcheck disable=SC2086 # an option that is not given is no argument
found=$(peerdisco mysql-source backup "$@" --ordinal "${PRIMARY_ORDINAL:-0}" $primary \
    --timeout "$BACKUP_TIMEOUT" --health-port "${BACKUP_READY_PORT:-0}") ||
    fail "no pod may be backed up, see above$hint"
host=$(printf '%s\n' "$found" | head -n 1)

printf '%s\n' "$host" >"$BACKUP_RUN/.host"
mv "$BACKUP_RUN/.host" "$BACKUP_RUN/host"
printf 'backup: from %s\n' "$host" >&2
