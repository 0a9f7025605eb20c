//! The outside world: participants that keep their contract, as an account for each action key.

use std::{collections::BTreeMap, sync::Arc};

use sagalog_model::{Command, Direction, FailureClass, IdempotencyKey, Outcome, Payload};

/// What a participant gives for an input.
pub(crate) type Gives = Arc<dyn Fn(&Payload) -> Result<Payload, String> + Send + Sync>;

/// What every participant has done so far.
#[derive(Clone, Default)]
pub struct Ledger {
    accounts: BTreeMap<IdempotencyKey, Account>,
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
    pub failed: BTreeMap<u32, Outcome>,
}

impl Account {
    /// 1 if its effect stands, 0 if not.
    pub fn net(&self) -> i64 {
        i64::from(self.applied.is_some()) - i64::from(self.undone.is_some())
    }
}

impl Ledger {
    /// What was done under an action key.
    pub fn account(&self, key: &IdempotencyKey) -> Option<&Account> {
        self.accounts.get(key)
    }

    /// All accounts, by action key.
    pub fn accounts(&self) -> impl Iterator<Item = (&IdempotencyKey, &Account)> {
        self.accounts.iter()
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
        gives: Option<&Gives>,
        fails: Option<Outcome>,
        nth: u64,
    ) -> Outcome {
        let account = self.accounts.entry(command.action_key.clone()).or_default();
        match command.direction {
            Direction::Action => act(account, command, gives, fails, nth),
            Direction::Probe => match (&account.output, fails) {
                (_, Some(fails)) => fails,
                (Some(output), None) if account.applied.is_some() => {
                    Outcome::Succeeded(output.clone())
                }
                _ => Outcome::NotDone,
            },
            Direction::Compensation | Direction::Alternative => {
                if let Some(fails) = fails
                    && account.undone.is_none()
                    && !account.tombstone
                {
                    return fails;
                }
                if account.applied.is_none() {
                    account.tombstone = true;
                } else {
                    account.undone.get_or_insert(nth);
                }
                Outcome::Succeeded(Payload::null())
            }
        }
    }
}

fn act(
    account: &mut Account,
    command: &Command,
    gives: Option<&Gives>,
    fails: Option<Outcome>,
    nth: u64,
) -> Outcome {
    if let Some(output) = &account.output {
        return Outcome::Succeeded(output.clone());
    }
    if let Some(failed) = account.failed.get(&command.attempt.0) {
        return failed.clone();
    }
    let outcome = if account.tombstone {
        failed_for_good("it was made up for before it came".to_owned())
    } else if let Some(fails) = fails {
        fails
    } else {
        let output = gives.map_or_else(|| Ok(Payload::null()), |gives| gives(&command.input));
        match output {
            Ok(output) => {
                account.applied = Some(nth);
                account.output = Some(output.clone());
                return Outcome::Succeeded(output);
            }
            Err(reason) => failed_for_good(reason),
        }
    };
    if matches!(outcome, Outcome::Failed { .. }) {
        account.failed.insert(command.attempt.0, outcome.clone());
    }
    outcome
}

fn failed_for_good(reason: String) -> Outcome {
    Outcome::Failed {
        class: FailureClass::Permanent,
        reason,
    }
}
