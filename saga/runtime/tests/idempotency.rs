//! Handlers that have their effect once, and such as do not: the latter are found, and named.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use sagalog::{
    Attempt, Direction, Failure, Found, Step, Worker, idempotency,
    worker::{Difference, Idempotency, NotIdempotent, Trial},
};
use tokio::task::yield_now;

const CHARGE: Step<u64, String> = Step::new("payments.charge").compensatable().probed();

/// What a bank holds: charges, and receipts for them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Bank {
    charges: Vec<(String, u64)>,
    receipts: BTreeMap<String, u64>,
}

type Shared = Arc<Mutex<Bank>>;

fn book(bank: &Shared) -> std::sync::MutexGuard<'_, Bank> {
    bank.lock().expect("nobody panics")
}

/// A bank of its own, with what is seen of it.
fn fresh(
    offers: impl Fn(Worker<Shared>) -> Worker<Shared>,
) -> impl Fn() -> (Worker<Shared>, Box<dyn Fn() -> Bank>) {
    move || {
        let bank = Shared::default();
        let seen = bank.clone();
        let see = Box::new(move || book(&seen).clone());
        (offers(Worker::with(bank)), see as Box<dyn Fn() -> Bank>)
    }
}

/// Both of its writes happen at most once for a key, however far it came before.
async fn charge(attempt: Attempt<Shared>, cents: u64) -> Result<String, Failure> {
    let key = attempt.key.to_string();
    yield_now().await;
    {
        let mut bank = book(&attempt.state);
        if !bank.charges.iter().any(|(known, _)| *known == key) {
            bank.charges.push((key.clone(), cents));
        }
    }
    yield_now().await;
    book(&attempt.state).receipts.insert(key, cents);
    yield_now().await;
    Ok(format!("paid {cents}"))
}

async fn refund(attempt: Attempt<Shared>, _: u64, _: Option<String>) -> Result<(), Failure> {
    let key = attempt.action_key.to_string();
    yield_now().await;
    book(&attempt.state)
        .charges
        .retain(|(known, _)| *known != key);
    yield_now().await;
    book(&attempt.state).receipts.remove(&key);
    Ok(())
}

async fn look(attempt: Attempt<Shared>, _: u64) -> Result<Found<String>, Failure> {
    yield_now().await;
    let bank = book(&attempt.state);
    let cents = bank.receipts.get(attempt.action_key.as_str());
    Ok(cents.map_or(Found::NotDone, |cents| {
        Found::Succeeded(format!("paid {cents}"))
    }))
}

idempotency!(
    good_handlers_are_idempotent,
    fresh(|worker| {
        worker
            .action(CHARGE, charge)
            .compensation(CHARGE, refund)
            .probe(CHARGE, look)
    }),
    CHARGE => 4_200,
);

fn only(faults: Vec<NotIdempotent>) -> NotIdempotent {
    let [fault] = faults.try_into().expect("one fault");
    fault
}

#[tokio::test]
async fn a_handler_that_charges_twice_is_found_by_running_it_twice() {
    async fn charge_again(attempt: Attempt<Shared>, cents: u64) -> Result<String, Failure> {
        book(&attempt.state)
            .charges
            .push((attempt.key.to_string(), cents));
        Ok("paid".into())
    }
    let wrong = Idempotency::of(fresh(|worker| worker.action(CHARGE, charge_again)));
    let fault = only(wrong.step(CHARGE, &7).faults().await);
    assert_eq!(fault.trial, Trial::Twice);
    assert_eq!(
        fault.to_string(),
        "the action of `payments.charge`, run twice: its effects differ
  one clean run: Bank { charges: [(\"default/idempotency/payments.charge/action\", 7)], receipts: {} }
  now:           Bank { charges: [(\"default/idempotency/payments.charge/action\", 7), \
         (\"default/idempotency/payments.charge/action\", 7)], receipts: {} }"
    );
}

/// It takes what it finds for done, and does its two writes apart.
async fn charge_by_halves(attempt: Attempt<Shared>, cents: u64) -> Result<String, Failure> {
    let key = attempt.key.to_string();
    yield_now().await;
    let known = book(&attempt.state)
        .charges
        .iter()
        .any(|(it, _)| *it == key);
    if !known {
        book(&attempt.state).charges.push((key.clone(), cents));
        yield_now().await;
        book(&attempt.state).receipts.insert(key, cents);
    }
    Ok("paid".into())
}

#[tokio::test]
async fn a_handler_that_leaves_half_of_its_work_is_found_at_the_await_point_between() {
    let wrong = Idempotency::of(fresh(|worker| worker.action(CHARGE, charge_by_halves)));
    let fault = only(wrong.step(CHARGE, &7).faults().await);
    assert_eq!(fault.trial, Trial::CutOff { at: 2 });
    let guide = include_str!("../../../docs/simulation.md");
    assert!(guide.contains(&fault.to_string()), "{fault}");
}

#[tokio::test]
async fn a_compensation_that_answers_something_else_the_second_time_is_found() {
    async fn refund_once(
        attempt: Attempt<Shared>,
        _: u64,
        _: Option<String>,
    ) -> Result<(), Failure> {
        match book(&attempt.state).charges.pop() {
            Some(_) => Ok(()),
            None => Err(Failure::permanent("there is no such charge")),
        }
    }
    let wrong = Idempotency::of(fresh(|worker| {
        worker
            .action(CHARGE, charge)
            .compensation(CHARGE, refund_once)
    }));
    let fault = only(wrong.step(CHARGE, &7).faults().await);
    assert_eq!(fault.direction, Direction::Compensation);
    assert_eq!(fault.trial, Trial::Twice);
    assert!(
        matches!(fault.difference, Difference::Answer { .. }),
        "{fault}"
    );
}

#[tokio::test]
async fn a_handler_that_fails_or_is_not_there_shows_nothing() {
    async fn fails(_: Attempt<Shared>, _: u64) -> Result<String, Failure> {
        Err(Failure::permanent("closed"))
    }
    let closed = Idempotency::of(fresh(|worker| worker.action(CHARGE, fails)));
    let fault = only(closed.step(CHARGE, &7).faults().await);
    assert!(matches!(fault.difference, Difference::Fails(_)), "{fault}");
    let nobody = Idempotency::of(fresh(|worker| worker));
    let fault = only(nobody.step(CHARGE, &7).faults().await);
    assert_eq!(fault.difference, Difference::NoHandler);
}
