//! What is said of a saga under way.

use std::{fmt, sync::Arc};

use sagalog_model::{Fingerprint, SagaId, event::Started};
use serde::Serialize;

use super::{Differs, NodeChange};
use crate::{Difference, OtherRules};

/// Whether a saga can go on with a build, from best to worst.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The build has its version, and the newest version would have done all that it did, to the byte.
    Compatible,
    /// The build has its version, which it stays on: the newest version would have done something else.
    KeepOld,
    /// The build cannot drive it, or drives it on otherwise than it began.
    Breaks,
}

impl Verdict {
    /// All, from best to worst.
    pub const ALL: [Self; 3] = [Self::Compatible, Self::KeepOld, Self::Breaks];

    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::KeepOld => "keep-old",
            Self::Breaks => "breaks",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why that is said of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
#[non_exhaustive]
pub enum Why {
    /// This version, the newest, does all of it as it is on record.
    Same {
        /// The version.
        by: u32,
    },
    /// This version, the newest, has all nodes that it has come to as they were. Whether their functions do the
    /// same is not known.
    SameNodes {
        /// The version.
        by: u32,
    },
    /// This version, the newest, does something else.
    Differs {
        /// The version.
        by: u32,
    },
    /// What is on record was decided by other rules than those of this release, so it may come out otherwise.
    OtherRules(OtherRules),
    /// The build has no definition of that name.
    Undefined,
    /// The build does not have its version any more.
    Gone {
        /// The newest version that it has.
        by: u32,
        /// Whether that one does not differ in anything that is on record.
        same: bool,
    },
    /// The build has its version with another graph.
    Changed {
        /// The fingerprint that the saga began with.
        recorded: Fingerprint,
        /// That of the build.
        ours: Fingerprint,
    },
    /// The build has its version with the same graph, whose functions do something else now.
    Diverges,
    /// Its history does not read.
    Unreadable {
        /// What is wrong.
        reason: String,
    },
}

impl Why {
    const fn verdict(&self) -> Verdict {
        match self {
            Self::Same { .. } | Self::SameNodes { .. } => Verdict::Compatible,
            Self::Differs { .. } | Self::OtherRules(_) => Verdict::KeepOld,
            Self::Undefined
            | Self::Gone { .. }
            | Self::Changed { .. }
            | Self::Diverges
            | Self::Unreadable { .. } => Verdict::Breaks,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same { by } => write!(f, "version {by} does all of it as it is on record"),
            Self::SameNodes { by } => {
                write!(
                    f,
                    "version {by} has the nodes that it has come to as they were"
                )
            }
            Self::Differs { by } => write!(f, "version {by} does something else"),
            Self::OtherRules(OtherRules { rules, engine, .. }) => write!(
                f,
                "it was decided by rules {rules} of release {engine}, so it may come out otherwise"
            ),
            Self::Undefined => write!(f, "the build has no such definition"),
            Self::Gone { by, same: true } => write!(
                f,
                "the build does not have its version, though version {by} does not differ in what it has done"
            ),
            Self::Gone { by, same: false } => write!(
                f,
                "the build does not have its version, and version {by} does something else"
            ),
            Self::Changed { recorded, ours } => write!(
                f,
                "its version was changed without another number: {recorded} in the log, {ours} in the build"
            ),
            Self::Diverges => write!(
                f,
                "its version has the same graph, and its functions do something else now"
            ),
            Self::Unreadable { reason } => write!(f, "its history does not read: {reason}"),
        }
    }
}

/// What came of looking at a saga under way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Checked {
    /// The saga.
    pub saga: SagaId,
    /// The definition's name; empty if its history does not read.
    pub definition: Arc<str>,
    /// The version that it runs; 0 if its history does not read.
    pub version: u32,
    /// Whether it can go on.
    pub verdict: Verdict,
    /// Why.
    #[serde(flatten)]
    pub why: Why,
    /// Payloads that could not be compared, because they or what they were decided from are erased.
    #[serde(skip_serializing_if = "is_none")]
    pub unclear: u64,
    /// The first event that comes out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Box<Difference>>,
    /// The first node that it has come to and that is not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeChange>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes what it skips by reference"
)]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Checked {
    pub(super) fn new(saga: &SagaId, started: &Started, why: Why) -> Self {
        Self {
            saga: saga.clone(),
            definition: started.definition.clone(),
            version: started.version.0,
            verdict: why.verdict(),
            why,
            unclear: 0,
            difference: None,
            node: None,
        }
    }

    pub(super) fn unreadable(saga: &SagaId, reason: String) -> Self {
        Self {
            saga: saga.clone(),
            definition: "".into(),
            version: 0,
            verdict: Verdict::Breaks,
            why: Why::Unreadable { reason },
            unclear: 0,
            difference: None,
            node: None,
        }
    }

    pub(super) fn with_unclear(mut self, unclear: u64) -> Self {
        self.unclear = unclear;
        self
    }

    pub(super) fn differing(mut self, differs: Differs) -> Self {
        match differs {
            Differs::Event(difference) => self.difference = Some(difference),
            Differs::Node(change) => self.node = Some(change),
            Differs::Unreadable(reason) => {
                self.why = Why::Unreadable { reason };
                self.verdict = self.why.verdict();
            }
        }
        self
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            saga,
            definition,
            version,
            verdict,
            why,
            ..
        } = self;
        write!(f, "{saga} ({definition} {version}) {verdict}: {why}")?;
        if let Some(difference) = &self.difference {
            write!(f, "\n  {}", difference.to_string().replace('\n', "\n  "))?;
        }
        if let Some(change) = &self.node {
            write!(f, "\n  {change}")?;
        }
        if self.unclear > 0 {
            write!(
                f,
                "\n  {} payloads were not compared: they depend on what is erased",
                self.unclear
            )?;
        }
        Ok(())
    }
}
