#!/usr/bin/python3
"""Brings the tables up to date.  May run any number of times."""
import shop

with shop.database() as connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE IF NOT EXISTS items (name text PRIMARY KEY, price integer NOT NULL)")
    cursor.execute("CREATE TABLE IF NOT EXISTS orders (number serial PRIMARY KEY, item text REFERENCES items, "
                   "placed timestamptz NOT NULL DEFAULT now())")
    cursor.execute("INSERT INTO items VALUES ('anchor', 1200), ('rope', 35), ('lantern', 80) ON CONFLICT DO NOTHING")
print("tables are up to date")
