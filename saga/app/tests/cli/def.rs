//! `def`: who runs which version, and whether another build may take over.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use sagalog::{
    AnyDefinition, Runtime, Saga, Signal, SqliteLog, Step, Worker, clock::ManualClock, log::Time,
};
use sagalog_cli::App;
use sagalog_projections::why::{WaitsFor, why};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    history::{exit, own},
    program::sagalog,
};

const INVOICE: Saga<u32, String> = Saga::new("invoice");
const PAID: Signal<u32> = Signal::new("paid");
const SEND: Step<u32, String> = Step::new("post.send").compensatable();
const APPROVE: Step<u32, String> = Step::new("boss.approve").compensatable();
const INSPECT: Step<u32, String> = Step::new("audit.inspect").compensatable();

/// 2026-11-20T20:00:00Z
const OPENING: Time = Time::from_micros(1_795_204_800_000_000);

/// Version 2 has another step where an invoice is large.
fn invoice(version: u32) -> AnyDefinition {
    let (mut saga, cents) = INVOICE.define(version);
    let sent = saga.step("send", SEND, cents);
    saga.when("large", cents.map(|cents| cents > 10_000), |saga| {
        if version == 1 {
            saga.step("approve", APPROVE, cents)
        } else {
            saga.step("inspect", INSPECT, cents)
        }
    });
    saga.signal("paid", PAID)
        .within(Duration::from_secs(14 * 86_400));
    saga.returns(sent).expect("it is sound").into()
}

/// The same graph as version 1, with another threshold.
fn careless() -> AnyDefinition {
    let (mut saga, cents) = INVOICE.define(1);
    let sent = saga.step("send", SEND, cents);
    saga.when("large", cents.map(|cents| cents > 50_000), |saga| {
        saga.step("approve", APPROVE, cents)
    });
    saga.signal("paid", PAID)
        .within(Duration::from_secs(14 * 86_400));
    saga.returns(sent).expect("it is sound").into()
}

fn build(definitions: impl IntoIterator<Item = AnyDefinition>) -> App {
    let app = definitions.into_iter().fold(App::new(), App::saga);
    app.worker(
        Worker::new()
            .action(SEND, async |_, _: u32| Ok("sent".to_owned()))
            .compensation(SEND, async |_, _: u32, _| Ok(()))
            .action(APPROVE, async |_, _: u32| Ok("approved".to_owned()))
            .compensation(APPROVE, async |_, _: u32, _| Ok(()))
            .action(INSPECT, async |_, _: u32| Ok("inspected".to_owned()))
            .compensation(INSPECT, async |_, _: u32, _| Ok(())),
    )
}

/// A log of invoices.
struct Books {
    folder: TempDir,
    log: PathBuf,
}

impl Books {
    /// With a small and a large invoice of version 1, which wait to be paid.
    async fn open() -> Self {
        let folder = TempDir::new().expect("room");
        let log = folder.path().join("log.db");
        let books = Self { folder, log };
        let runtime = books.drive(build([invoice(1)])).await;
        bill(&runtime, "i-1", 1_000).await;
        bill(&runtime, "i-2", 20_000).await;
        runtime.stop().await.expect("it stops in peace");
        books
    }

    async fn drive(&self, app: App) -> Runtime {
        let log = SqliteLog::open(&self.log).await.expect("it opens");
        let runtime = app.runtime(Arc::new(log), self.folder.path());
        let runtime = runtime.expect("its workers are made");
        let runtime = runtime.clock(Arc::new(ManualClock::at(OPENING)));
        runtime.start().await.expect("it starts")
    }

    /// What a build says of them.
    async fn checked(&self, app: &App) -> String {
        let log = SqliteLog::read_only(&self.log).await.expect("it opens");
        let report = app.check_fleet(Arc::new(log)).await.expect("it reads");
        let path = self.log.display().to_string();
        report.to_string().replace(&path, "log.db")
    }

    fn file(&self, name: &str, text: &str) -> String {
        let file = self.folder.path().join(name);
        fs::write(&file, text).expect("room");
        file.display().to_string()
    }
}

/// Starts an invoice and lets it come to where it waits to be paid.
async fn bill(runtime: &Runtime, id: &str, cents: u32) {
    let client = runtime.client();
    client
        .start(INVOICE, id, &cents)
        .await
        .expect("it is started");
    let is_payment = |what: &WaitsFor| matches!(what, WaitsFor::Signal { .. });
    loop {
        let state = client.state(id).await.expect("it is known");
        if why(&state).waiting.iter().any(|it| is_payment(&it.what)) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_build_says_before_it_is_deployed_which_sagas_can_go_on_with_it() {
    let books = Books::open().await;
    let both = build([invoice(1), invoice(2)]);
    insta::assert_snapshot!(books.checked(&both).await, @r#"
    DEFINITION  VERSION  UNDER WAY  COMPATIBLE  KEEP-OLD  BREAKS
    invoice     1        2          1           1         0

    i-2 (invoice 1) keep-old: version 2 does something else
      i-2, version 5, decided on `send#1 succeeded: "sent"`
        recorded  AttemptAsked {"node":"approve","attempt":1,"deadline":1795204830000000} 20000
        decided   AttemptAsked {"node":"inspect","attempt":1,"deadline":1795204830000000} 20000

    log.db: 2 sagas under way, the build may take over
    "#);
    let newer = build([invoice(2)]);
    insta::assert_snapshot!(books.checked(&newer).await, @r#"
    DEFINITION  VERSION  UNDER WAY  COMPATIBLE  KEEP-OLD  BREAKS
    invoice     1        2          0           0         2

    i-1 (invoice 1) breaks: the build does not have its version, though version 2 does not differ in what it has done

    i-2 (invoice 1) breaks: the build does not have its version, and version 2 does something else
      i-2, version 5, decided on `send#1 succeeded: "sent"`
        recorded  AttemptAsked {"node":"approve","attempt":1,"deadline":1795204830000000} 20000
        decided   AttemptAsked {"node":"inspect","attempt":1,"deadline":1795204830000000} 20000

    log.db: 2 sagas under way, the build must not take over
    "#);
    let changed = build([careless()]);
    insta::assert_snapshot!(books.checked(&changed).await, @r#"
    DEFINITION  VERSION  UNDER WAY  COMPATIBLE  KEEP-OLD  BREAKS
    invoice     1        2          1           0         1

    i-2 (invoice 1) breaks: its version has the same graph, and its functions do something else now
      i-2, version 4, decided on `send#1 succeeded: "sent"`
        recorded  ArmChosen {"node":"large","arm":0} null
        decided   ArmChosen {"node":"large","arm":1} null

    log.db: 2 sagas under way, the build must not take over
    "#);
    for (app, code) in [(both, 0), (newer, 1), (changed, 1), (App::new(), 2)] {
        assert_eq!(own(app, &books.log, "def check").await, exit(code));
    }
    let json = own(build([invoice(1)]), &books.log, "def check --json");
    assert_eq!(json.await, exit(0));
}

#[tokio::test]
async fn a_build_with_both_versions_serves_both() {
    let books = Books::open().await;
    let runtime = books.drive(build([invoice(1), invoice(2)])).await;
    bill(&runtime, "i-3", 20_000).await;
    let counted = sagalog(&books.log, "def versions invoice").await.printed();
    insta::assert_snapshot!(counted, @"
    DEFINITION  VERSION  UNDER WAY  FINGERPRINT       IN
    invoice     1        2          6c8289421af5fbad  log
    invoice     2        1          cf4cab8ea39cca31  log
    ");
    let holders = sagalog(&books.log, "def versions invoice --version 1");
    insta::assert_snapshot!(holders.await.printed(), @"
    SAGA  STATUS   NODE  WAITS FOR    SINCE                        UNTIL
    i-1   Running  paid  signal:paid  2026-11-20T20:00:00.000000Z  2026-12-04T20:00:00.000000Z
    i-2   Running  paid  signal:paid  2026-11-20T20:00:00.000000Z  2026-12-04T20:00:00.000000Z
    ");
    let client = runtime.client();
    for (id, version, inside) in [
        ("i-1", 1, None),
        ("i-2", 1, Some("approve")),
        ("i-3", 2, Some("inspect")),
    ] {
        client
            .signal(PAID, id, "transfer", &1)
            .await
            .expect("it comes in");
        let state = client.end(id).await.expect("it ends");
        assert_eq!(state.graph().version.0, version, "{id}");
        let asked: Vec<_> = state
            .steps()
            .map(|(index, ..)| state.graph().node(index).id.to_string())
            .collect();
        let path = ["send"].into_iter().chain(inside);
        assert_eq!(asked, path.collect::<Vec<_>>(), "{id}");
    }
    runtime.stop().await.expect("it stops in peace");
    let counted = sagalog(&books.log, "def versions invoice --json").await;
    let counted: Value = serde_json::from_str(&counted.printed()).expect("JSON");
    let live = |at: usize| counted["definitions"][at]["live"].clone();
    assert_eq!((live(0), live(1)), (0.into(), 0.into()));
}

#[tokio::test]
async fn definitions_are_listed_and_described() {
    let books = Books::open().await;
    let listed = sagalog(&books.log, "def list").await.printed();
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name));
    assert!(line("invoice").is_some_and(|line| line.ends_with("log")));
    assert!(line("order").is_some_and(|line| line.ends_with("program")));
    let described = sagalog(&books.log, "def describe invoice").await.printed();
    insta::assert_snapshot!(described, @"
    saga invoice, version 1
      start
      send: asks post.send (compensatable) with start
      large: when f(start)
        [yes]
          approve: asks boss.approve (compensatable) with start
          gives approve
      paid: waits for paid within 14 d
      return: send

    boss.approve: compensatable, timeout 30 s, 5 attempts, waits 100 ms doubling to 1 min, jitter 20 %
      undo: timeout 30 s, 10 attempts, waits 100 ms doubling to 1 min, jitter 20 %, then waits for a person
    post.send: compensatable, timeout 30 s, 5 attempts, waits 100 ms doubling to 1 min, jitter 20 %
      undo: timeout 30 s, 10 attempts, waits 100 ms doubling to 1 min, jitter 20 %, then waits for a person

    fingerprint  6c8289421af5fbad
    in           log
    under way    2 sagas
    ");
    let json = sagalog(&books.log, "def describe invoice --version 1 --json").await;
    let json: Value = serde_json::from_str(&json.printed()).expect("JSON");
    assert_eq!(json["graph"]["saga"], "invoice");
    assert_eq!(json["live"], 2);
    for (line, said) in [
        (
            "def describe invoice --version 7",
            "neither the log nor this program has a definition invoice version 7\n  there are: 1",
        ),
        (
            "def versions trip",
            "neither the log nor this program has a definition trip\n  `def list` shows",
        ),
        (
            "def versions invoice --version 7",
            "neither the log nor this program has a definition invoice version 7\n  there are: 1",
        ),
    ] {
        let failed = sagalog(&books.log, line).await.failed(3);
        assert!(failed.contains(said), "{failed}");
    }
}

/// The program of the demo knows no invoices; a file is as good as a build, for their structure.
#[tokio::test]
async fn a_graph_from_a_file_is_compared_by_its_structure() {
    let books = Books::open().await;
    let graph = |version: u32| {
        let text = serde_json::to_string(&**invoice(version).graph()).expect("plain data");
        books.file(&format!("invoice-{version}.json"), &text)
    };
    let (first, second) = (graph(1), graph(2));
    let both = format!("def check --graph {first} --graph {second}");
    insta::assert_snapshot!(sagalog(&books.log, &both).await.printed(), @"
    only graphs were compared: whether functions do the same is not known

    DEFINITION  VERSION  UNDER WAY  COMPATIBLE  KEEP-OLD  BREAKS
    invoice     1        2          1           1         0

    i-2 (invoice 1) keep-old: version 2 does something else
      node `approve` is gone

    log.db: 2 sagas under way, the build may take over
    ");
    let newer = sagalog(&books.log, &format!("def check --json --graph {second}")).await;
    assert_eq!(newer.exit, 1);
    let json: Value = serde_json::from_str(&newer.out).expect("JSON");
    assert_eq!(json["structure_only"], true);
    assert_eq!(json["breaks"], true);
    assert_eq!(json["versions"][0]["breaks"], 2);
    assert_eq!(json["checked"][0]["why"], "gone");
    let bad = books.file("bad.json", "{}");
    let failed = sagalog(&books.log, &format!("def check --graph {bad}")).await;
    let failed = failed.failed(1);
    assert!(
        failed.contains("bad.json is not a graph: missing field `saga`"),
        "{failed}"
    );
}
