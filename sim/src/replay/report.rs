//! What came of deciding a capture again.

use std::fmt;

use sagalog_engine::Rules;
use sagalog_model::{AnyDefinition, Fingerprint};
use serde::Serialize;

use super::{Difference, Replay, Stored};
use crate::{Capture, Sim, capture::CapturedRow};

/// What came of deciding a saga's inputs again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Replayed {
    /// The saga.
    pub saga: String,
    /// The definition's name.
    pub definition: String,
    /// The definition's version.
    pub version: u32,
    /// Inputs that were decided again.
    pub inputs: u64,
    /// Events that came out byte for byte as they are on record.
    pub events: u64,
    /// Payloads that could not be compared, because they or what they were decided from are redacted or
    /// erased. All else was compared.
    pub unclear: u64,
    /// The rules of whoever decided, where they are not those of this release: then a difference is no
    /// fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_rules: Option<OtherRules>,
    /// The first event that came out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Box<Difference>>,
}

/// Rules that are not those of this release.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct OtherRules {
    /// Their version.
    pub rules: u32,
    /// The release that decided by them.
    pub engine: String,
    /// The version of the rules by which this release decides.
    pub ours: u32,
}

/// Why a capture is not decided again.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotReplay {
    /// It is a saga of another name or version.
    #[error("the saga runs {runs}, and the definition is {given}")]
    OtherDefinition {
        /// What it runs: name and version.
        runs: String,
        /// What was given.
        given: String,
    },
    /// The definition was changed without a new version.
    #[error(
        "the saga began with {name} version {version} as it was ({runs}), and the definition is another now ({given})"
    )]
    ChangedDefinition {
        /// Its name.
        name: String,
        /// Its version.
        version: u32,
        /// The fingerprint that it began with.
        runs: Fingerprint,
        /// That of the definition.
        given: Fingerprint,
    },
}

impl Capture {
    /// Decides every recorded input again, with this definition, and compares what comes of it with what is
    /// on record.
    ///
    /// # Errors
    /// [`CannotReplay`] if the saga does not run this definition.
    pub fn replay(&self, definition: &AnyDefinition) -> Result<Replayed, CannotReplay> {
        self.replay_by(definition, Rules::DEFAULT)
    }

    /// The same by these rules: those of the runtime that drove the saga.
    ///
    /// # Errors
    /// [`CannotReplay`] if the saga does not run this definition.
    pub fn replay_by(
        &self,
        definition: &AnyDefinition,
        rules: Rules,
    ) -> Result<Replayed, CannotReplay> {
        self.runs(definition)?;
        let mut replayed = Replayed {
            saga: self.saga().to_string(),
            definition: self.graph().saga.clone(),
            version: self.graph().version.0,
            inputs: 0,
            events: 0,
            unclear: 0,
            other_rules: None,
            difference: None,
        };
        let replay = Replay::of(self.saga().clone(), definition);
        let mut replay = replay.rules(rules).masked(!self.redaction().is_empty());
        for row in self.rows() {
            let decided = replay.batch(row.row.at, row.row.version, &row.stored());
            replayed.unclear = replay.unclear();
            if let Err(difference) = decided {
                replayed.events += difference.version - row.row.version.get();
                replayed.difference = Some(difference);
                replayed.other_rules = self.other_rules(row);
                return Ok(replayed);
            }
            replayed.inputs += 1;
            replayed.events += row.row.events.len() as u64;
        }
        Ok(replayed)
    }

    /// Whether the saga runs this definition.
    ///
    /// # Errors
    /// [`CannotReplay`] says how it differs.
    pub fn runs(&self, definition: &AnyDefinition) -> Result<(), CannotReplay> {
        let (runs, given) = (self.graph(), definition.graph());
        if (&runs.saga, runs.version) != (&given.saga, given.version) {
            return Err(CannotReplay::OtherDefinition {
                runs: format!("{} version {}", runs.saga, runs.version.0),
                given: format!("{} version {}", given.saga, given.version.0),
            });
        }
        if self.fingerprint() != definition.fingerprint() {
            return Err(CannotReplay::ChangedDefinition {
                name: runs.saga.clone(),
                version: runs.version.0,
                runs: self.fingerprint(),
                given: definition.fingerprint(),
            });
        }
        Ok(())
    }

    /// The rules that a row was decided by, if they are others.
    fn other_rules(&self, row: &CapturedRow) -> Option<OtherRules> {
        let owner = self
            .owners()
            .iter()
            .find(|owner| owner.owned.epoch == row.row.epoch);
        owner.and_then(|owner| OtherRules::of(owner.owned.rules, &owner.owned.engine))
    }
}

impl Sim {
    /// Decides a capture's recorded inputs again, as this world would.
    ///
    /// # Errors
    /// [`CannotReplay`] if its saga does not run the definition of this one.
    pub fn replay(&self, capture: &Capture) -> Result<Replayed, CannotReplay> {
        capture.replay_by(self.definition(), self.setup.rules)
    }
}

impl OtherRules {
    /// These rules of that release, if they are others.
    pub fn of(rules: u32, engine: &str) -> Option<Self> {
        (rules != Rules::VERSION).then(|| Self {
            rules,
            engine: engine.to_owned(),
            ours: Rules::VERSION,
        })
    }
}

impl CapturedRow {
    /// Its events as they are on record.
    fn stored(&self) -> Vec<Stored<'_>> {
        let mut stored: Vec<Stored<'_>> = self.row.events.iter().map(Stored::from).collect();
        for was in &self.redacted {
            stored[was.event].redacted = Some(was.digest);
        }
        stored
    }
}

impl Replayed {
    /// Whether everything came out as it is on record, as far as it could be compared.
    pub fn is_same(&self) -> bool {
        self.difference.is_none()
    }

    /// Fails if anything came out otherwise.
    ///
    /// # Panics
    /// With both sides of the first difference.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.is_same(), "\n{self}");
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(difference) = &self.difference else {
            let (inputs, events) = (self.inputs, self.events);
            write!(
                f,
                "{}: {inputs} inputs decided again, {events} events as they are on record",
                self.saga
            )?;
            return match self.unclear {
                0 => Ok(()),
                unclear => write!(
                    f,
                    ", but for {unclear} payloads that were not compared: \
                     they depend on what is redacted or erased"
                ),
            };
        };
        write!(f, "{difference}")?;
        if let Some(OtherRules {
            rules,
            engine,
            ours,
        }) = &self.other_rules
        {
            write!(
                f,
                "\nit was decided by rules {rules} (release {engine}), this release has rules {ours}: \
                 that is why it may differ"
            )?;
        }
        Ok(())
    }
}
