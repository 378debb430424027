#!/bin/sh
# Starts the server as the official images do, as far as the tests need it: a blank volume is made a
# database with the accounts of /docker-entrypoint-initdb.d, and arguments go to the server.
set -eu
data=/var/lib/mysql
if [ ! -e "$data/mysql" ]; then
  cp -R /template/. "$data"
  # Read before the server lets anybody in, and only at the first start.
  set -- "$@" --init-file=/docker-entrypoint-initdb.d/accounts.sql
fi
exec mariadbd --defaults-file=/etc/mysql/conf.d/peerdisco.cnf --datadir="$data" \
  --socket=/run/mysqld/mysqld.sock --pid-file=/run/mysqld/mysqld.pid --lc-messages-dir=/usr/share/mysql "$@"
