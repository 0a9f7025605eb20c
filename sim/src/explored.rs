//! What an exploration found.

use std::sync::Arc;

use crate::{
    explore::Report,
    plan::Plan,
    report::{ExplorationDocument, page, shows_nothing},
    run::Run,
    world::Setup,
};

/// What an exploration found.
#[must_use = "check it"]
pub struct Explored {
    setup: Arc<Setup>,
    report: Report,
}

impl Explored {
    pub(crate) fn of(setup: Arc<Setup>, report: Report) -> Self {
        Self { setup, report }
    }

    /// The figures.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The run to look at: that of the shrunk plan, or the healthy one if nothing failed.
    pub fn run(&self) -> Run {
        let failure = self.report.failure.as_ref();
        let plan = failure.map_or_else(Plan::healthy, |failure| failure.plan.clone());
        Run::of(&self.setup, &plan)
    }

    /// What was found, with stable field names; its text is the report for people.
    pub fn document(&self) -> ExplorationDocument {
        let failure = self.report.failure.as_ref();
        let failure = failure.map(|failure| (failure, self.run()));
        ExplorationDocument::of(self.setup.definition.graph(), &self.report, failure)
    }

    /// The run to look at and the figures, as one page of HTML that needs nothing else.
    pub fn html(&self) -> String {
        let document = self.document();
        page(
            &self.run().document(),
            Some(&document),
            &document.to_string(),
        )
    }

    /// Fails if a plan fails, or if the exploration shows nothing: no saga completed, or no fault had
    /// a consequence.
    ///
    /// # Panics
    /// With the report: the shrunk plan and its timeline.
    #[track_caller]
    pub fn check(&self) {
        let holds = self.report.failure.is_none() && shows_nothing(&self.report).is_none();
        assert!(holds, "\n{}", self.document());
    }
}
