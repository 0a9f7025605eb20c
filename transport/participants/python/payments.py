"""The payment service of docs/protocol.md: python3 payments.py <amqp URL> <SQLite file>"""

from participant import Permanent, Transient, run

SCHEMA = "create table if not exists payment (id integer primary key, cents integer, refunded integer);"


def charge(cursor, order):
    if not isinstance(order, dict) or type(order.get("cents")) is not int:
        raise Permanent("the input is no order with cents")
    if order.get("card") == "blocked":
        raise Permanent("the card is blocked")
    if order.get("card") == "busy":
        raise Transient("the card network is busy")
    cursor.execute("insert into payment (cents, refunded) values (?, 0)", (order["cents"],))
    return {"payment": f"pay_{cursor.lastrowid}"}


def refund(cursor, _order, output):
    number = int(output["payment"].removeprefix("pay_"))
    cursor.execute("update payment set refunded = cents where id = ?", (number,))


def bring(steps):
    steps.action("payments.charge", charge)
    steps.compensation("payments.charge", refund)


run("payments", SCHEMA, bring)
