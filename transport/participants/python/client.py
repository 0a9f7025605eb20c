"""Starts sagas and waits for their ends over RabbitMQ, with pika. It follows docs/protocol.md.

    python3 client.py <amqp URL> <saga's id> <definition> <input as JSON>

starts a saga, waits for its end, and prints where it stands then.
"""

import hashlib
import json
import logging
import sys
import time
import uuid

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

from envelope import AGAIN, VERSION, close, derived_id

#: How long an answer is waited for before the request is sent again, in seconds. An owner keeps the
#: question for an end for three.
ANSWERED_WITHIN = 5

ANSWERS_MAX = 1024


class Refused(Exception):
    """It was not done; the text says why."""


class NoAnswer(Exception):
    """Nobody answered. Whether it was recorded is not known: ask again with the same ids."""


class Client:
    """Asks whoever owns a saga's partition, and asks again until it is answered."""

    def __init__(self, url):
        self.parameters = pika.URLParameters(url)
        self.parameters.heartbeat = 5
        self.queue = f"answers.{uuid.uuid4().hex}"
        self.sent = 0
        self.connection = self.channel = self.partitions = None

    def start(self, saga, definition, value, within=30):
        """Returns when the start is durable. The same start twice is one start."""
        return self.ask({"start": {"saga": saga, "definition": definition, "input": value}}, saga, within)

    def signal(self, saga, signal, identity, payload, within=30):
        """Returns when the signal is durable. One identity is one signal."""
        named = {"saga": saga, "signal": signal, "id": identity, "payload": payload}
        return self.ask({"signal": named}, saga, within)

    def end(self, saga, within=30):
        """Waits until the saga has ended, and returns where it stands then."""
        deadline = time.monotonic() + within
        while True:
            left = deadline - time.monotonic()
            standing = self.ask({"end": {"saga": saga}}, saga, left)["standing"]
            if standing["status"] in ("completed", "compensated", "partly_compensated"):
                return standing

    def ask(self, request, saga, within):
        deadline = time.monotonic() + within
        if self.partitions is None:
            self.partitions = self.exchange(0, {"who": {}}, deadline)["owner"]["partitions"]
        return self.exchange(partition(saga, self.partitions), request, deadline)

    def exchange(self, to, request, deadline):
        body = json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode()
        self.sent += 1
        identity = derived_id(self.queue, str(self.sent).encode())
        while time.monotonic() < deadline:
            try:
                self.connect()
                self.publish(f"inbox.{to}", identity, body)
                answer = self.answer(identity, min(deadline, time.monotonic() + ANSWERED_WITHIN))
                if answer is not None:
                    return answer
            except (UnroutableError, NackError) as error:
                logging.warning("inbox.%s: %r", to, error)
                time.sleep(AGAIN)
            except (AMQPError, OSError) as error:
                logging.warning("the connection was lost: %r", error)
                self.leave()
                time.sleep(AGAIN)
        raise NoAnswer(f"nobody drives partition {to}, or the broker is away")

    def publish(self, inbox, identity, body):
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=2,
            type="control",
            message_id=identity,
            reply_to=self.queue,
            headers={"sagalog-version": VERSION, "sha-256": hashlib.sha256(body).hexdigest()},
        )
        self.channel.basic_publish("", inbox, body, properties, mandatory=True)

    def answer(self, identity, deadline):
        """What was answered to this message; None if nobody did in time."""
        while time.monotonic() < deadline:
            method, properties, body = self.channel.basic_get(self.queue, auto_ack=True)
            if method is None:
                self.connection.sleep(0.01)
            elif properties.correlation_id == identity:
                answer = json.loads(body)
                if "refused" in answer:
                    raise Refused(answer["refused"]["message"])
                return answer
        return None

    def connect(self):
        if self.connection is not None and self.connection.is_open:
            return
        self.connection = pika.BlockingConnection(self.parameters)
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        arguments = {
            "x-queue-type": "classic",
            "x-max-length": ANSWERS_MAX,
            "x-overflow": "reject-publish",
            "x-expires": 600_000,
        }
        self.channel.queue_declare(self.queue, durable=True, arguments=arguments)

    def leave(self):
        if self.connection is not None:
            close(self.connection)
            self.connection = None


def partition(saga, partitions):
    """The partition that a saga is in."""
    return int.from_bytes(hashlib.sha256(saga.encode()).digest()[:8], "big") % partitions


def main():
    logging.basicConfig(format="client: %(message)s", level=logging.WARNING)
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    url, saga, definition, value = sys.argv[1:]
    client = Client(url)
    client.start(saga, definition, json.loads(value))
    print(json.dumps(client.end(saga), separators=(",", ":")))
    client.leave()


if __name__ == "__main__":
    main()
