"""What the shop's programs share: where the database and the cache are, and how readiness is told."""
import os
import socket

import psycopg2


def port(name, default):
    return int(os.environ.get(name) or default)


def database():
    return psycopg2.connect(host="127.0.0.1", port=port("SHOP_DB_PORT", 15432), user="shop", dbname="postgres",
                            connect_timeout=3)


def count_hit():
    """INCR in the cache, spoken by hand: one command, one integer back."""
    with socket.create_connection(("127.0.0.1", port("SHOP_CACHE_PORT", 16379)), timeout=2) as cache:
        cache.sendall(b"*2\r\n$4\r\nINCR\r\n$4\r\nhits\r\n")
        return int(cache.recv(64).decode().strip().lstrip(":"))


def notify(message):
    """sd_notify(3): nothing happens when nobody asked to be told."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.sendto(message.encode(), "\0" + path[1:] if path.startswith("@") else path)
