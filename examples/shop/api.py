#!/usr/bin/python3
"""The shop: GET /items, POST /orders/ITEM, GET /orders (their number), GET /hits, GET /healthz."""
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import shop

LOCK = threading.Lock()
CONNECTION = shop.database()
CONNECTION.autocommit = True


def query(statement, *values):
    with LOCK, CONNECTION.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, value):
        body = (json.dumps(value) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/healthz":
            self.answer(200, {"database": query("SELECT 1")[0][0] == 1, "pid": os.getpid()})
        elif self.path == "/items":
            self.answer(200, dict(query("SELECT name, price FROM items ORDER BY name")))
        elif self.path == "/orders":
            self.answer(200, {"orders": query("SELECT count(*) FROM orders")[0][0]})
        elif self.path == "/hits":
            self.answer(200, {"hits": shop.count_hit()})
        else:
            self.answer(404, {"error": "no such page"})

    def do_POST(self):
        item = self.path.removeprefix("/orders/")
        try:
            self.answer(201, {"order": query("INSERT INTO orders (item) VALUES (%s) RETURNING number", item)[0][0]})
        except psycopg2.IntegrityError:
            self.answer(404, {"error": "no such item"})

    def log_message(self, *_):
        pass  # nginx could log requests; the application logs what matters


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, request, client_address):
        print(f"{client_address[0]}: {sys.exc_info()[1]!r}", flush=True)


server = Server(("127.0.0.1", shop.port("SHOP_API_PORT", 18080)), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"listening on {server.server_port}", flush=True)
shop.notify("READY=1\nSTATUS=serving")
server.serve_forever()
print("bye", flush=True)
sys.exit(0)
