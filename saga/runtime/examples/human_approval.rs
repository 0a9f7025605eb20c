//! An expense that a person approves in time or not, and a payment that a person mends.
//!
//! ```text
//! cargo run -p sagalog --example human_approval
//! ```
//!
//! Look at the three expenses. The first is approved: its signal even comes before it is waited for.
//! Nobody approves the second, so its wait ends without a signal and the saga goes back. The third
//! is past its pivot when the bank refuses for good: nothing is undone any more, the node is parked,
//! `why` says who can help, and an operator resolves it with the output of work done by hand.

use std::{error::Error, sync::Arc, time::Duration};

use sagalog::{
    Attempt, BadDefinition, Client, Definition, Ended, Failure, MemoryLog, Payload, Runtime, Saga,
    Signal, Step, Worker,
};

const EXPENSE: Saga<u64, String> = Saga::new("expense");
const APPROVAL: Signal<bool> = Signal::new("approval");
const BLOCK: Step<u64, u64> = Step::new("budget.block").compensatable();
const PAY: Step<u64, String> = Step::new("bank.pay").retryable();

fn expense() -> Result<Definition<u64, String>, BadDefinition> {
    let (mut saga, euros) = EXPENSE.define(1);
    let blocked = saga.step("block", BLOCK, euros);
    let approved = saga
        .signal("approved", APPROVAL)
        .within(Duration::from_secs(1));
    saga.check(
        "is-approved",
        approved.map(|approved| match approved {
            Some(true) => Ok(()),
            Some(false) => Err("it was declined".to_owned()),
            None => Err("nobody approved it in time".to_owned()),
        }),
    );
    saga.pivot();
    let paid = saga.step("pay", PAY, blocked);
    saga.returns(paid)
}

async fn pay(_: Attempt, euros: u64) -> Result<String, Failure> {
    if euros > 1_000 {
        println!("  the bank refuses {euros}");
        return Err(Failure::permanent("over the limit of this account"));
    }
    Ok(format!("paid {euros}"))
}

/// Shows why a saga waits, until it waits for a person.
async fn until_parked(client: &Client, saga: &str) -> Result<(), Box<dyn Error>> {
    loop {
        let why = client.why(saga).await?;
        if let Some(waiting) = why.waiting.iter().find(|waiting| waiting.until.is_none()) {
            println!(
                "  {} waits for {}: {}",
                waiting.node, waiting.who, waiting.next
            );
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let worker = Worker::new()
        .action(BLOCK, async |_, euros| {
            println!("  blocked {euros}");
            Ok(euros)
        })
        .compensation(BLOCK, async |_, euros, _| {
            println!("  {euros} are free again");
            Ok(())
        })
        .action(PAY, pay);
    let runtime = Runtime::on(Arc::new(MemoryLog::new()))
        .definition(expense()?)
        .worker(worker)
        .start()
        .await?;
    let client = runtime.client();

    println!("lunch is approved:");
    client.start(EXPENSE, "lunch", &20).await?;
    client.signal(APPROVAL, "lunch", "mail-1", &true).await?;
    let ended = client.result(EXPENSE, "lunch").await?;
    println!("  {ended:?}");
    assert_eq!(ended, Ended::Completed("paid 20".to_owned()));

    println!("nobody looks at the yacht:");
    let ended = client.run(EXPENSE, "yacht", &900).await?;
    println!("  {ended:?}");
    assert!(matches!(ended, Ended::Compensated { .. }));

    println!("the office is approved, and the bank refuses:");
    client.start(EXPENSE, "office", &5_000).await?;
    client.signal(APPROVAL, "office", "mail-2", &true).await?;
    until_parked(&client, "office").await?;
    let by_hand = Payload::of("paid 5000 over the counter")?;
    let ada = client.acting_as("ada");
    ada.resolve("office", "ticket-17", "pay", by_hand).await?;
    let ended = client.result(EXPENSE, "office").await?;
    println!("  {ended:?}");
    assert_eq!(
        ended,
        Ended::Completed("paid 5000 over the counter".to_owned())
    );

    runtime.stop().await?;
    Ok(())
}
