//! One queue, shared by its publishers and consumers.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use crate::{
    consumer::ConsumerError,
    message::{DeadLetter, Details, Message, WhyDead},
    queue::Queue,
    transport::{Undelivered, WhyUndelivered},
};

/// One queue, shared by its publishers and consumers.
pub(super) struct SharedQueue {
    name: Queue,
    capacity: usize,
    inner: Mutex<Inner>,
    closed: AtomicBool,
    arrived: Notify,
    left: Notify,
    ended: Notify,
}

struct Inner {
    /// In order of `number`.
    waiting: VecDeque<Waiting>,
    next_number: u64,
    next_tag: u64,
    /// Somebody waits for room.
    room_wanted: bool,
    dropped: u64,
}

/// A message and what the queue knows of it.
pub(super) struct Waiting {
    /// Its place in the order of publishing.
    pub(super) number: u64,
    pub(super) redelivered: bool,
    pub(super) message: Arc<Message>,
}

impl SharedQueue {
    pub(super) fn new(name: Queue, capacity: usize) -> Self {
        Self {
            name,
            capacity,
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                next_number: 0,
                next_tag: 0,
                room_wanted: false,
                dropped: 0,
            }),
            closed: AtomicBool::new(false),
            arrived: Notify::new(),
            left: Notify::new(),
            ended: Notify::new(),
        }
    }

    pub(super) fn name(&self) -> &Queue {
        &self.name
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Takes messages as long as there is room, and says which were not taken.
    pub(super) fn push(
        &self,
        messages: impl Iterator<Item = Message>,
        undelivered: &mut Vec<Undelivered>,
    ) {
        let mut inner = self.lock();
        for message in messages {
            if self.is_closed() {
                let why = WhyUndelivered::Closed;
                undelivered.push(Undelivered { message, why });
            } else if inner.waiting.len() >= self.capacity {
                let why = WhyUndelivered::Full;
                undelivered.push(Undelivered { message, why });
            } else {
                inner.add(message);
            }
        }
        drop(inner);
        self.arrived.notify_one();
    }

    /// Takes a dead letter; the oldest gives way.
    pub(super) fn bury(&self, message: Arc<Message>, from: &Queue, reason: &str) {
        let mut message = Arc::unwrap_or_clone(message);
        let details: &mut Details = message.details.get_or_insert_default();
        details.dead_letter = Some(DeadLetter::new(from.clone(), WhyDead::Refused, reason));
        let mut inner = self.lock();
        if inner.waiting.len() >= self.capacity {
            inner.waiting.pop_front();
            inner.dropped += 1;
        }
        inner.add(message);
        drop(inner);
        self.arrived.notify_one();
    }

    /// Puts back what was handed out, each in its old place, beyond the capacity if need be.
    pub(super) fn put_back(&self, mut returned: Vec<Waiting>) {
        // From the last to the first each one's place is at the front, where inserting is cheap.
        returned.sort_unstable_by_key(|waiting| Reverse(waiting.number));
        let mut inner = self.lock();
        for mut waiting in returned {
            waiting.redelivered = true;
            let place = inner
                .waiting
                .partition_point(|other| other.number < waiting.number);
            inner.waiting.insert(place, waiting);
        }
        drop(inner);
        self.arrived.notify_one();
    }

    /// Waits until something is there and hands out at most `max`, with the number of each tag.
    pub(super) async fn take(
        &self,
        max: usize,
        mut hand_out: impl FnMut(u64, Waiting),
    ) -> Result<(), ConsumerError> {
        while !self.take_now(max, &mut hand_out)? {
            let mut arrived = pin!(self.arrived.notified());
            arrived.as_mut().enable();
            // What arrived before `enable` did not wake us.
            if self.take_now(max, &mut hand_out)? {
                break;
            }
            arrived.await;
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> Result<bool, ConsumerError> {
        self.check_open()?;
        Ok(self.lock().waiting.is_empty())
    }

    pub(super) fn check_open(&self) -> Result<(), ConsumerError> {
        if self.is_closed() {
            Err(ConsumerError::Closed)
        } else {
            Ok(())
        }
    }

    pub(super) async fn room(&self) {
        let mut left = pin!(self.left.notified());
        left.as_mut().enable();
        {
            let mut inner = self.lock();
            if self.is_closed() || inner.waiting.len() < self.capacity {
                return;
            }
            inner.room_wanted = true;
        }
        left.await;
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.arrived.notify_waiters();
        self.left.notify_waiters();
        self.ended.notify_waiters();
    }

    /// Waits until the transport is closed.
    pub(super) async fn ended(&self) {
        let mut ended = pin!(self.ended.notified());
        ended.as_mut().enable();
        if !self.is_closed() {
            ended.await;
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn take_now(
        &self,
        max: usize,
        hand_out: &mut impl FnMut(u64, Waiting),
    ) -> Result<bool, ConsumerError> {
        self.check_open()?;
        let mut inner = self.lock();
        let count = inner.waiting.len().min(max);
        let first_tag = inner.next_tag;
        inner.next_tag += count as u64;
        for (waiting, tag) in inner.waiting.drain(..count).zip(first_tag..) {
            hand_out(tag, waiting);
        }
        let rest = !inner.waiting.is_empty();
        let room = inner.room_wanted && inner.waiting.len() < self.capacity;
        inner.room_wanted &= !room;
        drop(inner);
        if room {
            self.left.notify_waiters();
        }
        // One arrival wakes one consumer, so whoever leaves something wakes the next.
        if rest && count > 0 {
            self.arrived.notify_one();
        }
        Ok(count > 0)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock leaves it half changed, so a poisoned one is still good.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, message: Message) {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.push_back(Waiting {
            number,
            redelivered: false,
            message: Arc::new(message),
        });
    }
}
