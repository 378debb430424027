#!/bin/sh
# Finds out from whom this pod may get its first copy of the data, for the script that copies.
#
#   find-source.sh [SERVICE]
#
# Writes host names into CLONE_RUN/sources, one a line, in the order in which they are to be asked:
# what 'peerdisco mysql-source copy' prints, and the primary is the last of them. The file is empty
# if there is data already, or if this pod is the primary's, which has nobody to copy from.
# CLONE_RUN/primary holds the primary's host name, with whose history the copy is compared.
#
# CLONE_FROM (a pod's name) is taken instead, if 'peerdisco mysql-source copy --from' permits it. It is
# also read from the file of this pod's name in CLONE_FROM_DIRECTORY. Then CLONE_RUN/named exists.
#
# For the primary's pod, CLONE_FROM is how a lost ordinal 0 is restored: 'peerdisco mysql-recover' has
# to agree. It waits until that pod has applied everything that any replica has received, and needs the
# number of pods (PEERDISCO_MYSQL_REPLICAS). CLONE_RUN/others holds the pods that must not have more.
#
# It needs the peerdisco command, POD_NAME, and the password of the account for replication
# (PEERDISCO_MYSQL_REPLICATION_PASSWORD_FILE), with which it asks the other pods' servers; the script
# that copies needs the server's programs.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

# The primary's ordinal, which DNS does not have: from a variable, or from the file of the sidecars.
if [ -z "${PRIMARY_ORDINAL:-}" ] && [ -n "${PRIMARY_ORDINAL_FILE:-}" ]; then
    read -r PRIMARY_ORDINAL _ <"$PRIMARY_ORDINAL_FILE" || [ -n "$PRIMARY_ORDINAL" ]
fi
PRIMARY_ORDINAL=${PRIMARY_ORDINAL:-0}
CLONE_HEALTH_PORT=${CLONE_HEALTH_PORT:-8080} # of the sidecars; 0: only the servers are asked
RECOVER_TIMEOUT=${RECOVER_TIMEOUT:-3600} # seconds that a replica has to apply what it has received

# $1 to the file of this name, whole or not at all.
keep() {
    printf '%s' "$1" >"$CLONE_RUN/.$2"
    mv "$CLONE_RUN/.$2" "$CLONE_RUN/$2"
}

# The listed pods, one host name a line.
everybody() {
    peerdisco peers "$@" --output hostnames || fail "it could not be found out who is there"
}

# The pods that may be copied, the best first; $@ are options of the command.
sources_of() {
    peerdisco mysql-source copy "$@" --ordinal "$PRIMARY_ORDINAL" --timeout "$CLONE_TIMEOUT" \
        --health-port "$CLONE_HEALTH_PORT"
}

keep_primary() {
    primary=$(peerdisco primary "$@" --ordinal "$PRIMARY_ORDINAL" --output hostnames) ||
        fail "the primary is not listed"
    keep "$primary" primary
}

check_settings
CLONE_FROM_DIRECTORY=${CLONE_FROM_DIRECTORY:-/etc/clone-from}
if [ -z "${CLONE_FROM:-}" ] && [ -s "$CLONE_FROM_DIRECTORY/${POD_NAME:-}" ] && [ -n "${POD_NAME:-}" ]; then
    read -r CLONE_FROM <"$CLONE_FROM_DIRECTORY/$POD_NAME" || [ -n "$CLONE_FROM" ]
fi
ordinal=${POD_NAME:-}
ordinal=${ordinal##*-}
case $ordinal in
    '' | *[!0-9]*) fail "POD_NAME has to be the pod's name, such as mysql-1, got '${POD_NAME:-}'" ;;
esac

keep '' others
rm -f "$CLONE_RUN/named" "$CLONE_RUN/primary"
if data_there; then
    say "skipped: $data holds data already"
    keep '' sources
elif [ -n "${CLONE_FROM:-}" ]; then
    host_name "$CLONE_FROM"
    [ "$CLONE_FROM" != "$POD_NAME" ] ||
        fail "CLONE_FROM names this pod, which has no data; name another one, or take it away"
    peers=$(everybody "$@")
    source=$(printf '%s\n' "$peers" | grep "^$CLONE_FROM\\.") ||
        fail "CLONE_FROM: got '$CLONE_FROM', expected a pod that is listed: $(printf '%s' "$peers" | tr '\n' ' ')"
    if [ "$ordinal" = "$PRIMARY_ORDINAL" ]; then
        # This volume is empty, so it is known to be lost.
        without=''
        if [ -s "$CLONE_FROM_DIRECTORY/without" ]; then
            for name in $(cat "$CLONE_FROM_DIRECTORY/without"); do
                host_name "$name"
                without="$without --without $name"
            done
        fi
        # shellcheck disable=SC2086 # options without blanks in them, or none
        peerdisco mysql-recover "$@" --ordinal "$PRIMARY_ORDINAL" --primary-lost $without \
            --from "$CLONE_FROM" --timeout "$RECOVER_TIMEOUT" >/dev/null ||
            fail "the primary is not restored from $CLONE_FROM now, see above"
        keep "$(printf '%s\n' "$peers" | grep -v -e "^$CLONE_FROM\\." -e "^$POD_NAME\\." || :)" others
        keep '' primary # there is none to compare with
    else
        found=$(sources_of "$@" --from "$CLONE_FROM") ||
            fail "CLONE_FROM: $CLONE_FROM may not be copied, see above"
        keep_primary "$@"
    fi
    keep '' named # it has to hold data
    keep "$source
" sources
    say "source: $source, named by CLONE_FROM"
elif [ "$ordinal" = "$PRIMARY_ORDINAL" ]; then
    say "skipped: this is the primary's pod, which has nobody to copy from unless CLONE_FROM names a pod"
    keep '' sources
else
    # The replicas below this one that are ready and have the primary's history, and the primary.
    found=$(sources_of "$@") || fail "no pod may be copied, see above"
    keep_primary "$@"
    keep "$found
" sources
    say "source: $(printf '%s' "$found" | tr '\n' ' ')"
fi
