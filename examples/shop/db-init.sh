#!/bin/sh
# The first start makes the database; later ones find it.
set -eu
data=${SHOP_DATA:-/var/tmp/abide-shop}/db
[ -e "$data/PG_VERSION" ] && exit 0
/usr/lib/postgresql/15/bin/initdb -D "$data" -U shop --auth=trust --encoding=UTF8 --locale=C --no-sync >/dev/null
cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 50
CONF
