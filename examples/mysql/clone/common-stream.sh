# Read by serve-mariadb-backup.sh, stream-mariadb-backup.sh and clone-mariadb-backup.sh; POSIX sh. How
# the files of a copy travel between pods.
# shellcheck shell=sh

STREAM_PORT=${STREAM_PORT:-4444}
# A certificate with its key, in PEM, which both ends have and nobody else: whoever proves to have the
# key may copy the whole database.
STREAM_CERTIFICATE=${STREAM_CERTIFICATE:-/etc/peerdisco-copy/copy.pem}
STREAM_NAME=${STREAM_NAME:-mysql-copy} # the name in it
STREAM_TLS="cert=$STREAM_CERTIFICATE,cafile=$STREAM_CERTIFICATE,verify=1,commonname=$STREAM_NAME,openssl-min-proto-version=TLS1.2"
# The last file of each stream: "complete", or why it is not.
STREAM_END=peerdisco_stream_end

check_stream_settings() {
    case $STREAM_PORT in
        '' | *[!0-9]*) fail "STREAM_PORT: got '$STREAM_PORT', expected a port" ;;
    esac
    case $STREAM_NAME in
        '' | *[!A-Za-z0-9.-]*) fail "STREAM_NAME: got '$STREAM_NAME', expected the name in the certificate" ;;
    esac
    case $STREAM_CERTIFICATE in
        *[,:!\"\'\ ]*) fail "STREAM_CERTIFICATE: got '$STREAM_CERTIFICATE', expected a path without ',', ':', '!', quotes or blanks" ;;
    esac
    [ -r "$STREAM_CERTIFICATE" ] || fail "$STREAM_CERTIFICATE cannot be read (set STREAM_CERTIFICATE)"
}
