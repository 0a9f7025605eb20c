//! Deciding recorded inputs again, and comparing what comes of them with what is on record, byte for byte.

mod difference;
mod production;
mod report;

use sagalog_engine::{Evaluate, Rules, decide::Context, redecide};
use sagalog_eventlog::Recorded;
use sagalog_model::{
    AnyDefinition, SagaEvent, SagaId,
    log::{Data, Digest, NewEvent, SchemaVersion, Time, Version},
};
use sagalog_projections::SagaState;

pub use difference::{Difference, Side, What};
pub use report::{CannotReplay, OtherRules, Replayed};

use self::production::Production;
use crate::report::event as told;

/// A saga whose recorded inputs are decided again, batch after batch from the first.
///
/// User code runs only inside the definition's expressions, as when they were decided; nothing is asked, sent
/// or written.
#[derive(Clone)]
pub struct Replay<'a> {
    definition: &'a AnyDefinition,
    evaluate: &'a dyn Evaluate,
    rules: Rules,
    /// The saga began with another version, which is not held against this one.
    is_other_version: bool,
    saga: SagaId,
    state: Option<SagaState>,
    /// Some of what was decided with is not on record any more.
    is_masked: bool,
    unclear: u64,
}

/// An event as it is on record.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Its type.
    pub kind: &'a str,
    /// The version of that type's schema.
    pub schema: SchemaVersion,
    /// Its control part.
    pub control: &'a str,
    /// Its data, as they are shown.
    pub data: &'a Data,
    /// The hash of its data, if they were redacted.
    pub redacted: Option<Digest>,
}

impl<'a> Replay<'a> {
    /// Decides a saga of this definition again, by the rules that hold unless configured otherwise.
    pub fn of(saga: SagaId, definition: &'a AnyDefinition) -> Self {
        Self::with(saga, definition, &Production)
    }

    pub(crate) fn with(
        saga: SagaId,
        definition: &'a AnyDefinition,
        evaluate: &'a dyn Evaluate,
    ) -> Self {
        Self {
            definition,
            evaluate,
            rules: Rules::DEFAULT,
            is_other_version: false,
            saga,
            state: None,
            is_masked: false,
            unclear: 0,
        }
    }

    /// By these rules: those of the runtime that decided it.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// With another version of the definition than the one that the saga began with. Which version that is, and
    /// its fingerprint, are not compared then; all else is.
    #[must_use]
    pub fn as_other_version(mut self) -> Self {
        self.is_other_version = true;
        self
    }

    /// Expects data that were redacted: what depends on them cannot be compared.
    #[must_use]
    pub(crate) fn masked(mut self, is_masked: bool) -> Self {
        self.is_masked = is_masked;
        self
    }

    /// What was decided so far adds up to this; none before the first batch, or after a difference.
    pub fn state(&self) -> Option<&SagaState> {
        self.state.as_ref()
    }

    /// How many payloads were not compared: they, or what they were decided from, are redacted or erased.
    pub fn unclear(&self) -> u64 {
        self.unclear
    }

    /// Takes the next batch as it is on record, without deciding it again.
    ///
    /// # Errors
    /// Why it cannot follow what is on record before it.
    pub fn pass(&mut self, at: Time, events: &[Stored<'_>]) -> Result<(), String> {
        let before = self.state.take();
        self.is_masked |= events.iter().any(Stored::is_masked);
        self.state = Some(fold(&self.saga, self.definition, before, at, events)?);
        Ok(())
    }

    /// Decides the next batch again: all events that are on record of it, in order, the first of which has
    /// this version.
    ///
    /// # Errors
    /// [`Difference`] is the first event that is not the same, with both sides. Nothing can be decided
    /// after that.
    pub fn batch(
        &mut self,
        at: Time,
        version: Version,
        events: &[Stored<'_>],
    ) -> Result<(), Box<Difference>> {
        let first = events.first().ok_or_else(|| "it has no events".to_owned());
        let fact = first.and_then(Stored::decode).map_err(|why| {
            self.state = None;
            let what = What::Undecided { why };
            difference(&self.saga, at, version, 0, None, what)
        })?;
        self.batch_decided_on(&fact, at, version, events)
    }

    /// As [`batch`](Self::batch), with the first of its events.
    pub(crate) fn batch_decided_on(
        &mut self,
        fact: &SagaEvent,
        at: Time,
        version: Version,
        events: &[Stored<'_>],
    ) -> Result<(), Box<Difference>> {
        let before = self.state.take();
        let saga = &self.saga;
        let differs = |index, what| difference(saga, at, version, index, Some(fact), what);
        let cannot = |why| differs(0, What::Undecided { why });
        if let SagaEvent::Started(started) = fact
            && !self.is_other_version
            && started.fingerprint != self.definition.fingerprint()
        {
            return Err(cannot("it began with another definition".to_owned()));
        }
        let is_masked = self.is_masked || events.iter().any(Stored::is_masked);
        let kept = is_masked.then(|| before.clone());
        let context = Context {
            definition: self.definition,
            evaluate: self.evaluate,
            rules: &self.rules,
            now: at,
        };
        let decided = redecide(&self.saga, before, fact, context);
        let (state, mut decided) = decided.map_err(|why| cannot(why.to_string()))?;
        if self.is_other_version
            && let (SagaEvent::Started(was), Some(SagaEvent::Started(is))) =
                (fact, decided.first_mut())
        {
            (is.version, is.fingerprint) = (was.version, was.fingerprint);
        }
        let mut unclear = 0;
        for index in 0..events.len().max(decided.len()) {
            let (stored, again) = (events.get(index), decided.get(index));
            let again = again.map(SagaEvent::encode);
            match stored
                .zip(again.as_ref())
                .map(|(stored, again)| stored.compare(again, is_masked))
            {
                Some(Compared::Same) => {}
                Some(Compared::Unclear) => unclear += 1,
                Some(Compared::Other) | None => {
                    let what = What::Events {
                        recorded: stored.map(Side::recorded),
                        decided: again.as_ref().map(Side::decided),
                    };
                    return Err(differs(index, what));
                }
            }
        }
        let state = match kept {
            None => state,
            // What is shown is what the next batch is decided from, too.
            Some(before) => {
                let folded = fold(&self.saga, self.definition, before, at, events);
                folded.map_err(cannot)?
            }
        };
        self.state = Some(state);
        self.is_masked = is_masked;
        self.unclear += unclear;
        Ok(())
    }
}

/// The event so far behind the first of a batch is not the same.
fn difference(
    saga: &SagaId,
    at: Time,
    version: Version,
    index: usize,
    fact: Option<&SagaEvent>,
    what: What,
) -> Box<Difference> {
    Box::new(Difference {
        saga: saga.to_string(),
        version: version.get() + index as u64,
        at_us: at.as_micros(),
        decided_on: fact.map(told),
        what,
    })
}

/// What a batch adds to a state.
fn fold(
    saga: &SagaId,
    definition: &AnyDefinition,
    before: Option<SagaState>,
    at: Time,
    events: &[Stored<'_>],
) -> Result<SagaState, String> {
    let mut state = before;
    for stored in events {
        let event = stored.decode()?;
        match (&mut state, &event) {
            (None, SagaEvent::Started(started)) => {
                let graph = definition.graph().clone();
                state = Some(SagaState::start(saga.clone(), graph, started, at));
            }
            (Some(state), event) => state.apply(event, at).map_err(|why| why.to_string())?,
            (None, event) => return Err(format!("{} is before the start", event.kind())),
        }
    }
    state.ok_or_else(|| "it has no events".to_owned())
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Compared {
    Same,
    /// Only the data differ, and they may because something was hidden.
    Unclear,
    Other,
}

impl Stored<'_> {
    fn decode(&self) -> Result<SagaEvent, String> {
        let event = SagaEvent::decode(self.kind, self.schema, self.control, self.data);
        event.map_err(|why| why.to_string())
    }

    fn is_masked(&self) -> bool {
        self.redacted.is_some() || matches!(self.data, Data::Erased(_))
    }

    fn compare(&self, again: &NewEvent, is_masked: bool) -> Compared {
        let is_it =
            self.kind == again.kind && self.schema == again.schema && self.control == again.control;
        let hash = match (self.data, self.redacted) {
            (Data::Erased(hash), _) => Some(*hash),
            (_, redacted) => redacted,
        };
        let is_same = match (hash, &again.data) {
            (Some(hash), Data::Inline(text)) => Digest::of(text.as_bytes()) == hash,
            (None, data) => self.data == data,
            (Some(_), _) => false,
        };
        let both_have = (self.data == &Data::None) == (again.data == Data::None);
        match (is_it, is_same) {
            (true, true) => Compared::Same,
            (true, false) if is_masked && both_have => Compared::Unclear,
            _ => Compared::Other,
        }
    }
}

impl<'a> From<&'a Recorded> for Stored<'a> {
    fn from(event: &'a Recorded) -> Self {
        Self {
            kind: &event.kind,
            schema: event.schema,
            control: &event.control,
            data: &event.data,
            redacted: None,
        }
    }
}

impl<'a> From<&'a NewEvent> for Stored<'a> {
    fn from(event: &'a NewEvent) -> Self {
        Self {
            kind: &event.kind,
            schema: event.schema,
            control: &event.control,
            data: &event.data,
            redacted: None,
        }
    }
}
