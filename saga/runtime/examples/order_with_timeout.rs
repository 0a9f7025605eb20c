//! An order whose payment does not answer in time: in doubt, then probed.
//!
//! ```text
//! cargo run -p sagalog --example order_with_timeout
//! ```
//!
//! Look at how the three orders end. The first payment took effect and only its answer was lost: the
//! probe finds it, and the card is charged once. The second never took effect: the probe says so,
//! and it is asked again under the same key. The third never answers anything: its step's deadline
//! turns the saga, and the charge, of which nobody knows whether it happened, is refunded without
//! its output.

use std::{
    collections::HashSet,
    error::Error,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use sagalog::{
    Attempt, BadDefinition, Definition, Ended, Failure, Found, MemoryLog, Retry, Runtime, Saga,
    Step, Worker,
};

const ORDER: Saga<String, String> = Saga::new("order");
const RESERVE: Step<String, String> = Step::new("stock.reserve").compensatable();
const CHARGE: Step<String, String> = Step::new("money.charge")
    .compensatable()
    .probed()
    .timeout(Duration::from_millis(200))
    .retry(Retry::fixed(Duration::from_millis(50)).attempts(100))
    .deadline(Duration::from_secs(2));

fn order() -> Result<Definition<String, String>, BadDefinition> {
    let (mut saga, card) = ORDER.define(1);
    let reserved = saga.step("reserve", RESERVE, card);
    let charged = saga.step("charge", CHARGE, card);
    saga.returns(
        reserved
            .and(charged)
            .map(|goods, payment| format!("{goods}, {payment}")),
    )
}

/// The bank: which keys it has charged.
#[derive(Clone, Default)]
struct Bank {
    charged: Arc<Mutex<HashSet<String>>>,
}

impl Bank {
    fn charge(&self, key: &str) {
        let new = self.lock().insert(key.to_owned());
        println!(
            "  {key}: {}",
            if new { "charged" } else { "charged before" }
        );
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.charged.lock().expect("nobody panics under this lock")
    }
}

async fn charge(at: Attempt<Bank>, card: String) -> Result<String, Failure> {
    println!("  charge, attempt {}", at.number);
    match card.as_str() {
        "slow" if at.number.0 == 1 => {
            at.state.charge(at.key.as_str());
            // It took effect, and then the answer got lost: the call is cancelled at its deadline.
            pending().await
        }
        "lost" if at.number.0 == 1 => pending().await,
        "dead" => pending().await,
        _ => {
            at.state.charge(at.key.as_str());
            Ok(format!("paid by {card}"))
        }
    }
}

async fn find(at: Attempt<Bank>, card: String) -> Result<Found<String>, Failure> {
    if card == "dead" {
        return Ok(Found::Unknown);
    }
    let found = at.state.lock().contains(at.action_key.as_str());
    println!("  probe: {}", if found { "found" } else { "not done" });
    Ok(if found {
        Found::Succeeded(format!("paid by {card}"))
    } else {
        Found::NotDone
    })
}

async fn refund(at: Attempt<Bank>, _: String, payment: Option<String>) -> Result<(), Failure> {
    println!("  refund under {}, output {payment:?}", at.action_key);
    at.state.lock().remove(at.action_key.as_str());
    Ok(())
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let worker = Worker::with(Bank::default())
        .action(RESERVE, async |_, _| Ok("one book".to_owned()))
        .compensation(RESERVE, async |_, _, _| {
            println!("  the book goes back");
            Ok(())
        })
        .action(CHARGE, charge)
        .probe(CHARGE, find)
        .compensation(CHARGE, refund);
    let runtime = Runtime::on(Arc::new(MemoryLog::new()))
        .definition(order()?)
        .worker(worker)
        .start()
        .await?;
    let client = runtime.client();
    for card in ["slow", "lost", "dead"] {
        println!("order {card}:");
        let ended = client.run(ORDER, card, &card.to_owned()).await?;
        println!("  {ended:?}");
        assert_eq!(matches!(ended, Ended::Completed(_)), card != "dead");
    }
    runtime.stop().await?;
    Ok(())
}
