//! The commands of one participant: which run, which wait, which are answered.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use sagalog_model::{
    Command, Direction, FailureClass, IdempotencyKey, Outcome, Withdrawal, log::Time,
};
use sagalog_transport::{Delivery, Kind, Message, Tag};
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use tracing::{Span, error_span, warn};

use super::{
    calls::{Begun, CancelOnDrop, Ended, begin, carry_on},
    handler::not_found_out,
    link::{Beat, Link},
    memory::Memory,
    outbox::Outbox,
    steps::StepHandlers,
};
use crate::{
    clock::Clock,
    observe::{Called, Watch},
};

/// The commands of one participant, without I/O: deliveries, ends of calls and deadlines come in,
/// replies go out through the [`Outbox`].
pub(super) struct Lane {
    steps: HashMap<Arc<str>, Step>,
    /// The action keys under which a call runs, with the commands that wait for its end.
    keys: HashMap<IdempotencyKey, VecDeque<Job>>,
    calls: HashMap<u64, Call>,
    deadlines: BTreeSet<(Time, u64)>,
    next_call: u64,
    memory: Memory,
    pub(super) outbox: Outbox,
    /// Takes the end of each call that runs; their number is bounded by the prefetch and, for
    /// those that were cancelled and do not end, by the limits of their steps.
    ended: UnboundedSender<Ended>,
    /// Takes the signs of life of attempts; one at a time of each.
    beats: UnboundedSender<Beat>,
    clock: Arc<dyn Clock>,
    watch: Watch,
}

struct Step {
    handlers: StepHandlers,
    running: usize,
    /// Commands beyond the limit.
    waiting: VecDeque<Job>,
}

/// A command taken and not yet answered.
struct Job {
    tag: Tag,
    request: Arc<Message>,
    command: Command,
}

/// A job whose handler runs.
struct Call {
    job: Job,
    task: CancelOnDrop,
    /// When it is cancelled; its heartbeats move it.
    deadline: Time,
    /// Tells the handler that the saga has turned.
    withdrawn: CancellationToken,
    began: Instant,
    /// Its deadline came and Unknown was reported; it may still be in code that does not yield.
    cancelled: bool,
}

/// What is remembered of finished commands, by count and by size.
const MEMORY_KEYS_MAX: usize = 65_536;
const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Lane {
    pub(super) fn new(
        steps: HashMap<Arc<str>, StepHandlers>,
        ended: UnboundedSender<Ended>,
        beats: UnboundedSender<Beat>,
        clock: Arc<dyn Clock>,
        watch: Watch,
    ) -> Self {
        let steps = steps.into_iter().map(|(name, handlers)| {
            let step = Step {
                handlers,
                running: 0,
                waiting: VecDeque::new(),
            };
            (name, step)
        });
        Self {
            steps: steps.collect(),
            keys: HashMap::new(),
            calls: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_call: 0,
            memory: Memory::new(MEMORY_KEYS_MAX, MEMORY_BYTES_MAX),
            outbox: Outbox::default(),
            ended,
            beats,
            clock,
            watch,
        }
    }

    /// Takes a delivery.
    pub(super) fn take(&mut self, delivery: Delivery) {
        let Delivery {
            tag,
            message: request,
            ..
        } = delivery;
        match request.kind {
            Kind::Request => {}
            Kind::Control => return self.take_control(tag, &request.content),
            Kind::Response | Kind::Event => {
                let reason = "not a command: its kind is not request".into();
                return self.outbox.reject(tag, reason);
            }
        }
        match serde_json::from_str(&request.content) {
            Ok(command) => self.offer(Job {
                tag,
                request,
                command,
            }),
            Err(error) => self.outbox.reject(tag, format!("not a command: {error}")),
        }
    }

    /// A hint that a saga has turned. Whatever it is about may have ended, or be elsewhere.
    fn take_control(&mut self, tag: Tag, content: &str) {
        let withdrawal: Withdrawal = match serde_json::from_str(content) {
            Ok(withdrawal) => withdrawal,
            Err(error) => {
                let reason = format!("not a withdrawal: {error}");
                return self.outbox.reject(tag, reason);
            }
        };
        for call in self.calls.values() {
            let command = &call.job.command;
            if command.direction == Direction::Action && command.action_key == withdrawal.action_key
            {
                call.withdrawn.cancel();
            }
        }
        self.memory.withdraw(&withdrawal.action_key);
        self.outbox.drop_silently(tag);
    }

    /// Sends an attempt's sign of life on. A call that still runs may go on for as long as the
    /// runtime surely waits: a heartbeat that gives it less than a quarter is not recorded there.
    pub(super) fn beat(&mut self, beat: &Beat) {
        let (command, progress) = (beat.command(), beat.take());
        if let (Some(call), Some(heartbeat)) = (self.calls.get_mut(&beat.call()), command.heartbeat)
        {
            let deadline = self.clock.now().after(heartbeat.silence / 4 * 3);
            let deadline = deadline.min(heartbeat.until);
            if !call.cancelled && deadline > call.deadline {
                self.deadlines.remove(&(call.deadline, beat.call()));
                self.deadlines.insert((deadline, beat.call()));
                call.deadline = deadline;
            }
        }
        let alive = Outcome::Alive { progress };
        self.outbox.reply(None, beat.request(), command, alive);
    }

    /// Learns that a call's future is gone, and starts who waited for that.
    pub(super) fn ended(&mut self, ended: Ended) {
        let Some(call) = self.calls.remove(&ended.number) else {
            return;
        };
        let job = call.job;
        self.deadlines.remove(&(call.deadline, ended.number));
        let name = job.command.step.clone();
        let waited = self.keys.remove(&job.command.action_key);
        if let Some(step) = self.steps.get_mut(&name) {
            step.running -= 1;
        }
        match ended.outcome {
            Some(outcome) if !call.cancelled => {
                self.finish(&job, outcome, call.withdrawn, call.began);
            }
            // It ended well just when it was cancelled: a second reply settles what is in doubt.
            Some(outcome @ Outcome::Succeeded(_)) => {
                self.memory.note(&job.command, &outcome);
                self.outbox.reply(None, &job.request, &job.command, outcome);
            }
            // Cancelled by its deadline and answered, or by the end of the host and not answered.
            _ => {}
        }
        waited.into_iter().flatten().for_each(|job| self.offer(job));
        while let Some(next) = self.next_within_limit(&name) {
            self.offer(next);
        }
    }

    /// Cancels the calls whose deadline has come and reports them unknown.
    pub(super) fn cancel_due(&mut self) {
        let now = self.clock.now();
        while let Some((deadline, number)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.deadlines.pop_first();
            let call = self.calls.get_mut(&number);
            let call = call.expect("a deadline is removed with its call");
            call.cancelled = true;
            call.task.cancel();
            let reason = "it was cancelled at its deadline".into();
            let (tag, job) = (Some(call.job.tag), &call.job);
            let outcome = Outcome::Unknown { reason };
            tell(&self.watch, job, &outcome, call.began);
            self.outbox.reply(tag, &job.request, &job.command, outcome);
        }
    }

    /// The earliest deadline of a call.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Whether no call runs that may still be answered, and no reply waits.
    pub(super) fn is_idle(&self) -> bool {
        self.deadlines.is_empty() && self.outbox.is_empty()
    }

    /// Forgets the commands that were not started; they are delivered again, here or elsewhere.
    pub(super) fn forget_waiting(&mut self) {
        self.keys.values_mut().for_each(VecDeque::clear);
        for step in self.steps.values_mut() {
            step.waiting.clear();
        }
    }

    /// Starts a job, unless a call runs under its key: then it waits for that one's end.
    fn offer(&mut self, job: Job) {
        match self.keys.get_mut(&job.command.action_key) {
            Some(waiting) => waiting.push_back(job),
            None => self.start(job),
        }
    }

    fn start(&mut self, job: Job) {
        let command = &job.command;
        let now = self.clock.now();
        if now >= command.deadline {
            // The runtime's own timer has settled this attempt. An answer could only be mistaken
            // for one to the same attempt asked again with a new deadline.
            let late = now.since(command.deadline);
            warn!(key = %command.key, attempt = %command.attempt, ?late, "a command came after its deadline");
            return self.outbox.drop_silently(job.tag);
        }
        if let Some(outcome) = self.memory.answer(command) {
            return self.send(&job, outcome);
        }
        let Some(step) = self.steps.get_mut(&command.step) else {
            return self.send(&job, no_handler(command));
        };
        let Some(handler) = step.handlers.of(command.direction) else {
            return self.send(&job, no_handler(command));
        };
        if step.running >= step.handlers.limit() {
            return step.waiting.push_back(job);
        }
        let number = self.next_call;
        self.next_call += 1;
        let link = Link::new(number, &job.request, command, &self.beats);
        let withdrawn = link.cancelled.clone();
        if !command.direction.is_forward() {
            self.memory.withdraw(&command.action_key);
        }
        let (span, began) = (span_of(&job), Instant::now());
        match span.in_scope(|| begin(handler, command, link)) {
            Begun::Ended(outcome) => self.finish(&job, outcome, withdrawn, began),
            Begun::Pending(call) => {
                step.running += 1;
                let deadline = command.deadline;
                self.deadlines.insert((deadline, number));
                self.keys
                    .insert(command.action_key.clone(), VecDeque::new());
                let call = Call {
                    job,
                    task: carry_on(call, number, self.ended.clone(), span),
                    deadline,
                    withdrawn,
                    began,
                    cancelled: false,
                };
                self.calls.insert(number, call);
            }
        }
    }

    fn next_within_limit(&mut self, step: &str) -> Option<Job> {
        let step = self.steps.get_mut(step)?;
        if step.running < step.handlers.limit() {
            step.waiting.pop_front()
        } else {
            None
        }
    }

    fn finish(
        &mut self,
        job: &Job,
        outcome: Outcome,
        withdrawn: CancellationToken,
        began: Instant,
    ) {
        tell(&self.watch, job, &outcome, began);
        if matches!(outcome, Outcome::Alive { .. }) {
            self.memory.accept(&job.command, withdrawn);
        } else {
            self.memory.note(&job.command, &outcome);
        }
        self.send(job, outcome);
    }

    fn send(&mut self, job: &Job, outcome: Outcome) {
        self.outbox
            .reply(Some(job.tag), &job.request, &job.command, outcome);
    }
}

fn traceparent(message: &Message) -> Option<&str> {
    message.details.as_ref()?.traceparent.as_deref()
}

/// Tells whoever watches what became of a call.
fn tell(watch: &Watch, job: &Job, outcome: &Outcome, began: Instant) {
    if watch.is_wanted() {
        watch.called(&Called {
            command: &job.command,
            message: job.request.id,
            traceparent: traceparent(&job.request),
            outcome,
            took: began.elapsed(),
        });
    }
}

/// What says of a handler's log lines whose they are, under a target of its own: whoever does not show that pays
/// nothing for it.
fn span_of(job: &Job) -> Span {
    let Command {
        saga,
        node,
        step,
        direction,
        attempt,
        ..
    } = &job.command;
    let trace = traceparent(&job.request).and_then(|text| text.split('-').nth(1));
    error_span!(
        target: "sagalog::call",
        "call",
        %saga,
        node = &**node,
        step = &**step,
        %direction,
        attempt = attempt.0,
        message = %job.request.id,
        trace,
    )
}

/// Another worker of this participant may have the handler, for instance while a new version is
/// rolled out, so asking again can help.
fn no_handler(command: &Command) -> Outcome {
    let Command {
        step, direction, ..
    } = command;
    let outcome = Outcome::Failed {
        class: FailureClass::Transient,
        reason: format!("this worker has no {direction} handler for step `{step}`"),
    };
    if *direction == Direction::Probe {
        not_found_out(outcome)
    } else {
        outcome
    }
}
