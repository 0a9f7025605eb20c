//! What an exploration found.

use std::sync::Arc;

use crate::{
    coverage::Coverage,
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
    /// Of the run that it began in.
    plan: Plan,
    report: Report,
}

impl Explored {
    pub(crate) fn of(setup: Arc<Setup>, plan: Plan, report: Report) -> Self {
        Self {
            setup,
            plan,
            report,
        }
    }

    /// The figures.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// How often each way of the definition was gone: steps, compensations, arms, deadlines.
    pub fn coverage(&self) -> &Coverage {
        &self.report.coverage
    }

    /// The run to look at: that of the shrunk plan, or the one that it began in if nothing failed.
    pub fn run(&self) -> Run {
        let failure = self.report.failure.as_ref();
        match failure {
            Some(failure) => Run::of(&self.setup, &failure.plan).found(&failure.violation),
            None => Run::of(&self.setup, &self.plan),
        }
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

    /// Fails if a plan fails, or if the exploration shows nothing: no saga completed, no fault had a
    /// consequence, or a `sometimes` was never true.
    ///
    /// # Panics
    /// With the report: the shrunk plan and its timeline.
    #[track_caller]
    pub fn check(&self) {
        let holds = self.report.failure.is_none() && shows_nothing(&self.report).is_none();
        assert!(holds, "\n{}", self.document());
    }

    /// Fails as [`check`](Self::check) does, and also if no run went one of the definition's ways.
    ///
    /// # Panics
    /// With the report, which lists them.
    #[track_caller]
    pub fn check_covers_all(&self) {
        self.check();
        let missed = self.coverage().missed().next();
        assert!(
            missed.is_none(),
            "\nnot every way of the saga was gone\n{}",
            self.document()
        );
    }
}
