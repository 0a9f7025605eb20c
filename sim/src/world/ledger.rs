//! The outside world: participants that keep their contract, as an account for each action key.

use std::{any::type_name, collections::BTreeMap};

use sagalog_model::{Command, Direction, IdempotencyKey, Outcome, Payload};

use super::{
    models::Models,
    participant::{Fails, Function, Participant},
};
use crate::author;

/// What every participant has done so far, and the author's models of them.
#[derive(Clone, Default)]
pub struct Ledger {
    accounts: BTreeMap<IdempotencyKey, Account>,
    models: Models,
}

/// What was done under one action key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Account {
    /// The order in which it was applied among all effects, if it was.
    pub applied: Option<u64>,
    /// The order in which it was undone, by its compensation or an alternative.
    pub undone: Option<u64>,
    /// Undone before it was ever applied: it must not be applied any more.
    pub tombstone: bool,
    /// What it gave.
    pub output: Option<Payload>,
    /// The attempts that were answered Failed: they are answered so again.
    pub failed: BTreeMap<(Direction, u32), Outcome>,
}

impl Account {
    /// 1 if its effect stands, 0 if not.
    pub fn net(&self) -> i64 {
        i64::from(self.applied.is_some()) - i64::from(self.undone.is_some())
    }
}

impl Ledger {
    /// Nothing was done, and the models are as the author gives them.
    pub(crate) fn over(models: Models) -> Self {
        Self {
            accounts: BTreeMap::new(),
            models,
        }
    }

    /// What was done under an action key.
    pub fn account(&self, key: &IdempotencyKey) -> Option<&Account> {
        self.accounts.get(key)
    }

    /// All accounts, by action key.
    pub fn accounts(&self) -> impl Iterator<Item = (&IdempotencyKey, &Account)> {
        self.accounts.iter()
    }

    /// The author's model of this type, as it stands.
    ///
    /// # Panics
    /// If there is none: see [`Sim::model`](crate::Sim::model).
    #[track_caller]
    pub fn model<S: 'static>(&self) -> &S {
        let model = self.models.get();
        model.unwrap_or_else(|| panic!("no `.model(..)` gives a `{}`", type_name::<S>()))
    }

    /// Forgets what was made up for before it came.
    #[cfg(feature = "mutants")]
    pub(crate) fn forget_tombstones(&mut self) {
        for account in self.accounts.values_mut() {
            account.tombstone = false;
        }
    }

    /// Serves a command as the contract says: outcomes are recorded and answered again. `nth` orders
    /// effects; `fails` is how the participant fails this time, unless it has an answer on record.
    pub(crate) fn serve(
        &mut self,
        command: &Command,
        participant: &Participant,
        fails: Option<Outcome>,
        nth: u64,
    ) -> Outcome {
        let account = self.accounts.entry(command.action_key.clone()).or_default();
        let attempt = (command.direction, command.attempt.0);
        if let Some(recorded) = account.recorded(attempt) {
            return recorded;
        }
        // What was made up for never comes so far as to fail.
        let comes = command.direction != Direction::Action || !account.tombstone;
        let done = match fails.filter(|_| comes) {
            Some(fails) => Err(fails),
            None => perform(account, &mut self.models, command, participant),
        };
        match (done, command.direction) {
            (Ok(outcome), Direction::Probe) => outcome,
            (Ok(Outcome::Succeeded(output)), Direction::Action) => {
                account.applied = Some(nth);
                account.output = Some(output.clone());
                Outcome::Succeeded(output)
            }
            (Ok(outcome), _) => {
                if account.applied.is_some() {
                    account.undone = Some(nth);
                } else {
                    account.tombstone = true;
                }
                outcome
            }
            (Err(outcome), direction) => {
                // A probe finds out anew each time.
                if matches!(outcome, Outcome::Failed { .. }) && direction != Direction::Probe {
                    account.failed.insert(attempt, outcome.clone());
                }
                outcome
            }
        }
    }
}

impl Account {
    /// What was answered before, and so is answered again.
    fn recorded(&self, (direction, attempt): (Direction, u32)) -> Option<Outcome> {
        let done = match direction {
            Direction::Action => self.output.clone(),
            Direction::Probe => None,
            Direction::Compensation | Direction::Alternative => {
                let undone = self.undone.is_some() || self.tombstone;
                undone.then(Payload::null)
            }
        };
        let failed = || self.failed.get(&(direction, attempt)).cloned();
        done.map(Outcome::Succeeded).or_else(failed)
    }
}

/// Does what a command asks for, once.
fn perform(
    account: &Account,
    models: &mut Models,
    command: &Command,
    participant: &Participant,
) -> Result<Outcome, Outcome> {
    let done = Outcome::Succeeded;
    match command.direction {
        Direction::Action if account.tombstone => {
            Err(Fails::permanent("it was made up for before it came").into())
        }
        Direction::Action => {
            let action = participant.action.as_ref();
            let action = action.expect("it was looked that every step is served");
            run(models, command, action, None).map(done)
        }
        Direction::Probe => match &participant.probe {
            Some(probe) => {
                let found = author::call(|| named(command), || probe(models, &command.input))?;
                Ok(found.map_or(Outcome::NotDone, done))
            }
            None if account.applied.is_some() => {
                let output = account.output.clone();
                Ok(done(output.expect("what was applied gave something")))
            }
            None => Ok(Outcome::NotDone),
        },
        // Nothing was done: there is nothing to undo, only to remember.
        Direction::Compensation | Direction::Alternative if account.applied.is_none() => {
            Ok(done(Payload::null()))
        }
        Direction::Compensation => {
            let undo = participant.undo.as_ref();
            let undone = undo.map(|undo| run(models, command, undo, account.output.as_ref()));
            undone.transpose()?;
            Ok(done(Payload::null()))
        }
        Direction::Alternative => {
            let action = participant.action.as_ref();
            let action = action.expect("it was looked that every step is served");
            run(models, command, action, None)?;
            Ok(done(Payload::null()))
        }
    }
}

/// Runs a function of the author; if it fails, the models are left as they were.
fn run(
    models: &mut Models,
    command: &Command,
    function: &Function,
    output: Option<&Payload>,
) -> Result<Payload, Outcome> {
    let mut changed = models.clone();
    let serve = || function(&mut changed, &command.input, output);
    let given = author::call(|| named(command), serve)?;
    *models = changed;
    Ok(given)
}

fn named(command: &Command) -> String {
    let (step, direction) = (&command.step, command.direction);
    format!("the function of `{step}` ({direction})")
}
