//! Whether handlers have their effect once, however often and however far they ran: for the tests of
//! their author. Handlers run for real here, against whatever the author gives them.

use std::{
    fmt::{self, Debug},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use sagalog_model::{
    AttemptNumber, Command, Direction, IdempotencyKey, Json, Outcome, Payload, SagaId, Step,
    log::Time,
};

use super::{calls::guarded, handler::Calling, link::Link, steps::Worker};

/// Runs handlers twice under the same key, and cut off at each of their waits and then again: what
/// they answer and what is seen of their effects must be as after one clean run.
///
/// ```
/// use std::{collections::BTreeMap, sync::{Arc, Mutex}};
/// use sagalog::{Attempt, Failure, Step, Worker, worker::Idempotency};
///
/// const CHARGE: Step<u64, String> = Step::new("payments.charge").compensatable();
///
/// type Bank = Arc<Mutex<BTreeMap<String, u64>>>;
///
/// async fn charge(attempt: Attempt<Bank>, cents: u64) -> Result<String, Failure> {
///     let mut charges = attempt.state.lock().unwrap();
///     charges.entry(attempt.key.to_string()).or_insert(cents);
///     Ok(format!("paid {cents}"))
/// }
///
/// Idempotency::of(|| {
///     let bank = Bank::default();
///     let seen = bank.clone();
///     let worker = Worker::with(bank).action(CHARGE, charge);
///     (worker, move || seen.lock().unwrap().clone())
/// })
/// .step(CHARGE, &4_200)
/// .check();
/// ```
#[must_use = "check it"]
pub struct Idempotency<F> {
    fresh: F,
    samples: Vec<Sample>,
}

struct Sample {
    step: Arc<str>,
    input: Payload,
}

/// A handler whose effect depends on how often or how far it ran.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the {direction} of `{step}`, {trial}: {difference}")]
pub struct NotIdempotent {
    /// The step.
    pub step: Arc<str>,
    /// Which of its handlers.
    pub direction: Direction,
    /// What was done with it.
    pub trial: Trial,
    /// What came of that.
    pub difference: Difference,
}

/// What is done with a handler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trial {
    /// It runs once.
    Once,
    /// It runs to its end, and then again.
    Twice,
    /// It is dropped at its wait of this number, from 1, and then runs to its end.
    CutOff {
        /// Which wait: the call gave way for the so-maniest time.
        at: u32,
    },
}

/// What differs from one clean run.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Difference {
    /// There is no such handler.
    NoHandler,
    /// The clean run itself does not succeed, so nothing is shown.
    Fails(Outcome),
    /// It does not end, or waits too often to be looked at.
    DoesNotEnd,
    /// It answers something else.
    Answer {
        /// After one clean run.
        clean: Outcome,
        /// Now.
        found: Outcome,
    },
    /// Something else is seen of its effects.
    Effects {
        /// After one clean run.
        clean: String,
        /// Now.
        found: String,
    },
}

/// How long one call may take.
const CALL_MAX: Duration = Duration::from_secs(60);

/// At how many waits a handler is cut off at most.
const WAITS_MAX: u32 = 1_000;

impl<F, S, O, T> Idempotency<F>
where
    F: Fn() -> (Worker<S>, O),
    O: Fn() -> T,
    T: PartialEq + Debug,
{
    /// Handlers in a world of their own, and what is seen of it: each trial has a fresh one. What is
    /// seen must be the same for two clean runs, so leave times and random ids out.
    pub const fn of(fresh: F) -> Self {
        Self {
            fresh,
            samples: Vec::new(),
        }
    }

    /// A step to look at, with an input: its action, and its compensation and probe if it has them.
    ///
    /// # Panics
    /// If the input cannot be written as JSON.
    pub fn step<I: Json, P: Json>(mut self, step: Step<I, P>, input: &I) -> Self {
        self.samples.push(Sample {
            step: step.name().into(),
            input: Payload::of(input).expect("the input is written as JSON"),
        });
        self
    }

    /// Fails if a handler is not idempotent.
    ///
    /// # Panics
    /// With each handler that is not, at which wait, and what differs. Also inside of an async
    /// function: there, await [`faults`](Self::faults).
    #[track_caller]
    pub fn check(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime of one thread starts");
        let faults = runtime.block_on(self.faults());
        let told: String = faults.iter().map(|fault| format!("\n{fault}\n")).collect();
        assert!(faults.is_empty(), "{told}");
    }

    /// What is wrong with the handlers: for each of them the first trial that differs.
    pub async fn faults(&self) -> Vec<NotIdempotent> {
        let mut faults = Vec::new();
        for sample in &self.samples {
            let has = (self.fresh)().0;
            let has = |direction| {
                let handlers = has.steps.get(&sample.step);
                handlers.is_some_and(|handlers| handlers.of(direction).is_some())
            };
            for direction in [Direction::Action, Direction::Compensation, Direction::Probe] {
                // Without an action nothing can be looked at.
                let looked_at = direction == Direction::Action || has(direction);
                if looked_at && let Err((trial, difference)) = self.look(sample, direction).await {
                    faults.push(NotIdempotent {
                        step: sample.step.clone(),
                        direction,
                        trial,
                        difference,
                    });
                }
            }
        }
        faults
    }

    async fn look(&self, sample: &Sample, direction: Direction) -> Result<(), Wrong> {
        let Some(clean) = self.run(sample, direction, Trial::Once).await? else {
            return Ok(());
        };
        if !matches!(clean.answer, Outcome::Succeeded(_)) {
            return Err((Trial::Once, Difference::Fails(clean.answer)));
        }
        let cut_off = (1..=WAITS_MAX).map(|at| Trial::CutOff { at });
        for trial in [Trial::Twice].into_iter().chain(cut_off) {
            match self.run(sample, direction, trial).await? {
                Some(found) => clean.same(&found).map_err(|wrong| (trial, wrong))?,
                None => return Ok(()),
            }
        }
        let trial = Trial::CutOff { at: WAITS_MAX };
        Err((trial, Difference::DoesNotEnd))
    }

    /// One trial in a fresh world; nothing if the handler does not wait so often, or if there is
    /// nothing to undo or to probe, as its action fails.
    async fn run(
        &self,
        sample: &Sample,
        direction: Direction,
        trial: Trial,
    ) -> Result<Option<Seen<T>>, Wrong> {
        let (worker, see) = (self.fresh)();
        let wrong = |difference| (trial, difference);
        let call = |direction, number, output| {
            let command = sample.command(direction, number, output);
            let handlers = worker.steps.get(&sample.step);
            let handler = handlers.and_then(|handlers| handlers.of(direction));
            let begun = handler.map(|handler| guarded(|| handler(&command, Link::default())));
            begun.ok_or(Difference::NoHandler)
        };
        let mut output = None;
        if direction != Direction::Action {
            let done = ended(call(Direction::Action, 1, None).map_err(wrong)?, None).await;
            match done.map_err(wrong)? {
                Some(Outcome::Succeeded(given)) => output = Some(given),
                _ => return Ok(None),
            }
        }
        let begin = |number| call(direction, number, output.clone()).map_err(wrong);
        let first = match trial {
            Trial::CutOff { at } => ended(begin(1)?, Some(at)).await,
            Trial::Once | Trial::Twice => ended(begin(1)?, None).await,
        };
        let answer = match (first.map_err(wrong)?, trial) {
            (Some(answer), Trial::Once) => answer,
            (Some(_), Trial::CutOff { .. }) => return Ok(None),
            _ => {
                let again = ended(begin(2)?, None).await.map_err(wrong)?;
                again.expect("a run that is not cut off ends")
            }
        };
        Ok(Some(Seen {
            answer,
            effects: see(),
        }))
    }
}

/// In which trial, and what.
type Wrong = (Trial, Difference);

/// What is seen after a trial.
struct Seen<T> {
    answer: Outcome,
    effects: T,
}

impl<T: PartialEq + Debug> Seen<T> {
    fn same(&self, found: &Self) -> Result<(), Difference> {
        if self.effects != found.effects {
            return Err(Difference::Effects {
                clean: format!("{:?}", self.effects),
                found: format!("{:?}", found.effects),
            });
        }
        if self.answer != found.answer {
            return Err(Difference::Answer {
                clean: self.answer.clone(),
                found: found.answer.clone(),
            });
        }
        Ok(())
    }
}

impl Sample {
    fn command(&self, direction: Direction, attempt: u32, output: Option<Payload>) -> Command {
        let saga = SagaId::new("idempotency").expect("a good id");
        Command {
            node: self.step.clone(),
            step: self.step.clone(),
            direction,
            attempt: AttemptNumber(attempt),
            deadline: FAR,
            key: IdempotencyKey::of(&saga, &self.step, direction),
            action_key: IdempotencyKey::of(&saga, &self.step, Direction::Action),
            input: self.input.clone(),
            output: output.filter(|_| direction == Direction::Compensation),
            heartbeat: None,
            saga,
        }
    }
}

/// A deadline that no test comes to: the year 2100.
const FAR: Time = Time::from_micros(4_102_444_800_000_000);

/// What a handler begins: a call, or an answer at once; a panic is an answer.
type Begun = Result<Result<Calling, Outcome>, Outcome>;

/// Carries a call to its end; nothing if it was cut off at this wait.
async fn ended(begun: Begun, cut_off_at: Option<u32>) -> Result<Option<Outcome>, Difference> {
    let call = match begun {
        Ok(Ok(call)) => call,
        Ok(Err(answer)) | Err(answer) => return Ok(Some(answer)),
    };
    let call = CutOff {
        call,
        waits: 0,
        at: cut_off_at,
    };
    let ended = tokio::time::timeout(CALL_MAX, call).await;
    ended.map_err(|_| Difference::DoesNotEnd)
}

/// A call that is given up at one of its waits.
struct CutOff {
    call: Calling,
    waits: u32,
    at: Option<u32>,
}

impl Future for CutOff {
    type Output = Option<Outcome>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match guarded(|| self.call.as_mut().poll(context)) {
            Ok(Poll::Ready(answer)) | Err(answer) => Poll::Ready(Some(answer)),
            Ok(Poll::Pending) => {
                self.waits += 1;
                if self.at == Some(self.waits) {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                }
            }
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once => f.write_str("run once"),
            Self::Twice => f.write_str("run twice"),
            Self::CutOff { at } => write!(f, "cut off at its await point {at} and run again"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHandler => f.write_str("there is no such handler"),
            Self::Fails(answer) => write!(f, "it fails, so nothing is shown: {answer:?}"),
            Self::DoesNotEnd => write!(
                f,
                "it does not end within {} s and {WAITS_MAX} waits",
                CALL_MAX.as_secs()
            ),
            Self::Answer { clean, found } => write!(
                f,
                "it answers something else\n  one clean run: {clean:?}\n  now:           {found:?}"
            ),
            Self::Effects { clean, found } => write!(
                f,
                "its effects differ\n  one clean run: {clean}\n  now:           {found}"
            ),
        }
    }
}

/// Makes a test of handlers: each runs twice under the same key, and cut off at each of its waits and
/// then again, and must leave what one clean run leaves. See
/// [`Idempotency`].
///
/// First a function that gives handlers in a world of their own, and what is seen of it; then each
/// step with an input. A name before it is the test's; `idempotency` without one.
///
/// ```
/// # use sagalog::{Attempt, Failure, Step, Worker, idempotency};
/// const GREET: Step<String, String> = Step::new("greeter.greet").read_only();
///
/// async fn greet(_: Attempt, name: String) -> Result<String, Failure> {
///     Ok(format!("hello, {name}"))
/// }
///
/// idempotency!(|| (Worker::new().action(GREET, greet), || ()), GREET => "Ada".to_owned());
/// ```
#[macro_export]
macro_rules! idempotency {
    ($name:ident, $fresh:expr, $($step:expr => $input:expr),+ $(,)?) => {
        #[test]
        fn $name() {
            $crate::worker::Idempotency::of($fresh)$(.step($step, &$input))+.check();
        }
    };
    ($fresh:expr, $($step:expr => $input:expr),+ $(,)?) => {
        $crate::idempotency!(idempotency, $fresh, $($step => $input),+);
    };
}
