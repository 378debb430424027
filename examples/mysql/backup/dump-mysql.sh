#!/bin/sh
# Makes a backup by mysqldump, from the pod that find-candidate.sh found.
#
#   find-candidate.sh && dump-mysql.sh
#
# The file gets its name when it is known to be whole; before that it is called .partial, and no
# older one is removed. Everything but the server's own schemas and peerdisco's is in it; accounts
# are not.
#
# It needs mysql and mysqldump of MySQL 8.0.26 or later, and gzip.
#
# Exit status: 0 there is a new backup; 1 there is not (one line says why).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
DUMPER=mysqldump

# The server's public key is for a connection without TLS, on which a password is not sent as it is.
client() {
    mysql --defaults-extra-file="$BACKUP_RUN/server.cnf" --host="$host" --port="$BACKUP_PORT" \
        --protocol=tcp --get-server-public-key "$@"
}

prepare() {
    :
}

dumper() {
    mysqldump --defaults-extra-file="$BACKUP_RUN/server.cnf" --host="$host" \
        --port="$BACKUP_PORT" --protocol=tcp --get-server-public-key --single-transaction --quick \
        --routines --events --triggers --max-allowed-packet=1G --source-data=2 \
        --set-gtid-purged=OFF --databases "$@"
}

. "$here/common-dump.sh"
. "$here/common.sh"
