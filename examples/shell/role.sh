#!/bin/sh
# Writes this pod's role and the primary's host name into two files, for other programs to read.
#
#   role.sh [SERVICE]
#
# The service is PEERDISCO_SERVICE, or the one that governs this pod, if none is named.
# The files lie in STATE_DIR (default: /run/peerdisco). They are replaced only by something that
# was answered: what is not known leaves the last known in place.
#
# Exit status: 0 both are known, 1 something is not known now (stderr says what), 2 a wrong call.
set -u

state=${STATE_DIR:-/run/peerdisco}
if ! [ -d "$state" ] || ! [ -w "$state" ]; then
    echo "role.sh: $state is no directory that can be written to (set STATE_DIR)" >&2
    exit 2
fi

# A reader sees the old content or the new one, never half of it.
keep() {
    printf '%s\n' "$2" >"$state/.$1" && mv "$state/.$1" "$state/$1"
}

known=0

peerdisco is-primary "$@"
case $? in
    0) keep role primary || known=1 ;;
    1) keep role replica || known=1 ;;
    *) known=1 ;; # 2: not known; stderr says why
esac

primary=$(peerdisco primary "$@" --output hostnames)
case $? in
    0) keep primary "$primary" || known=1 ;;
    3) known=1 ;; # answered: the pod of ordinal 0 is not listed; nobody takes its place
    4) known=1 ;; # not listed, in a list that may lack pods: it may be there
    *) known=1 ;; # 2: a wrong call, or no name server gave an answer: nothing is known
esac

exit "$known"
