#!/bin/sh
# One folder a server, each for its own user.
set -eu
data=${SHOP_DATA:-/var/tmp/abide-shop}
install -d -m 755 "$data"
install -d -m 700 -o postgres -g postgres "$data/db"
install -d -m 700 -o redis -g redis "$data/cache"
install -d -m 700 -o www-data -g www-data "$data/web"
