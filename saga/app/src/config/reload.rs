//! Reading the configuration again while a command runs.

use std::{ffi::OsString, io};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use super::{NotLoaded, settings::Settings};
use crate::{output::Output, telemetry::Levels};

/// What can change while a command runs; everything else changes at its next start.
const HOT: &str = "levels";

/// What a command runs with, and how to find out what that is now.
pub(crate) struct Reloading {
    line: Vec<OsString>,
    settings: Settings,
}

impl Reloading {
    pub(super) const fn of(line: Vec<OsString>, settings: Settings) -> Self {
        Self { line, settings }
    }

    /// Takes what the command runs with for what is said about it.
    pub(crate) fn apply(&self, levels: &Levels) {
        levels.set(self.settings.value(HOT));
    }

    /// From here on SIGHUP makes the command read its configuration again, until what is given is dropped.
    pub(crate) fn on_hangup(mut self, levels: Levels, output: Output) -> io::Result<JoinSet<()>> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut reloading = JoinSet::new();
        reloading.spawn(async move {
            while hangup.recv().await.is_some() {
                self.again(&levels, output);
            }
        });
        Ok(reloading)
    }

    /// An invalid configuration changes nothing.
    fn again(&mut self, levels: &Levels, output: Output) {
        let now = match super::understood(&self.line).and_then(super::Understood::allowed) {
            Ok(now) => now.settings,
            Err(error) => {
                let why = match error {
                    NotLoaded::Config(error) => error.to_string(),
                    NotLoaded::Usage(error) => error.to_string(),
                };
                return output.say(format_args!("the configuration stays as it was: {why}"));
            }
        };
        let changed = |(was, now): &(&super::settings::Setting, &super::settings::Setting)| {
            was.value != now.value
        };
        let changes: Vec<_> = self
            .settings
            .all
            .iter()
            .zip(&now.all)
            .filter(changed)
            .collect();
        if changes.is_empty() {
            output.say("the configuration is what it was");
        }
        for (_, change) in changes {
            let shown = change.masked();
            let value = shown.value.as_deref().unwrap_or("nothing");
            let (key, source) = (&shown.key, &shown.source);
            match &**key {
                HOT => output.say(format_args!("`{key}` is {value} from now on ({source})")),
                _ => output.say(format_args!(
                    "`{key}` becomes {value} at the next start, not before ({source})"
                )),
            }
        }
        // What is not applied differs again next time, so it is said again.
        let hot = now.get(HOT).cloned();
        for setting in &mut self.settings.all {
            if let Some(hot) = hot.as_ref().filter(|hot| hot.key == setting.key) {
                *setting = hot.clone();
            }
        }
        self.apply(levels);
    }
}
