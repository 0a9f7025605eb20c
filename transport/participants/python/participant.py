"""A participant of sagas over RabbitMQ, with pika and one SQLite file. It follows docs/protocol.md.

What a service brings is a function for each step and direction. Each gets a cursor, does its work
in the transaction of that cursor, and returns the output; the outcome is recorded in the same
transaction, so that the effect and the memory of it are there together or not at all.

Commands are served one after another, which is more than "one call per action key". Several
processes may share the file: the transaction is begun with its lock, so that they take turns.
"""

import hashlib
import json
import logging
import os
import sqlite3
import sys
import time
import uuid

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, NackError, UnroutableError

from envelope import AGAIN, CROCKFORD, VERSION, close, derived_id

BODY_MAX_BYTES = 1024 * 1024
OUTPUT_MAX_BYTES = 256 * 1024

#: How often an instance says that it is there, in seconds.
EVERY = 5

#: How many commands the broker hands over before one of them is acknowledged.
PREFETCH = 64

SCHEMA = """
create table if not exists success (key text primary key, output text not null);
create table if not exists failure (
  key text, attempt integer, class text not null, reason text not null, primary key (key, attempt)
);
create table if not exists tombstone (action_key text primary key);
"""


class Transient(Exception):
    """Nothing took effect; asking again can help."""


class Permanent(Exception):
    """Nothing took effect; asking again cannot help."""


class BadMessage(Exception):
    """Nobody can use this message; the text says why."""


def failed(kind, reason):
    return {"failed": {"class": kind, "reason": reason}}


def unknown(reason):
    return {"unknown": {"reason": reason}}


class Steps:
    """The work of a participant and its memory, without any broker."""

    def __init__(self, file, schema=""):
        self.file = sqlite3.connect(file, isolation_level=None, timeout=30)
        self.file.executescript("pragma journal_mode = wal; pragma synchronous = full;" + SCHEMA + schema)
        self.actions = {}
        self.compensations = {}
        self.alternatives = {}

    def action(self, step, work):
        """`work(cursor, input)` does the step and returns its output."""
        self.actions[step] = work

    def compensation(self, step, work):
        """`work(cursor, input, output)` undoes the step."""
        self.compensations[step] = work

    def alternative(self, step, work):
        """`work(cursor, input)` makes up for a compensation that failed for good."""
        self.alternatives[step] = work

    def answer(self, command):
        """The outcome of a command; None if it must not be answered."""
        if now() >= command["deadline"]:
            return None
        cursor = self.file.cursor()
        try:
            cursor.execute("begin immediate")
            outcome = self.outcome(cursor, command)
            if now() >= command["deadline"]:
                raise TimeoutError("it was not done in time")
            cursor.execute("commit")
            return outcome
        except Exception as error:  # Also a commit whose end nobody saw: who cannot vouch says so.
            logging.exception("%s of %s", command["direction"], command["action_key"])
            if self.file.in_transaction:
                cursor.execute("rollback")
            return unknown(f"{type(error).__name__}: {error}")

    def outcome(self, cursor, command):
        key, attempt = command["key"], command["attempt"]
        done = one(cursor, "select output from success where key = ?", key)
        if command["direction"] == "probe":
            return {"succeeded": json.loads(done[0])} if done else "not_done"
        if done:
            return {"succeeded": json.loads(done[0])}
        before = one(cursor, "select class, reason from failure where key = ? and attempt = ?", key, attempt)
        if before:
            return failed(*before)
        cursor.execute("savepoint work")
        try:
            output = json.dumps(self.work(cursor, command), separators=(",", ":"), ensure_ascii=False)
            if len(output.encode()) > OUTPUT_MAX_BYTES:
                raise ValueError(f"the output has more than {OUTPUT_MAX_BYTES} bytes")
        except (Transient, Permanent) as why:
            cursor.execute("rollback to work")
            kind = "transient" if isinstance(why, Transient) else "permanent"
            cursor.execute("insert into failure values (?, ?, ?, ?)", (key, attempt, kind, str(why)))
            return failed(kind, str(why))
        cursor.execute("insert into success values (?, ?)", (key, output))
        return {"succeeded": json.loads(output)}

    def work(self, cursor, command):
        step, of, action_key = command["step"], command["direction"], command["action_key"]
        steps = {"action": self.actions, "compensation": self.compensations, "alternative": self.alternatives}
        if step not in steps[of]:
            raise Permanent(f"there is no {of} of {step} here")
        work = steps[of][step]
        if of == "action":
            if one(cursor, "select 1 from tombstone where action_key = ?", action_key):
                raise Permanent("the saga has turned back: this must not happen any more")
            return work(cursor, command["input"])
        if of == "alternative":
            work(cursor, command["input"])
            return None
        done = one(cursor, "select output from success where key = ?", action_key)
        if done:
            # What is recorded here is what happened, whatever the command knows of it.
            work(cursor, command["input"], json.loads(done[0]))
        else:
            cursor.execute("insert or ignore into tombstone values (?)", (action_key,))
        return None


def one(cursor, query, *values):
    return cursor.execute(query, values).fetchone()


def now():
    return time.time_ns() // 1000


class Participant:
    """Serves the steps of one participant at one broker, for ever."""

    def __init__(self, url, name, steps):
        self.parameters = pika.URLParameters(url)
        self.parameters.heartbeat = 5
        self.name = name
        self.instance = f"python-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.announced = (0, float("-inf"))
        self.queue = f"cmd.{name}"
        self.steps = steps

    def serve(self):
        while True:
            try:
                self.serve_connected()
            except ChannelClosedByBroker as error:
                # 404: the queue is not there yet. The runtime declares it.
                logging.warning("%s: %s", self.queue, error)
            except (AMQPError, OSError) as error:
                # What was not acknowledged comes again and is answered from memory.
                logging.warning("the connection was lost: %r", error)
            time.sleep(AGAIN)

    def serve_connected(self):
        # A broker that is short of memory blocks those that publish; acknowledging must go on.
        publishing = pika.BlockingConnection(self.parameters)
        try:
            consuming = pika.BlockingConnection(self.parameters)
            try:
                self.serve_channels(publishing, consuming)
            finally:
                close(consuming)
        finally:
            close(publishing)

    def serve_channels(self, publishing, consuming):
        out, commands = publishing.channel(), consuming.channel()
        out.confirm_delivery()
        commands.basic_qos(prefetch_count=PREFETCH)
        for method, properties, body in commands.consume(self.queue, inactivity_timeout=1):
            if method is not None:
                self.take(out, properties, body)
                # Its reply was taken, or it needs none.
                commands.basic_ack(method.delivery_tag)
            self.announce(out)
            # The other connection has its signs of life to give.
            publishing.process_data_events(0)

    def announce(self, out):
        """Says that this instance is there, and what it can do. Nobody need hear it."""
        number, last = self.announced
        if time.monotonic() < last + EVERY:
            return
        self.announced = (number + 1, time.monotonic())
        said = {
            "participant": self.name,
            "instance": self.instance,
            "capabilities": {step: "" for step in [*self.steps.actions, *self.steps.alternatives]},
            "concurrency": 1,
            "every": EVERY * 1_000_000,
        }
        body = json.dumps({"participants": {"announce": said}}).encode()
        properties = pika.BasicProperties(
            content_type="application/json",
            type="control",
            message_id=derived_id(f"{self.instance} {number}", body),
            # There is no such queue: the answer is not waited for.
            reply_to=f"answers.{self.instance}",
            headers={"sagalog-version": VERSION, "sha-256": hashlib.sha256(body).hexdigest()},
        )
        try:
            out.basic_publish("", "inbox.0", body, properties, mandatory=True)
        except (UnroutableError, NackError) as error:
            logging.warning("nobody hears that this is there: %r", error)

    def take(self, out, properties, body):
        try:
            if properties.type == "control":
                return  # A hint that a saga turns back. Nothing here goes on beyond its reply.
            command = read(properties, body)
            outcome = self.steps.answer(command)
            if outcome is not None:
                self.reply(out, properties, command, outcome)
        except BadMessage as why:
            self.bury(out, properties, body, str(why))

    def reply(self, out, request, command, outcome):
        copied = {field: command[field] for field in ("saga", "node", "direction", "attempt")}
        text = json.dumps({**copied, "outcome": outcome}, separators=(",", ":"), ensure_ascii=False)
        body = text.encode()
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=2,
            type="response",
            message_id=derived_id(request.message_id, body),
            correlation_id=request.message_id,
            reply_to=self.queue,
            headers={
                "sagalog-version": VERSION,
                "sha-256": hashlib.sha256(body).hexdigest(),
                # The trace of the command is that of its answer.
                **{name: value for name, value in (request.headers or {}).items() if name in ("traceparent", "tracestate")},
            },
        )
        try:
            publish(out, request.reply_to, properties, body)
        except UnroutableError:
            raise BadMessage(f"its reply was not taken: there is no queue {request.reply_to}") from None

    def bury(self, out, properties, body, reason):
        logging.error("a message goes to the dead letters: %s", reason)
        properties.headers = {**(properties.headers or {}), "dead-queue": self.queue, "dead-reason": reason}
        properties.delivery_mode = 2
        publish(out, "dead", properties, body)


def publish(out, queue, properties, body):
    """Returns when the broker has it, however long that takes."""
    while True:
        try:
            return out.basic_publish("", queue, body, properties, mandatory=True)
        except NackError:
            # The queue is full.
            out.connection.sleep(AGAIN)


def read(properties, body):
    """The command in a message; BadMessage if the message breaks the envelope or is no command."""
    headers = properties.headers or {}
    if len(body) > BODY_MAX_BYTES:
        raise BadMessage(f"it has more than {BODY_MAX_BYTES} bytes")
    wanted = [
        ("content_type", properties.content_type, "application/json"),
        ("type", properties.type, "request"),
        ("sagalog-version", headers.get("sagalog-version"), VERSION),
        ("sha-256", str(headers.get("sha-256")).lower(), hashlib.sha256(body).hexdigest()),
    ]
    for name, found, right in wanted:
        if found != right:
            raise BadMessage(f"its {name} is {found!r}, wanted is {right!r}")
    identity = properties.message_id or ""
    if len(identity) != 26 or identity[0] > "7" or not set(identity) <= set(CROCKFORD):
        raise BadMessage(f"its message_id is {identity!r}, wanted is a ULID")
    if not properties.reply_to:
        raise BadMessage("it has no reply_to")
    try:
        command = json.loads(body)
    except ValueError as error:
        raise BadMessage(f"it is no JSON: {error}") from None
    texts = ("saga", "node", "step", "key", "action_key")
    directions = ("action", "probe", "compensation", "alternative")
    good = (
        isinstance(command, dict)
        and all(isinstance(command.get(field), str) for field in texts)
        and all(type(command.get(field)) is int for field in ("attempt", "deadline"))
        and command.get("direction") in directions
        and "input" in command
    )
    if not good:
        raise BadMessage("it is no command")
    return command


def run(name, schema, bring):
    """The program of a participant, whose arguments are an amqp URL and a SQLite file: `bring(steps)` adds
    its steps, and `schema` is what they need in the file."""
    logging.basicConfig(format=f"{name}: %(message)s", level=logging.WARNING)
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    url, file = sys.argv[1:]
    steps = Steps(file, schema)
    bring(steps)
    Participant(url, name, steps).serve()
