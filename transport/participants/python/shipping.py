"""The shipping of the shop of `sagalog demo`: python3 shipping.py <amqp URL> <SQLite file>"""

from participant import Permanent, run

SCHEMA = "create table if not exists parcel (number integer primary key, reservation text, carrier text);"


def quote(_cursor, route):
    country = route["address"]["country"]
    if country == "AQ":
        raise Permanent("nobody ships to AQ")
    carrier, cents = ("Inland Post", 490) if country == "DE" else ("Far Freight", 1490)
    return {"carrier": carrier, "cents": cents + 150 * min(max(route["pieces"] - 1, 0), 40)}


def ship(cursor, parcel):
    row = (parcel["reservation"], parcel["carrier"])
    cursor.execute("insert into parcel (reservation, carrier) values (?, ?)", row)
    initials = "".join(filter(str.isupper, parcel["carrier"]))
    return {"tracking": f"{initials}-{cursor.lastrowid}"}


def bring(steps):
    steps.action("shipping.quote", quote)
    steps.action("shipping.ship", ship)


run("shipping", SCHEMA, bring)
