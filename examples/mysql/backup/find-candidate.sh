#!/bin/sh
# Finds out from which pod a backup may be made, for the script that makes it.
#
#   find-candidate.sh [SERVICE]
#
# Writes its host name into BACKUP_RUN/host: the highest ordinal, and never the primary unless
# BACKUP_FROM_PRIMARY=1, which stands for "if there is no replica". A replica that its sidecar does
# not call ready has stopped, or is far behind, and would give a backup of a day gone by.
#
# It needs the peerdisco command, and Python for one HTTP request.
#
# Exit status: 0 found; 1 not (one line says why).
set -eu

BACKUP_RUN=${BACKUP_RUN:-/run/backup}
# Where the sidecars answer; empty where they cannot be asked.
BACKUP_READY_PORT=${BACKUP_READY_PORT-8080}

fail() {
    printf 'backup: failed: %s\n' "$*" >&2
    exit 1
}

[ -d "$BACKUP_RUN" ] || fail "$BACKUP_RUN is no directory (set BACKUP_RUN)"
status=0
host=$(peerdisco backup-candidate "$@" --output hostnames) || status=$?
case $status in
    0) ;;
    3) # answered: nobody but the primary, or nobody at all
        [ "${BACKUP_FROM_PRIMARY:-}" = 1 ] ||
            fail "there is no replica, and the primary is left in peace unless BACKUP_FROM_PRIMARY=1"
        host=$(peerdisco primary "$@" --output hostnames) || fail "there is no primary either"
        ;;
    *) fail "it could not be found out who is there" ;;
esac

if [ -n "$BACKUP_READY_PORT" ]; then
    python3 - "http://$host:$BACKUP_READY_PORT/readyz" <<'PY' || fail "$host is not ready, see above"
import sys
import urllib.error
import urllib.request

try:
    urllib.request.urlopen(sys.argv[1], timeout=10).close()
except urllib.error.HTTPError as error:
    sys.exit(f"backup: {sys.argv[1]}: {error.code}: {error.read(1000).decode()}")
except OSError as error:
    sys.exit(f"backup: {sys.argv[1]}: {error}")
PY
fi

printf '%s\n' "$host" >"$BACKUP_RUN/.host"
mv "$BACKUP_RUN/.host" "$BACKUP_RUN/host"
printf 'backup: from %s\n' "$host" >&2
