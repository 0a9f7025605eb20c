//! The Rust of `docs/guide.md`: every block of it stands here or in an example, word for word, is
//! compiled and run. What the guide says of texts and bounds is compared with the real ones.

use std::{
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use sagalog::{
    Attempt, BadDefinition, CallError, Client, Definition, Ended, Failure, Flow, Found, Gaps,
    MemoryLog, Out, Payload, Refusal, Retry, Rules, Runtime, Saga, Signal, SqliteLog, Status, Step,
    Undo, Worker, just,
};
use sagalog_projections::{dedup::LASTING_MAX, held::Held, sequence::Sequences, signals::Signals};
use serde::{Deserialize, Serialize};

#[path = "../examples/hello.rs"]
mod hello;
#[path = "../examples/human_approval.rs"]
mod human_approval;
#[path = "../examples/order_with_timeout.rs"]
mod order_with_timeout;
#[path = "guide/own_database.rs"]
mod own_database;
#[path = "../examples/trip_booking.rs"]
mod trip_booking;

const GUIDE: &str = include_str!("../../../docs/guide.md");

/// Where the code of the guide stands.
const SOURCES: &[&str] = &[
    include_str!("guide.rs"),
    include_str!("rabbitmq/guide.rs"),
    include_str!("rabbitmq/published.rs"),
    include_str!("../examples/follower.rs"),
    include_str!("guide/own_database.rs"),
    include_str!("../examples/hello.rs"),
    include_str!("../examples/human_approval.rs"),
    include_str!("../examples/order_with_timeout.rs"),
    include_str!("../examples/trip_booking.rs"),
];

type Done = Result<(), Box<dyn Error>>;

#[test]
fn the_examples_end_as_they_say() -> Done {
    hello::main()?;
    human_approval::main()?;
    order_with_timeout::main()?;
    trip_booking::main()
}

#[test]
fn every_block_of_the_guide_is_compiled_and_run() {
    let blocks = blocks("rust");
    assert!(blocks.len() > 10, "only {} blocks", blocks.len());
    for block in blocks {
        let stands = SOURCES.iter().any(|source| stands_in(&block, source));
        assert!(
            stands,
            "no test runs this block of the guide:\n{}",
            block.join("\n")
        );
    }
}

mod later {
    use std::sync::Mutex;

    use sagalog::{Given, Token};

    use super::*;

    const SCAN: Step<u64, String> = Step::new("lab.scan")
        .compensatable()
        .heartbeat(Duration::from_secs(60))
        .deadline(Duration::from_secs(24 * 60 * 60));

    #[derive(Clone, Default)]
    struct Lab(Arc<Mutex<Vec<(u64, Token)>>>);

    impl Lab {
        fn queue(&self, sample: u64, token: Token) -> Result<(), Failure> {
            let queue = self.0.lock();
            let mut queue = queue.map_err(|_| Failure::transient("the queue is broken"))?;
            queue.push((sample, token));
            Ok(())
        }

        fn next(&self) -> Option<(u64, Token)> {
            self.0.lock().expect("not poisoned").pop()
        }
    }

    async fn scan(attempt: Attempt<Lab>, sample: u64) -> Result<Given<String>, Failure> {
        attempt.state.queue(sample, attempt.token())?;
        Ok(Given::Later)
    }

    async fn done(client: &Client, token: &Token, report: String) -> Result<(), CallError> {
        client.heartbeat(token, "the report is written").await?;
        client.complete(SCAN, token, Ok(&report)).await
    }

    #[tokio::test]
    async fn what_was_accepted_is_completed_by_its_token() -> Done {
        const STUDY: Saga<u64, String> = Saga::new("study");
        let (mut saga, sample) = STUDY.define(1);
        let report = saga.step("scan", SCAN, sample);
        let lab = Lab::default();
        let worker = Worker::with(lab.clone())
            .accepts(SCAN, scan)
            .compensation(SCAN, |_, _, _| async { Ok(()) });
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .definition(saga.returns(report)?)
            .worker(worker)
            .start()
            .await?;
        let client = runtime.client();
        client.start(STUDY, "s-1", &7).await?;
        let (sample, token) = loop {
            match lab.next() {
                Some(work) => break work,
                None => tokio::task::yield_now().await,
            }
        };
        let token: Token = token.to_string().parse()?;
        let stranger: Token = token.to_string().replace("s-1", "s-2").parse()?;
        let refused = done(&client, &stranger, String::new()).await;
        assert!(matches!(
            refused,
            Err(CallError::Refused(Refusal::NoSuchSaga { .. }))
        ));
        done(&client, &token, format!("sample {sample} is fine")).await?;
        let ended = client.result(STUDY, "s-1").await?;
        assert_eq!(ended, Ended::Completed("sample 7 is fine".to_owned()));
        done(&client, &token, "twice".to_owned()).await?;
        runtime.stop().await?;
        Ok(())
    }
}

mod order {
    use super::*;

    #[derive(Clone, Serialize, Deserialize)]
    struct Order {
        sku: String,
        quantity: u32,
        cents: u64,
        gift: bool,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Receipt {
        payment: Option<String>,
        tracking: String,
    }

    const ORDER: Saga<Order, Receipt> = Saga::new("order");
    const RESERVE: Step<(String, u32), String> = Step::new("stock.reserve").compensatable();
    const CHARGE: Step<u64, String> = Step::new("money.charge")
        .compensatable()
        .probed()
        .timeout(Duration::from_secs(5));
    const SHIP: Step<String, String> = Step::new("shipping.ship").retryable();

    fn order() -> Result<Definition<Order, Receipt>, BadDefinition> {
        let (mut saga, order) = ORDER.define(1);
        let goods = saga.step("reserve", RESERVE, order.map(|o| (o.sku, o.quantity)));
        let paid = saga.when("pay", order.map(|o| !o.gift), |saga| {
            saga.step("charge", CHARGE, order.map(|o| o.cents))
        });
        saga.pivot();
        let label = saga.step("ship", SHIP, goods);
        saga.returns(
            paid.and(label)
                .map(|payment, tracking| Receipt { payment, tracking }),
        )
    }

    #[derive(Clone)]
    struct Shop {
        in_stock: u32,
    }

    async fn reserve(at: Attempt<Shop>, (sku, quantity): (String, u32)) -> Result<String, Failure> {
        if quantity > at.state.in_stock {
            return Err(Failure::permanent(format!("not enough {sku}")));
        }
        Ok(format!("{quantity} {sku}"))
    }

    async fn release(
        _: Attempt<Shop>,
        _: (String, u32),
        goods: Option<String>,
    ) -> Result<(), Failure> {
        println!("back to the shelf: {goods:?}");
        Ok(())
    }

    async fn charge(at: Attempt<Shop>, cents: u64) -> Result<String, Failure> {
        // The card network takes the key as its own: one key, one payment.
        Ok(format!("{cents} cents as {}", at.key))
    }

    async fn find_charge(_: Attempt<Shop>, _: u64) -> Result<Found<String>, Failure> {
        Ok(Found::NotDone)
    }

    async fn refund(at: Attempt<Shop>, _: u64, _: Option<String>) -> Result<(), Failure> {
        println!("refund whatever was charged as {}", at.action_key);
        Ok(())
    }

    fn worker(shop: Shop) -> Worker<Shop> {
        Worker::with(shop)
            .action(RESERVE, reserve)
            .compensation(RESERVE, release)
            .action(CHARGE, charge)
            .probe(CHARGE, find_charge)
            .compensation(CHARGE, refund)
            .action(SHIP, async |_, goods| Ok(format!("parcel of {goods}")))
    }

    #[test]
    fn the_outline_is_as_the_guide_shows_it() -> Done {
        let outline = order()?.graph().outline().to_string();
        assert!(GUIDE.contains(outline.trim_end()), "{outline}");
        Ok(())
    }

    #[test]
    fn a_bad_definition_is_refused_with_all_its_faults() {
        let receipt = just(Receipt {
            payment: None,
            tracking: "none".into(),
        });
        let (mut saga, order) = ORDER.define(1);
        let goods = saga.step("reserve", RESERVE, order.map(|o| (o.sku, o.quantity)));
        saga.step("ship", SHIP, goods);
        saga.pivot();
        saga.step("charge", CHARGE, order.map(|o| o.cents));
        let refused = saga.returns(receipt).expect_err("it has two faults");
        assert_eq!(refused.faults.len(), 2);
        for fault in refused.faults {
            assert!(GUIDE.contains(&fault.what), "{}", fault.what);
        }
    }

    #[tokio::test]
    async fn an_order_runs_on_a_file() -> Done {
        let folder = tempfile::tempdir()?;
        run(&folder.path().join("log.db")).await
    }

    async fn run(file: &Path) -> Result<(), Box<dyn Error>> {
        let runtime = Runtime::on(Arc::new(SqliteLog::open(file).await?))
            .definition(order()?)
            .worker(worker(Shop { in_stock: 7 }))
            .start()
            .await?;
        let client = runtime.client();

        let books = Order {
            sku: "book".into(),
            quantity: 2,
            cents: 4_200,
            gift: false,
        };
        match client.run(ORDER, "order-4711", &books).await? {
            Ended::Completed(receipt) => println!("done: {receipt:?}"),
            Ended::Compensated { reason } => println!("undone: {reason}"),
            Ended::PartlyCompensated { reason, left } => println!("{reason}; left: {left:?}"),
        }

        runtime.stop().await?;
        Ok(())
    }

    async fn in_memory() -> Result<Runtime, Box<dyn Error>> {
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .definition(order()?)
            .worker(worker(Shop { in_stock: 7 }));
        Ok(runtime.start().await?)
    }

    fn books(quantity: u32) -> Order {
        Order {
            sku: "book".into(),
            quantity,
            cents: 4_200,
            gift: false,
        }
    }

    #[tokio::test]
    async fn the_same_start_twice_is_one_saga() -> Done {
        let runtime = in_memory().await?;
        let client = runtime.client();
        let (two, three) = (books(2), books(3));
        client.start(ORDER, "order-4711", &two).await?;
        client.start(ORDER, "order-4711", &two).await?; // the same start: nothing happens

        let other = client.start(ORDER, "order-4711", &three).await;
        assert!(matches!(
            other,
            Err(CallError::Refused(Refusal::OtherContent { .. }))
        ));
        Ok(())
    }

    #[tokio::test]
    async fn a_saga_says_why_it_waits() -> Done {
        let runtime = in_memory().await?;
        let client = runtime.client();
        client.start(ORDER, "order-4711", &books(8)).await?;
        explain(&client).await?;
        client.end("order-4711").await?;
        assert_eq!(client.status("order-4711").await?, Status::Compensated);
        Ok(())
    }

    async fn explain(client: &Client) -> Done {
        let why = client.why("order-4711").await?;
        println!("{}; to do: {:?}", why.status, why.to_do);
        for waiting in &why.waiting {
            println!("{} waits for {}", waiting.node, waiting.who);
            println!("  until {:?}, then {}", waiting.until, waiting.next);
        }
        Ok(())
    }

    #[tokio::test]
    async fn several_versions_run_side_by_side() -> Done {
        let (order_1, order_2) = (order()?, order_2()?);
        let runtime = Runtime::on(Arc::new(MemoryLog::new()));
        let runtime = runtime.definition(order_1).definition(order_2);
        let worker = worker(Shop { in_stock: 7 });
        let runtime = runtime.worker(worker).start().await?;
        let client = runtime.client();
        let ended = client.run(ORDER, "o-1", &books(1)).await?;
        assert!(matches!(ended, Ended::Completed(_)));
        let state = client.state("o-1").await?;
        assert_eq!(
            state.graph().version.0,
            2,
            "new sagas start with the newest"
        );
        Ok(())
    }

    fn order_2() -> Result<Definition<Order, Receipt>, BadDefinition> {
        let (mut saga, order) = ORDER.define(2);
        let goods = saga.step("reserve", RESERVE, order.map(|o| (o.sku, o.quantity)));
        saga.pivot();
        let label = saga.step("ship", SHIP, goods);
        saga.returns(label.map(|tracking| Receipt {
            payment: None,
            tracking,
        }))
    }
}

mod compensating {
    use super::*;

    const REFUND_LATER: Step<Undo<u64, String>, ()> = Step::new("desk.refund").retryable();

    const CHARGE: Step<u64, String> = Step::new("money.charge")
        .compensatable()
        .undo_retry(
            Retry::exponential(Duration::from_secs(1), Duration::from_secs(600)).attempts(20),
        )
        .or(REFUND_LATER);

    const ANNOUNCE: Step<u64, ()> = Step::new("mail.announce")
        .compensatable()
        .or_skip("a mail that was sent stays sent");

    const SALE: Saga<u64, String> = Saga::new("sale");

    #[tokio::test]
    async fn what_cannot_be_undone_is_made_up_for_or_named() -> Done {
        let (mut saga, cents) = SALE.define(1);
        let payment = saga.step("charge", CHARGE, cents);
        saga.step("announce", ANNOUNCE, cents);
        let sold = saga.check(
            "is-sold",
            payment.map(|_| Err::<String, _>("it is sold out".to_owned())),
        );
        let definition = saga.returns(sold)?;
        let worker = Worker::new()
            .action(CHARGE, async |_, cents| Ok(format!("{cents} cents")))
            .compensation(CHARGE, async |_: Attempt, _, _| {
                Err(Failure::permanent("the bank is closed"))
            })
            .action(REFUND_LATER, async |_: Attempt, undo| {
                assert_eq!(undo.output.as_deref(), Some("4200 cents"));
                Ok(())
            })
            .action(ANNOUNCE, async |_, _| Ok(()))
            .compensation(ANNOUNCE, async |_: Attempt, _, _| {
                Err(Failure::permanent("nobody can do that"))
            });
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .definition(definition)
            .worker(worker)
            .start()
            .await?;
        let ended = runtime.client().run(SALE, "sale-1", &4_200).await?;
        assert_eq!(
            ended,
            Ended::PartlyCompensated {
                reason: "it is sold out".to_owned(),
                left: vec!["announce".into()],
            }
        );
        Ok(())
    }
}

mod branching {
    use super::*;

    #[derive(Clone, Serialize, Deserialize)]
    struct Trip {
        day: u32,
        pay: Pay,
    }

    #[derive(Clone, Serialize, Deserialize)]
    enum Pay {
        Card(String),
        Points(u32),
        Nothing,
    }

    const TRIP: Saga<Trip, u32> = Saga::new("trip");
    const ASK: Step<u32, u32> = Step::new("air.ask").read_only();
    const BOOK: Step<u32, u32> = Step::new("air.book").compensatable();
    const CHARGE: Step<String, u32> = Step::new("money.charge").compensatable();
    const REDEEM: Step<u32, u32> = Step::new("points.redeem").compensatable();

    fn flight(saga: &mut Flow, id: &str, day: Out<u32>) -> Out<u32> {
        let offer = saga.step(&format!("{id}-ask"), ASK, day);
        saga.step(&format!("{id}-book"), BOOK, offer)
    }

    fn trip() -> Result<Definition<Trip, u32>, BadDefinition> {
        let (mut saga, trip) = TRIP.define(1);
        let day = saga.value("day", trip.map(|trip| trip.day));
        let week_later = saga.value("week-later", day.map(|day| day + 7));
        let (there, back) = saga.all(|all| {
            (
                all.branch(|saga| flight(saga, "there", day)),
                all.branch(|saga| flight(saga, "back", week_later)),
            )
        });
        let price = saga.check(
            "price",
            there.and(back).map(|there, back| match there + back {
                price @ ..=1_000 => Ok(price),
                price => Err(format!("{price} is too much")),
            }),
        );
        let paid = saga.choose("pay", trip.map(|trip| trip.pay), |case| {
            let card = case.arm("card", |saga, token| saga.step("charge", CHARGE, token));
            let points = case.arm("points", |saga, count| saga.step("redeem", REDEEM, count));
            let nothing = case.arm("nothing", |saga, _: Out<()>| {
                saga.fail("unpaid", just("nobody pays".to_owned()))
            });
            case.pick(
                (card, points, nothing),
                |pay, (card, points, nothing)| match pay {
                    Pay::Card(token) => card.with(token),
                    Pay::Points(count) => points.with(count),
                    Pay::Nothing => nothing.take(),
                },
            )
        });
        saga.returns(price.and(paid).map(|price, paid| price + paid))
    }

    #[tokio::test]
    async fn each_branch_goes_where_it_should() -> Done {
        let worker = Worker::new()
            .action(ASK, async |_, day| Ok(day * 10))
            .action(BOOK, async |_, offer| Ok(offer))
            .compensation(BOOK, async |_: Attempt, _, _| Ok(()))
            .action(CHARGE, async |_, _| Ok(1))
            .compensation(CHARGE, async |_: Attempt, _, _| Ok(()))
            .action(REDEEM, async |_, count| Ok(count))
            .compensation(REDEEM, async |_: Attempt, _, _| Ok(()));
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .definition(trip()?)
            .worker(worker)
            .start()
            .await?;
        let client = runtime.client();
        let mut ends = Vec::new();
        for (id, day, pay) in [
            ("card", 1, Pay::Card("tok".into())),
            ("points", 1, Pay::Points(5)),
            ("nothing", 1, Pay::Nothing),
            ("dear", 90, Pay::Points(5)),
        ] {
            ends.push(client.run(TRIP, id, &Trip { day, pay }).await?);
        }
        let back = |reason: &str| Ended::Compensated {
            reason: reason.to_owned(),
        };
        assert_eq!(
            ends,
            [
                Ended::Completed(91),
                Ended::Completed(95),
                back("nobody pays"),
                back("1870 is too much"),
            ]
        );
        Ok(())
    }
}

mod waiting {
    use super::*;

    const APPROVAL: Signal<bool> = Signal::new("approval");

    const LEAVE: Saga<u32, String> = Saga::new("leave");
    const BLOCK: Step<u32, u32> = Step::new("calendar.block").compensatable();

    fn leave() -> Result<Definition<u32, String>, BadDefinition> {
        let (mut saga, days) = LEAVE.define(1);
        saga.deadline(Duration::from_secs(14 * 24 * 3_600));
        let blocked = saga.step("block", BLOCK, days);
        saga.sleep("cool-off", Duration::from_millis(1));
        saga.sleep(
            "longer-for-more",
            days.map(|days| Duration::from_millis(days.into())),
        );
        let approved = saga
            .signal("approved", APPROVAL)
            .within(Duration::from_secs(3 * 24 * 3_600));
        saga.check(
            "is-approved",
            approved.map(|approved| match approved {
                Some(true) => Ok(()),
                Some(false) => Err("it was declined".to_owned()),
                None => Err("nobody answered within three days".to_owned()),
            }),
        );
        saga.returns(blocked.map(|days| format!("{days} days off")))
    }

    #[tokio::test]
    async fn a_wait_takes_a_signal_that_came_early() -> Done {
        let worker = Worker::new()
            .action(BLOCK, async |_, days| Ok(days))
            .compensation(BLOCK, async |_: Attempt, _, _| Ok(()));
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .definition(leave()?)
            .worker(worker)
            .start()
            .await?;
        let client = runtime.client();
        client.start(LEAVE, "leave-7", &3).await?;
        client.signal(APPROVAL, "leave-7", "mail-93", &true).await?;
        let ended = client.result(LEAVE, "leave-7").await?;
        assert_eq!(ended, Ended::Completed("3 days off".to_owned()));
        Ok(())
    }
}

mod in_order {
    use super::*;

    const OFFER: Saga<(), Vec<Option<u64>>> = Saga::new("offer");
    const PRICE: Signal<u64> =
        Signal::new("price").gaps(Gaps::within(Duration::from_secs(60)).asking(2));

    /// An offer that waits for two prices.
    async fn offer() -> Result<Runtime, Box<dyn Error>> {
        let (mut saga, _) = OFFER.define(1);
        let day = Duration::from_secs(24 * 3_600);
        let first = saga.signal("first", PRICE).within(day);
        let second = saga.signal("second", PRICE).within(day);
        let both = first.and(second).map(|first, second| vec![first, second]);
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .definition(saga.returns(both)?)
            .start()
            .await?;
        runtime.client().start(OFFER, "offer-7", &()).await?;
        Ok(runtime)
    }

    #[tokio::test]
    async fn a_signal_may_say_until_when_it_comes_again() -> Done {
        let runtime = offer().await?;
        let client = runtime.client();
        let until = SystemTime::now() + Duration::from_secs(3_600);
        client
            .until(until) // the same for each repeat
            .signal(PRICE, "offer-7", "mail-93", &4_100)
            .await?;
        let later = client.until(until + Duration::from_secs(1));
        let again = later.signal(PRICE, "offer-7", "mail-93", &4_100).await;
        assert!(
            matches!(
                again,
                Err(CallError::Refused(Refusal::OtherContentOf { .. }))
            ),
            "{again:?}"
        );
        Ok(())
    }

    #[tokio::test]
    async fn numbered_signals_are_taken_in_order() -> Done {
        let runtime = offer().await?;
        let client = runtime.client();
        client
            .signal_in_order(PRICE, "offer-7", ("pricing", 2), &4_100) // kept: 1 is missing
            .await?;
        client
            .signal_in_order(PRICE, "offer-7", ("pricing", 1), &4_200) // taken, and 2 after it
            .await?;
        let ended = client.result(OFFER, "offer-7").await?;
        assert_eq!(ended, Ended::Completed(vec![Some(4_200), Some(4_100)]));
        Ok(())
    }
}

mod mending {
    use super::*;

    const PACK: Saga<u32, u32> = Saga::new("pack");
    const SHIP: Step<u32, u32> = Step::new("shipping.ship").retryable();

    #[tokio::test]
    async fn an_operator_mends_what_is_parked() -> Done {
        let (mut saga, parcel) = PACK.define(1);
        saga.pivot();
        let first = saga.step("first", SHIP, parcel);
        let second = saga.step("second", SHIP, parcel);
        let definition = saga.returns(first.and(second).map(|first, second| first + second))?;
        let worker = Worker::new().action(SHIP, async |at: Attempt, parcel| match at.number.0 {
            1 => Err(Failure::permanent("the label printer is on fire")),
            _ => Ok(parcel),
        });
        let runtime = Runtime::on(Arc::new(MemoryLog::new()))
            .definition(definition)
            .worker(worker)
            .start()
            .await?;
        let client = runtime.client();
        client.start(PACK, "pack-1", &4).await?;
        until_parked(&client, "first").await?;
        let tracking = Payload::of(&5)?;
        let ada = client.acting_as("ada");
        ada.retry("pack-1", "ticket-17", "first").await?;
        until_parked(&client, "second").await?;
        ada.resolve("pack-1", "ticket-18", "second", tracking)
            .await?;
        let ended = client.result(PACK, "pack-1").await?;
        assert_eq!(ended, Ended::Completed(9));
        Ok(())
    }

    async fn until_parked(client: &Client, node: &str) -> Done {
        loop {
            let state = client.state("pack-1").await?;
            let index = state.graph().find(node).expect("it is there");
            if state.node(index).parked.is_some() {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The guide's table of bounds has these rows.
#[test]
fn the_bounds_are_those_of_the_code() {
    let rules = Rules::DEFAULT;
    let bounds = [
        ("sagas under way", rules.live_max),
        ("commands published and unanswered", rules.window),
        ("bytes of a payload", rules.payload_max),
        (
            "bytes that the functions of one input give",
            rules.decided_bytes_max,
        ),
        ("callers that wait for an end", rules.waiters_max),
        ("bytes of the id of a signal or request", rules.id_max),
        ("bytes of a recorded reason", rules.reason_max),
        (
            "signals of a saga in its life, of those that have neither number nor time",
            LASTING_MAX,
        ),
        (
            "signals of a saga that may still come again, of those that have a time",
            rules.ids_max,
        ),
        (
            "signals of a saga that wait to be consumed, with those kept ahead of gaps",
            Signals::MAX,
        ),
        (
            "producers that number what they send to a saga",
            Sequences::PRODUCERS_MAX,
        ),
        ("signals of a saga kept ahead of gaps", Sequences::AHEAD_MAX),
        (
            "bytes of the payloads kept ahead of gaps",
            Sequences::AHEAD_BYTES_MAX,
        ),
        ("inputs of a saga that are held", Held::MAX),
        ("bytes of what they carry", Held::BYTES_MAX),
        (
            "newest numbers whose content is remembered",
            Sequences::CONTENTS_MAX,
        ),
        (
            "newest ranges that were given up and are remembered",
            Sequences::GIVEN_UP_MAX,
        ),
        (
            "operators' requests of a saga in its life, of those that have no time",
            LASTING_MAX,
        ),
        (
            "operators' requests of a saga that may still come again, of those that have a time",
            rules.ids_max,
        ),
        ("nodes of a definition", sagalog::check::MAX_NODES),
        ("branches inside each other", sagalog::check::MAX_DEPTH),
        ("waits in a list of delays", sagalog::policy::DelayList::MAX),
        ("bytes of a saga's id", sagalog::log::StreamName::MAX_BYTES),
        (
            "commands that wait in a participant's queue",
            sagalog::worker::COMMANDS_MAX,
        ),
    ];
    for (what, bound) in bounds {
        let row = format!("| {what} | {} |", grouped(bound));
        assert!(GUIDE.contains(&row), "the guide has no row {row}");
    }
}

/// Three digits at a time, as the guide writes numbers.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The lines of each block of this language.
fn blocks(language: &str) -> Vec<Vec<&'static str>> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = GUIDE.lines();
    while lines.any(|line| line == fence) {
        blocks.push(lines.by_ref().take_while(|line| *line != "```").collect());
    }
    blocks
}

/// Whether a source has these lines one after the other, at whatever indentation.
fn stands_in(block: &[&str], source: &str) -> bool {
    let lines: Vec<_> = source.lines().collect();
    lines.windows(block.len()).any(|window| {
        let indentation = window[0].len() - window[0].trim_start().len();
        window.iter().zip(block).all(|(line, wanted)| {
            if wanted.is_empty() {
                line.is_empty()
            } else {
                line.get(indentation..) == Some(*wanted) && line[..indentation].trim().is_empty()
            }
        })
    })
}
