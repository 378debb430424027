#!/bin/sh
# The hook of: peerdisco run my-database --stdin json --on-change /etc/peerdisco/reload.sh
#
# It writes the backends of HAProxy from the whole list on its standard input, and reloads HAProxy.
# `peerdisco run` runs it again if it fails, so the new file is put in place only when it is whole.
set -eu

backends=${BACKENDS:-/etc/haproxy/conf.d/backends.cfg}
filter=${FILTER:-/etc/peerdisco/haproxy.jq}
reload=${RELOAD:-/etc/peerdisco/reload-haproxy}

jq --raw-output --from-file "$filter" >"$backends.new"
mv "$backends.new" "$backends"
"$reload"
