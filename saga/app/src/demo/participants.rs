//! Inventory, payments, shipping and mail: what each does in the world, and by which rules.

use std::{hash::Hasher as _, path::Path, time::Duration};

use sagalog::{Attempt, AttemptNumber, Failure, Found, Worker};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    order::{
        CHARGE, Charge, Label, Mail, NOTIFY, Notice, Parcel, Payment, QUOTE, Quote, RESERVE,
        Reservation, Reserve, Route, SHIP,
    },
    world::{Answer, Asked, Deed, Unreachable, Wish, World},
};

/// The worker of all participants, whose world lives in this folder.
pub(super) fn worker(folder: &Path) -> Result<Worker<World>, Unreachable> {
    let worker = Worker::with(World::open(folder)?)
        .action(QUOTE, quote)
        .action(RESERVE, reserve)
        .compensation(RESERVE, release)
        .action(CHARGE, charge)
        .probe(CHARGE, find_charge)
        .compensation(CHARGE, refund)
        .action(SHIP, ship)
        .action(NOTIFY, notify);
    Ok(worker)
}

/// Nobody carries a parcel to Antarctica.
async fn quote(attempt: Attempt<World>, route: Route) -> Result<Quote, Failure> {
    let country = &route.address.country;
    if country == "AQ" {
        return act(&attempt, Wish::Refuse("nobody ships to AQ".into())).await;
    }
    let carrier = if country == "DE" {
        "Inland Post"
    } else {
        "Far Freight"
    };
    let base = if country == "DE" { 490 } else { 1_490 };
    let cents = base + 150 * route.pieces.saturating_sub(1).min(40);
    act(
        &attempt,
        done(&Quote {
            carrier: carrier.into(),
            cents,
        }),
    )
    .await
}

/// What begins with `OUT-` is not on the shelves.
async fn reserve(attempt: Attempt<World>, reserve: Reserve) -> Result<Reservation, Failure> {
    if let Some(item) = reserve
        .items
        .iter()
        .find(|item| item.sku.starts_with("OUT-"))
    {
        return act(
            &attempt,
            Wish::Refuse(format!("{} is out of stock", item.sku)),
        )
        .await;
    }
    act(
        &attempt,
        done(&Reservation {
            id: format!("res-{}", attempt.saga),
        }),
    )
    .await
}

async fn release(
    attempt: Attempt<World>,
    _: Reserve,
    _: Option<Reservation>,
) -> Result<(), Failure> {
    act(&attempt, Wish::Undo).await
}

/// Cards have their ways: some are declined, some work the third time, and of some the first answer
/// gets lost on its way back.
async fn charge(attempt: Attempt<World>, charge: Charge) -> Result<Payment, Failure> {
    let payment = Payment {
        id: format!("pay-{}", attempt.saga),
        cents: charge.cents,
    };
    match &*charge.card {
        "tok_declined" => act(&attempt, Wish::Refuse("the card was declined".into())).await,
        "tok_flaky" => {
            let reason = "the card's bank is busy";
            act(
                &attempt,
                Wish::Stumble {
                    times: 2,
                    reason,
                    output: written(&payment),
                },
            )
            .await
        }
        "tok_lost" if attempt.number == AttemptNumber(1) => {
            act::<Payment>(&attempt, done(&payment)).await?;
            std::future::pending().await
        }
        _ => act(&attempt, done(&payment)).await,
    }
}

async fn find_charge(attempt: Attempt<World>, _: Charge) -> Result<Found<Payment>, Failure> {
    match ask(&attempt, Wish::Find).await? {
        Answer::Done(output) => Ok(Found::Succeeded(serde_json::from_str(&output)?)),
        _ => Ok(Found::NotDone),
    }
}

async fn refund(attempt: Attempt<World>, _: Charge, _: Option<Payment>) -> Result<(), Failure> {
    act(&attempt, Wish::Undo).await
}

async fn ship(attempt: Attempt<World>, parcel: Parcel) -> Result<Label, Failure> {
    let carrier: String = parcel
        .carrier
        .chars()
        .filter(char::is_ascii_uppercase)
        .collect();
    act(
        &attempt,
        done(&Label {
            tracking: format!("{carrier}-{}", attempt.saga),
        }),
    )
    .await
}

async fn notify(attempt: Attempt<World>, _: Notice) -> Result<Mail, Failure> {
    act(
        &attempt,
        done(&Mail {
            id: format!("mail-{}", attempt.saga),
        }),
    )
    .await
}

/// Asks the world to do or undo something.
async fn act<O: DeserializeOwned>(attempt: &Attempt<World>, wish: Wish) -> Result<O, Failure> {
    match ask(attempt, wish).await? {
        Answer::Done(output) => Ok(serde_json::from_str(&output)?),
        Answer::Refused(reason) => Err(Failure::permanent(reason)),
        Answer::Stumbled(reason) => Err(Failure::transient(reason)),
        Answer::NotDone => Err(Failure::unknown(
            "the world was not asked a question and answered one",
        )),
    }
}

async fn ask(attempt: &Attempt<World>, wish: Wish) -> Result<Answer, Unreachable> {
    let deed = Deed {
        saga: attempt.saga.as_str().into(),
        step: attempt.node.clone(),
    };
    let (key, action_key) = (
        attempt.key.as_str().into(),
        attempt.action_key.as_str().into(),
    );
    let answer = attempt
        .state
        .ask(Asked {
            key,
            action_key,
            deed,
            wish,
        })
        .await?;
    // Answers travel: between an effect and its reply there is time for everything to break.
    tokio::time::sleep(way_back(attempt.key.as_str())).await;
    Ok(answer)
}

/// 2 to 6 ms, for the same effect always the same.
fn way_back(key: &str) -> Duration {
    let mut hash = std::hash::DefaultHasher::new();
    hash.write(key.as_bytes());
    Duration::from_micros(2_000 + hash.finish() % 4_000)
}

fn done(output: &impl Serialize) -> Wish {
    Wish::Do(written(output))
}

fn written(output: &impl Serialize) -> String {
    serde_json::to_string(output).expect("outputs are plain data")
}
