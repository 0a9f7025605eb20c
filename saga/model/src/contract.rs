//! What clients, definitions and workers share: constants that carry a name, types and policies.

use core::{marker::PhantomData, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    graph::{Otherwise, StepSpec, UndoPolicy},
    policy::{Gaps, Retry},
    sample::{Sample, sample},
};

/// What can be kept in the log and sent: serde both ways, and owned.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written to the log and read back",
    label = "does not derive both serde traits",
    note = "add `#[derive(serde::Serialize, serde::Deserialize)]` to `{Self}`; borrowed types cannot be read back"
)]
pub trait Json: Serialize + DeserializeOwned + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> Json for T {}

/// How a step recovers when the saga cannot go on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryClass {
    /// It changes nothing: neither waited for nor undone.
    ReadOnly,
    /// What it did can be undone by a compensation.
    Compensatable,
    /// It comes after the pivot and is repeated until it succeeds.
    Retryable,
}

/// The contract of a saga: runs of this name start with an `I` and end with an `O`.
///
/// ```
/// # use sagalog_model::Saga;
/// const TRIP: Saga<String, u32> = Saga::new("trip");
/// assert_eq!(TRIP.name(), "trip");
/// ```
pub struct Saga<I, O> {
    name: &'static str,
    input: Sample,
    types: PhantomData<fn(I) -> O>,
}

impl<I: Json, O: Json> Saga<I, O> {
    /// A saga's contract under a name that never changes.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            input: sample::<I>,
            types: PhantomData,
        }
    }
}

impl<I, O> Saga<I, O> {
    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) const fn input(&self) -> Sample {
        self.input
    }
}

/// The contract of a signal: somebody outside may send a `T` under this name.
///
/// A producer may number what it sends to a saga, from 1; then its signals are taken in the order of
/// their numbers, each once, and [`gaps`](Self::gaps) says what is done while some are missing.
pub struct Signal<T> {
    name: &'static str,
    gaps: Gaps,
    types: PhantomData<fn(T)>,
}

impl<T: Json> Signal<T> {
    /// A signal's contract under a name that never changes.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            gaps: Gaps::DEFAULT,
            types: PhantomData,
        }
    }
}

impl<T> Signal<T> {
    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What is done about missing numbers while this signal is kept behind them. Default: they are
    /// waited for 30 s, then what came behind them is rejected.
    pub const fn gaps(mut self, gaps: Gaps) -> Self {
        self.gaps = gaps;
        self
    }

    pub(crate) const fn gap_policy(&self) -> Gaps {
        self.gaps
    }
}

/// The contract of a step: the action `name` takes an `I` and gives an `O`.
///
/// The part of the name before the last dot is the participant: `payments.charge` is performed by
/// `payments`.
///
/// ```
/// # use sagalog_model::{Retry, Step};
/// # use core::time::Duration;
/// const CHARGE: Step<u64, String> = Step::new("payments.charge")
///     .compensatable()
///     .probed()
///     .timeout(Duration::from_secs(5))
///     .retry(Retry::exponential(Duration::from_millis(100), Duration::from_secs(10)).attempts(4));
/// ```
pub struct Step<I, O> {
    terms: Terms,
    output: Sample,
    types: PhantomData<fn(I) -> O>,
}

/// What a compensation's alternative is given: what the action got and, if known, what it gave.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Undo<I, O> {
    /// The action's input.
    pub input: I,
    /// The action's output; `None` if it is not known whether it took effect.
    pub output: Option<O>,
}

/// A step that does not say yet how it recovers; it is not a [`Step`] until it does.
#[must_use = "say how the step recovers: .read_only(), .compensatable() or .retryable()"]
pub struct NeedsRecoveryClass<I, O> {
    name: &'static str,
    output: Sample,
    types: PhantomData<fn(I) -> O>,
}

impl<I: Json, O: Json> Step<I, O> {
    /// A step's contract under a name that never changes. Say next how it recovers.
    #[expect(
        clippy::new_ret_no_self,
        reason = "a step without a recovery class is not a step"
    )]
    pub const fn new(name: &'static str) -> NeedsRecoveryClass<I, O> {
        NeedsRecoveryClass {
            name,
            output: sample::<O>,
            types: PhantomData,
        }
    }
}

impl<I, O> NeedsRecoveryClass<I, O> {
    /// It changes nothing, so there is nothing to undo.
    pub const fn read_only(self) -> Step<I, O> {
        self.class(RecoveryClass::ReadOnly, Retry::DEFAULT)
    }

    /// What it does can be undone by a compensation.
    pub const fn compensatable(self) -> Step<I, O> {
        self.class(RecoveryClass::Compensatable, Retry::DEFAULT)
    }

    /// It comes after the pivot and is repeated until it succeeds, 100 times unless told otherwise.
    pub const fn retryable(self) -> Step<I, O> {
        self.class(RecoveryClass::Retryable, Retry::DEFAULT.attempts(100))
    }

    const fn class(self, class: RecoveryClass, retry: Retry) -> Step<I, O> {
        let terms = Terms {
            name: self.name,
            class,
            probed: false,
            timeout: DEFAULT_TIMEOUT,
            deadline: None,
            heartbeat: None,
            retry,
            undo_timeout: DEFAULT_TIMEOUT,
            undo_retry: Retry::DEFAULT.attempts(10),
            undo_otherwise: Fallback::Park,
        };
        Step {
            terms,
            output: self.output,
            types: PhantomData,
        }
    }
}

impl<I, O> Step<I, O> {
    /// Its participant can say whether the action took effect; asked when an attempt ended unknown.
    pub const fn probed(mut self) -> Self {
        assert!(
            !matches!(self.terms.class, RecoveryClass::ReadOnly),
            "a read-only step is repeated, never probed"
        );
        self.terms.probed = true;
        self
    }

    /// How long one attempt may take before it counts as unknown. Default 30 s.
    pub const fn timeout(mut self, span: Duration) -> Self {
        self.terms.timeout = span;
        self
    }

    /// When and how often the action is asked again.
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.terms.retry = retry;
        self
    }

    /// How long all attempts of the action may take together.
    pub const fn deadline(mut self, span: Duration) -> Self {
        self.terms.deadline = Some(span);
        self
    }

    /// Its action may take long: its participant accepts it within the timeout, and ends it when it
    /// is done. From then on the attempt ends in doubt if the participant says nothing for this
    /// long, give or take a quarter less, or when the step's deadline comes, which such a step must
    /// have.
    ///
    /// ```
    /// # use sagalog_model::Step;
    /// # use core::time::Duration;
    /// const SCAN: Step<String, u64> = Step::new("lab.scan")
    ///     .compensatable()
    ///     .heartbeat(Duration::from_secs(60))
    ///     .deadline(Duration::from_secs(24 * 60 * 60));
    /// ```
    ///
    /// # Panics
    /// If it is nothing; in a constant that is a compile error.
    pub const fn heartbeat(mut self, silence: Duration) -> Self {
        assert!(!silence.is_zero(), "nobody says something all the time");
        self.terms.heartbeat = Some(silence);
        self
    }

    /// How long one attempt of the compensation may take. Default 30 s.
    pub const fn undo_timeout(mut self, span: Duration) -> Self {
        self.needs_compensation();
        self.terms.undo_timeout = span;
        self
    }

    /// When and how often the compensation is asked again: a budget of its own.
    pub const fn undo_retry(mut self, retry: Retry) -> Self {
        self.needs_compensation();
        self.terms.undo_retry = retry;
        self
    }

    /// A compensation that fails for good is left undone, with this reason; the saga goes on
    /// back and ends partly compensated. Without it, it waits for a person.
    pub const fn or_skip(mut self, reason: &'static str) -> Self {
        self.needs_compensation();
        self.terms.undo_otherwise = Fallback::Skip(reason);
        self
    }

    /// A compensation that fails for good is replaced by this step, under a key and budget of its
    /// own; if that fails too, the node waits for a person.
    ///
    /// # Panics
    /// If that step has a heartbeat, as what goes back is answered within its timeout; in a constant
    /// that is a compile error.
    pub const fn or(mut self, alternative: Step<Undo<I, O>, ()>) -> Self {
        self.needs_compensation();
        assert!(
            alternative.terms.heartbeat.is_none(),
            "an alternative is answered within its timeout: it has no heartbeat"
        );
        self.terms.undo_otherwise = Fallback::Alternative {
            name: alternative.terms.name,
            timeout: alternative.terms.timeout,
            retry: alternative.terms.retry,
        };
        self
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.terms.name
    }

    pub(crate) const fn output(&self) -> Sample {
        self.output
    }

    /// What it agrees to, as data for a graph.
    pub fn spec(&self) -> StepSpec {
        self.terms.spec()
    }

    const fn needs_compensation(&self) {
        assert!(
            matches!(self.terms.class, RecoveryClass::Compensatable),
            "only a compensatable step has a compensation to say this of"
        );
    }
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The contract's policies in a form that a constant can hold; [`StepSpec`] is the same as data.
#[derive(Clone, Copy)]
struct Terms {
    name: &'static str,
    class: RecoveryClass,
    probed: bool,
    timeout: Duration,
    deadline: Option<Duration>,
    heartbeat: Option<Duration>,
    retry: Retry,
    undo_timeout: Duration,
    undo_retry: Retry,
    undo_otherwise: Fallback,
}

#[derive(Clone, Copy)]
enum Fallback {
    Park,
    Skip(&'static str),
    Alternative {
        name: &'static str,
        timeout: Duration,
        retry: Retry,
    },
}

impl Terms {
    fn spec(&self) -> StepSpec {
        let undo = (self.class == RecoveryClass::Compensatable).then(|| UndoPolicy {
            timeout: self.undo_timeout,
            retry: self.undo_retry,
            otherwise: match self.undo_otherwise {
                Fallback::Park => Otherwise::Park,
                Fallback::Skip(reason) => Otherwise::Skip {
                    reason: reason.into(),
                },
                Fallback::Alternative {
                    name,
                    timeout,
                    retry,
                } => Otherwise::Alternative {
                    name: name.into(),
                    timeout,
                    retry,
                },
            },
        });
        StepSpec {
            name: self.name.into(),
            class: self.class,
            probed: self.probed,
            timeout: self.timeout,
            deadline: self.deadline,
            heartbeat: self.heartbeat,
            retry: self.retry,
            undo,
        }
    }
}

macro_rules! copies {
    ($($name:ident<$($type:ident),+>),+) => {
        $(
            impl<$($type),+> Clone for $name<$($type),+> {
                fn clone(&self) -> Self {
                    *self
                }
            }
            impl<$($type),+> Copy for $name<$($type),+> {}
        )+
    };
}
copies!(Saga<I, O>, Signal<T>, Step<I, O>);
