"""What participants and clients have in common: the envelope of docs/protocol.md, and how to leave."""

import hashlib

from pika.exceptions import AMQPError

VERSION = 1
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

#: How long to wait before something is tried again that the broker could not do, in seconds.
AGAIN = 0.5


def derived_id(about, body):
    """A ULID that is the same for the same words about the same thing, such as a reply to a command."""
    number = int.from_bytes(hashlib.sha256(about.encode() + body).digest()[:16], "big")
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -5, -5))


def close(connection):
    try:
        connection.close()
    except (AMQPError, OSError):
        pass  # It is lost already.
