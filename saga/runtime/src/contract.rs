//! Examines a participant: whether it keeps its contract, the one of `docs/protocol.md`, as far as
//! that shows from outside. It may be written in any language; all it needs is a transport.
//!
//! The examination asks for the step of a [`Sample`] again and again, in sagas of its own whose ids
//! begin with the sample's `run`. **It has effects**: what it does not undo is one action for each of
//! the rules [`Rule::Repeats`], [`Rule::AtOnce`] and [`Rule::Probe`]. Replies come to the queue
//! `inbox.contract`, which no runtime owns, so one examination runs at a time.

use std::{fmt, time::Duration};

use sagalog_model::{
    AttemptNumber, Command, Direction, FailureClass, IdempotencyKey, Outcome, Payload, Reply,
    SagaId,
    graph::participant,
    log::{BadName, Time},
};
use sagalog_transport::{
    BadQueueName, ConsumeError, Consumer, ConsumerError, DeclareError, Kind, Message, MessageId,
    PublishError, Queue, Transport,
};
use tokio::time::timeout;

use crate::{
    clock::{Clock, SystemClock},
    driver::command_id,
    worker::COMMANDS_MAX,
};

/// How long a participant has to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the replies come to, and how many may wait there.
const INBOX: &str = "inbox.contract";
const INBOX_MAX: usize = 1024;

/// How often [`Rule::AtOnce`] asks.
const AT_ONCE: u32 = 8;

/// The node of the sagas that are made up here.
const NODE: &str = "sample";

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The step, which must have a compensation.
    pub step: String,
    /// An input with which its action succeeds. Outputs should differ from effect to effect, such as by a
    /// number that is drawn for each, so that a second effect shows.
    pub input: Payload,
    /// Whether the step can be probed.
    pub probed: bool,
    /// Begins the ids of the sagas. Another one for each examination: participants remember.
    pub run: String,
}

/// What is examined of the contract. Shown as the sentence that should hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// Rules 1 and 2.
    Repeats,
    /// Rules 1 and 7.
    AtOnce,
    /// Rule 9.
    Probe,
    /// Rules 1 and 4.
    Compensation,
    /// Rule 3.
    Tombstone,
    /// Rule 5.
    Deadline,
    /// Who cannot use a message goes on with the next.
    Strange,
}

impl Rule {
    /// All of them, in the order of the examination.
    pub const ALL: [Self; 7] = [
        Self::Repeats,
        Self::AtOnce,
        Self::Probe,
        Self::Compensation,
        Self::Tombstone,
        Self::Deadline,
        Self::Strange,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repeats => "an action that comes again is answered as before",
            Self::AtOnce => "an action that is asked several times at once takes effect once",
            Self::Probe => "a probe tells what happened and changes nothing",
            Self::Compensation => "a compensation works without the output, and again",
            Self::Tombstone => "an action whose compensation came first is refused for good",
            Self::Deadline => "an action that comes after its deadline is not done or answered",
            Self::Strange => "a message that is no command stops nobody",
        })
    }
}

/// Whether a rule holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// What happened instead, if it does not hold.
    pub broken: Option<String>,
}

/// Why a participant cannot be examined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExamineError {
    /// The run cannot begin the ids of sagas.
    #[error("the run cannot begin the ids of sagas")]
    Run(#[from] BadName),
    /// The step's participant cannot name a queue.
    #[error("the step's participant cannot name a queue")]
    Participant(#[from] BadQueueName),
    /// The queues cannot be declared.
    #[error("the queues cannot be declared")]
    Declare(#[from] DeclareError),
    /// The replies cannot be received.
    #[error("the replies cannot be received")]
    Consume(#[from] ConsumeError),
    /// The connection was lost in the middle.
    #[error("the replies cannot be received any more")]
    Lost(#[from] ConsumerError),
    /// Commands cannot be published.
    #[error("commands cannot be published")]
    Publish(#[from] PublishError),
}

/// Examines the participant that a step belongs to, which must be running. What cannot be examined
/// without probes is left out if the step has none.
///
/// A participant that does not answer within 30 seconds breaks the rule that it was asked for.
///
/// # Errors
/// [`ExamineError`], if the examination itself cannot go on.
pub async fn examine(
    transport: &dyn Transport,
    sample: &Sample,
) -> Result<Vec<Finding>, ExamineError> {
    let mut examiner = Examiner::new(transport, sample).await?;
    let mut findings = Vec::new();
    for rule in Rule::ALL {
        if rule == Rule::Probe && !sample.probed {
            continue;
        }
        let broken = match examiner.examine(rule).await {
            Ok(()) => None,
            Err(Trouble::Broken(what)) => Some(what),
            Err(Trouble::Stopped(error)) => return Err(error),
        };
        findings.push(Finding { rule, broken });
    }
    Ok(findings)
}

enum Trouble {
    Broken(String),
    Stopped(ExamineError),
}

impl<E: Into<ExamineError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Stopped(error.into())
    }
}

struct Examiner<'a> {
    transport: &'a dyn Transport,
    sample: &'a Sample,
    commands: Queue,
    inbox: Queue,
    consumer: Box<dyn Consumer>,
}

impl<'a> Examiner<'a> {
    async fn new(transport: &'a dyn Transport, sample: &'a Sample) -> Result<Self, ExamineError> {
        SagaId::new(sample.run.clone())?;
        let commands = Queue::commands(participant(&sample.step))?;
        let inbox = Queue::new(INBOX)?;
        transport.declare(&inbox, INBOX_MAX).await?;
        // As the runtime does: the participant may not have come yet.
        transport.declare(&commands, COMMANDS_MAX).await?;
        Ok(Self {
            transport,
            sample,
            commands,
            consumer: transport.consume(&inbox, INBOX_MAX).await?,
            inbox,
        })
    }

    async fn examine(&mut self, rule: Rule) -> Result<(), Trouble> {
        let saga = Saga::of(self.sample, rule)?;
        match rule {
            Rule::Repeats => {
                let output = self.done(&saga).await?;
                for attempt in [1, 2] {
                    let again = self.ask(saga.action(attempt)).await?;
                    expect("the action again", &again, &output)?;
                }
            }
            Rule::AtOnce => {
                let commands = (1..=AT_ONCE).map(|attempt| saga.action(attempt));
                let answers = self.ask_all(commands.collect()).await?;
                for answer in &answers {
                    expect("the action, asked at once", answer, succeeded(answer)?)?;
                    expect("the action, asked at once", answer, &answers[0])?;
                }
            }
            Rule::Probe => {
                let before = self.ask(saga.probe(1)).await?;
                expect("the probe before the action", &before, &Outcome::NotDone)?;
                let output = self.done(&saga).await?;
                let after = self.ask(saga.probe(2)).await?;
                expect("the probe after the action", &after, &output)?;
            }
            Rule::Compensation => {
                self.done(&saga).await?;
                for attempt in [1, 1, 2] {
                    self.undone(&saga, attempt).await?;
                }
            }
            Rule::Tombstone => {
                self.undone(&saga, 1).await?;
                let refused = self.ask(saga.action(1)).await?;
                let permanent = matches!(
                    refused,
                    Outcome::Failed {
                        class: FailureClass::Permanent,
                        ..
                    }
                );
                if !permanent {
                    return Err(instead("the action behind its compensation", &refused));
                }
            }
            Rule::Deadline => self.examine_deadline(&saga).await?,
            Rule::Strange => {
                self.publish_strange().await?;
                self.undone(&saga, 1).await?;
            }
        }
        Ok(())
    }

    /// The late one and what follows wait for each other, as they have one key.
    async fn examine_deadline(&mut self, saga: &Saga<'_>) -> Result<(), Trouble> {
        let mut late = saga.action(1);
        late.deadline = Time::from_micros(0);
        self.publish(vec![self.message(&late)]).await?;
        if self.sample.probed {
            let probed = self.ask(saga.probe(1)).await?;
            expect("the probe after it", &probed, &Outcome::NotDone)?;
        }
        self.undone(saga, 1).await
    }

    async fn publish_strange(&self) -> Result<(), Trouble> {
        let id = MessageId(1);
        let (from, to) = (self.inbox.clone(), self.commands.clone());
        let strange = Message::new(id, Kind::Request, from, to, "[\"no command\"]".into());
        self.publish(vec![strange]).await
    }

    /// Asks for the action; its success.
    async fn done(&mut self, saga: &Saga<'_>) -> Result<Outcome, Trouble> {
        let outcome = self.ask(saga.action(1)).await?;
        succeeded(&outcome)?;
        Ok(outcome)
    }

    async fn undone(&mut self, saga: &Saga<'_>, attempt: u32) -> Result<(), Trouble> {
        let outcome = self.ask(saga.compensation(attempt)).await?;
        let null = Outcome::Succeeded(Payload::null());
        expect("the compensation", &outcome, &null)
    }

    async fn ask(&mut self, command: Command) -> Result<Outcome, Trouble> {
        let mut answers = self.ask_all(vec![command]).await?;
        Ok(answers.remove(0))
    }

    /// The answers to commands of one saga, each to another attempt or direction, in their order. What
    /// answers something else that was asked is an error.
    async fn ask_all(&mut self, commands: Vec<Command>) -> Result<Vec<Outcome>, Trouble> {
        let messages: Vec<_> = commands.iter().map(|it| self.message(it)).collect();
        let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
        self.publish(messages).await?;
        let mut answers = vec![None; commands.len()];
        while answers.contains(&None) {
            for (correlation, reply) in self.replies(&commands[0]).await? {
                if reply.saga != commands[0].saga {
                    continue; // To an earlier one, come twice.
                }
                let of = ids.iter().position(|id| Some(*id) == correlation);
                let of = of.filter(|of| is_answer(&reply, &commands[*of]));
                let of = of.ok_or_else(|| {
                    let (direction, attempt) = (reply.direction, reply.attempt);
                    let what =
                        format!("attempt {attempt} of the {direction}, which nobody waits for");
                    instead(&what, &reply.outcome)
                })?;
                answers[of] = Some(reply.outcome);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    async fn replies(
        &mut self,
        asked: &Command,
    ) -> Result<Vec<(Option<MessageId>, Reply)>, Trouble> {
        let mut arrived = Vec::new();
        let receiving = self.consumer.receive(&mut arrived, INBOX_MAX);
        timeout(PATIENCE, receiving).await.map_err(|_| {
            let direction = asked.direction;
            Trouble::Broken(format!("no reply to the {direction} within {PATIENCE:?}"))
        })??;
        let tags: Vec<_> = arrived.iter().map(|delivery| delivery.tag).collect();
        self.consumer.ack(&tags).await?;
        let replies = arrived.iter().map(|delivery| {
            let message = &delivery.message;
            let reply = serde_json::from_str(&message.content);
            let reply = reply.map_err(|error| {
                Trouble::Broken(format!("{} is no reply: {error}", message.content))
            })?;
            if (message.kind, &message.from) != (Kind::Response, &self.commands) {
                let what = format!("the type or sender of its reply is wrong: {message:?}");
                return Err(Trouble::Broken(what));
            }
            Ok((message.correlation, reply))
        });
        replies.collect()
    }

    fn message(&self, command: &Command) -> Message {
        let content = serde_json::to_string(command).expect("a command is plain data");
        let id = command_id(&command.key, command.direction, command.attempt);
        let (from, to) = (self.inbox.clone(), self.commands.clone());
        let mut message = Message::new(id, Kind::Request, from, to, content);
        message.deadline = Some(command.deadline);
        message
    }

    async fn publish(&self, messages: Vec<Message>) -> Result<(), Trouble> {
        Ok(self.transport.publish(messages).await?)
    }
}

/// A saga that is made up for a rule.
struct Saga<'a> {
    id: SagaId,
    sample: &'a Sample,
}

impl<'a> Saga<'a> {
    fn of(sample: &'a Sample, rule: Rule) -> Result<Self, BadName> {
        let id = SagaId::new(format!("{}-{rule:?}", sample.run))?;
        Ok(Self { id, sample })
    }

    fn action(&self, attempt: u32) -> Command {
        self.command(Direction::Action, attempt)
    }

    fn probe(&self, attempt: u32) -> Command {
        self.command(Direction::Probe, attempt)
    }

    /// Without the output.
    fn compensation(&self, attempt: u32) -> Command {
        self.command(Direction::Compensation, attempt)
    }

    fn command(&self, direction: Direction, attempt: u32) -> Command {
        Command {
            saga: self.id.clone(),
            node: NODE.into(),
            step: self.sample.step.as_str().into(),
            direction,
            attempt: AttemptNumber(attempt),
            deadline: SystemClock.now().after(PATIENCE),
            key: IdempotencyKey::of(&self.id, NODE, direction),
            action_key: IdempotencyKey::of(&self.id, NODE, Direction::Action),
            input: self.sample.input.clone(),
            output: None,
            heartbeat: None,
        }
    }
}

fn is_answer(reply: &Reply, command: &Command) -> bool {
    reply.node == command.node
        && reply.direction == command.direction
        && reply.attempt == command.attempt
}

fn succeeded(outcome: &Outcome) -> Result<&Outcome, Trouble> {
    match outcome {
        Outcome::Succeeded(_) => Ok(outcome),
        _ => Err(instead("the action of the sample", outcome)),
    }
}

fn expect(what: &str, found: &Outcome, wanted: &Outcome) -> Result<(), Trouble> {
    if found == wanted {
        return Ok(());
    }
    let what = format!("{what} was answered {found:?}, not {wanted:?}");
    Err(Trouble::Broken(what))
}

fn instead(what: &str, found: &Outcome) -> Trouble {
    Trouble::Broken(format!("{what} was answered {found:?}"))
}
