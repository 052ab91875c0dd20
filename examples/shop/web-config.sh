#!/bin/sh
# nginx reads no environment, so its configuration is written from it.
set -eu
web=${SHOP_DATA:-/var/tmp/abide-shop}/web
cat >"$web/nginx.conf" <<CONF
daemon off;
worker_processes 2;
pid $web/nginx.pid;
error_log stderr warn;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $web/body;
    proxy_temp_path $web/proxy;
    fastcgi_temp_path $web/fastcgi;
    uwsgi_temp_path $web/uwsgi;
    scgi_temp_path $web/scgi;
    upstream api { server 127.0.0.1:${SHOP_API_PORT:-18080}; }
    server {
        listen 127.0.0.1:${SHOP_WEB_PORT:-18000};
        location = /nginx-health { return 200 "ok\n"; }
        location / { proxy_pass http://api; }
    }
}
CONF
