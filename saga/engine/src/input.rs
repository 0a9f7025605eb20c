//! What one saga can be told, and the identity of each input.

use alloc::{boxed::Box, sync::Arc};

use sagalog_model::{
    AttemptNumber, Direction, NodeIndex, Numbered, Outcome, Payload, Reply,
    log::{Digest, InputId, Time},
};
use sagalog_projections::Timer;
use sha2::{Digest as _, Sha256};

/// Something a saga is told after its start.
#[derive(Clone, Debug, PartialEq)]
pub enum SagaInput {
    /// A participant answered.
    Reply(Reply),
    /// A deadline has come.
    TimerFired {
        /// Which.
        timer: Timer,
        /// What kept an attempt from its answer, if anything did.
        meanwhile: Meanwhile,
    },
    /// The command of an attempt waited to be admitted to its participant for long, and leaves now.
    Admitted {
        /// The step's node.
        node: NodeIndex,
        /// What is asked.
        direction: Direction,
        /// Which attempt.
        attempt: AttemptNumber,
    },
    /// Somebody sent a signal.
    Signal {
        /// Its name.
        signal: Arc<str>,
        /// The sender's id for it.
        id: Arc<str>,
        /// Until when it may come again, if its sender says so.
        until: Option<Time>,
        /// What it carries.
        payload: Payload,
    },
    /// Somebody sent a signal that it numbers.
    Numbered(Numbered),
    /// A person wants something.
    Request(Request),
    /// A person has decided about this while its saga could not be driven: it is held, and what was decided
    /// follows.
    Hold(Box<Self>),
}

/// What kept an attempt from its answer while its time passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meanwhile {
    /// Nothing: its participant was asked.
    Asked,
    /// Nobody owned the partition.
    Unowned,
    /// Its command waited to be admitted.
    Waiting,
}

/// What a person can want of a saga. `id` makes it safe to send twice; `by` says who it is; `until`,
/// if it is there, until when it may come again.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The caller's id for it.
    pub id: Arc<str>,
    /// Who asks.
    pub by: Arc<str>,
    /// Until when it may come again, if its sender says so.
    pub until: Option<Time>,
    /// What.
    pub wish: Wish,
}

/// The wishes.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Undo the saga.
    Cancel {
        /// Why.
        reason: Arc<str>,
    },
    /// Undo the saga, as its operator decides: as a cancel, and a paused saga goes back at once.
    Compensate {
        /// Why.
        reason: Arc<str>,
    },
    /// Have the saga stand still.
    Pause {
        /// Why.
        reason: Arc<str>,
    },
    /// Have a paused saga go on.
    Resume,
    /// Set the saga's deadline.
    SetDeadline {
        /// When it turns back by itself; none for no deadline.
        deadline: Option<Time>,
        /// Why.
        reason: Arc<str>,
    },
    /// Try a parked node again.
    Retry {
        /// The node.
        node: Arc<str>,
        /// Why, if that was said.
        reason: Option<Arc<str>>,
    },
    /// Take a parked node's work as done by hand.
    Resolve {
        /// The node.
        node: Arc<str>,
        /// What it gives.
        output: Payload,
    },
    /// Process the first held input, and those behind it.
    Release {
        /// Its number.
        number: u64,
        /// What it is to carry instead of what it came with.
        content: Option<Payload>,
    },
    /// Give a held input up.
    Drop {
        /// Its number.
        number: u64,
        /// Why.
        reason: Arc<str>,
    },
    /// Give a parked node's work up.
    Skip {
        /// The node.
        node: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
}

/// The identity of a start's content: what tells the same start twice from another one with its id.
pub fn start_identity(definition: &str, input: &Payload) -> Identity {
    let mut identity = Builder::new("start");
    identity.content(definition.as_bytes());
    identity.content(input.as_str().as_bytes());
    identity.finish()
}

/// An input's id, and the digest of its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The same for the same input delivered twice.
    pub id: InputId,
    /// Differs if the content does.
    pub digest: Digest,
}

impl SagaInput {
    /// The input's id, and the digest of its content.
    pub fn identity(&self) -> Identity {
        match self {
            Self::Reply(reply) => reply_identity(reply),
            Self::TimerFired { timer, meanwhile } => {
                let mut identity = Builder::new("timer");
                timer_key(&mut identity, *timer);
                identity.content(&[*meanwhile as u8]);
                identity.finish()
            }
            Self::Admitted {
                node,
                direction,
                attempt,
            } => {
                let mut identity = Builder::new("admitted");
                let (node, direction, attempt) = (*node, *direction, *attempt);
                let attempt = Timer::Attempt {
                    node,
                    direction,
                    attempt,
                };
                timer_key(&mut identity, attempt);
                identity.finish()
            }
            Self::Signal {
                signal,
                id,
                until,
                payload,
            } => {
                let mut identity = Builder::new("signal");
                identity.key(id.as_bytes());
                identity.content(signal.as_bytes());
                identity.content(payload.as_str().as_bytes());
                identity.time(*until);
                identity.finish()
            }
            Self::Numbered(numbered) => {
                let mut identity = Builder::new("numbered");
                identity.key(numbered.producer.as_bytes());
                identity.key(&numbered.number.to_be_bytes());
                identity.content(numbered.signal.as_bytes());
                identity.content(numbered.payload.as_str().as_bytes());
                identity.finish()
            }
            Self::Request(request) => request_identity(request),
            Self::Hold(input) => {
                let Identity { id, digest } = input.identity();
                let mut identity = Builder::new("hold");
                identity.key(&id.0.to_be_bytes());
                identity.content(&digest.0);
                identity.finish()
            }
        }
    }
}

fn reply_identity(reply: &Reply) -> Identity {
    let mut identity = Builder::new("reply");
    identity.key(reply.node.as_bytes());
    identity.key(reply.direction.as_str().as_bytes());
    identity.key(&reply.attempt.0.to_be_bytes());
    match &reply.outcome {
        Outcome::Succeeded(output) => {
            identity.key(b"succeeded");
            identity.content(output.as_str().as_bytes());
        }
        Outcome::Failed { class, reason } => {
            identity.key(b"failed");
            identity.content(&[*class as u8]);
            identity.content(reason.as_bytes());
        }
        Outcome::Unknown { reason } => {
            identity.key(b"unknown");
            identity.content(reason.as_bytes());
        }
        Outcome::NotDone => identity.key(b"not-done"),
        Outcome::Alive { progress } => {
            identity.key(b"alive");
            identity.content(progress.as_bytes());
        }
    }
    identity.finish()
}

fn request_identity(request: &Request) -> Identity {
    let mut identity = Builder::new("request");
    identity.key(request.id.as_bytes());
    identity.content(request.by.as_bytes());
    identity.time(request.until);
    match &request.wish {
        Wish::Cancel { reason } => {
            identity.content(b"cancel");
            identity.content(reason.as_bytes());
        }
        Wish::Compensate { reason } => {
            identity.content(b"compensate");
            identity.content(reason.as_bytes());
        }
        Wish::Pause { reason } => {
            identity.content(b"pause");
            identity.content(reason.as_bytes());
        }
        Wish::Resume => identity.content(b"resume"),
        Wish::SetDeadline { deadline, reason } => {
            identity.content(b"set-deadline");
            identity.content(reason.as_bytes());
            identity.time(*deadline);
        }
        Wish::Retry { node, reason } => {
            identity.content(b"retry");
            identity.content(node.as_bytes());
            if let Some(reason) = reason {
                identity.content(reason.as_bytes());
            }
        }
        Wish::Resolve { node, output } => {
            identity.content(b"resolve");
            identity.content(node.as_bytes());
            identity.content(output.as_str().as_bytes());
        }
        Wish::Release { number, content } => {
            identity.content(b"release");
            identity.content(&number.to_be_bytes());
            if let Some(content) = content {
                identity.content(content.as_str().as_bytes());
            }
        }
        Wish::Drop { number, reason } => {
            identity.content(b"drop");
            identity.content(&number.to_be_bytes());
            identity.content(reason.as_bytes());
        }
        Wish::Skip { node, reason } => {
            identity.content(b"skip");
            identity.content(node.as_bytes());
            identity.content(reason.as_bytes());
        }
    }
    identity.finish()
}

fn timer_key(identity: &mut Builder, timer: Timer) {
    let mut node = |kind: &[u8], node: NodeIndex| {
        identity.key(kind);
        identity.key(&node.0.to_be_bytes());
    };
    let direction = |direction: Direction| [direction as u8];
    match timer {
        Timer::Attempt {
            node: at,
            direction: of,
            attempt,
        } => {
            node(b"attempt", at);
            identity.key(&direction(of));
            identity.key(&attempt.0.to_be_bytes());
        }
        Timer::Retry {
            node: at,
            direction: of,
        } => {
            node(b"retry", at);
            identity.key(&direction(of));
        }
        Timer::Gap { producer } => {
            identity.key(b"gap");
            identity.key(&producer.0.to_be_bytes());
        }
        Timer::Sleep { node: at } => node(b"sleep", at),
        Timer::Wait { node: at } => node(b"wait", at),
        Timer::StepDeadline { node: at } => node(b"step-deadline", at),
        Timer::SagaDeadline => identity.key(b"saga-deadline"),
    }
}

/// Hashes length-framed parts: those of the key into the id, all of them into the digest. The parts
/// of the key come first, so what both begin with is hashed once.
struct Builder {
    key: Sha256,
    all: Option<Sha256>,
}

impl Builder {
    fn new(kind: &str) -> Self {
        let mut key = Sha256::new();
        framed(&mut key, kind.as_bytes());
        Self { key, all: None }
    }

    fn key(&mut self, part: &[u8]) {
        assert!(self.all.is_none(), "the key comes before the content");
        framed(&mut self.key, part);
    }

    fn content(&mut self, part: &[u8]) {
        framed(self.all.get_or_insert_with(|| self.key.clone()), part);
    }

    /// Part of the content, if there is one.
    fn time(&mut self, time: Option<Time>) {
        if let Some(time) = time {
            self.content(&time.as_micros().to_be_bytes());
        }
    }

    fn finish(self) -> Identity {
        let all = self.all.unwrap_or_else(|| self.key.clone());
        let key: [u8; 32] = self.key.finalize().into();
        let (head, _) = key
            .split_first_chunk()
            .expect("a SHA-256 has more than sixteen bytes");
        Identity {
            id: InputId(u128::from_be_bytes(*head)),
            digest: Digest(all.finalize().into()),
        }
    }
}

fn framed(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}
