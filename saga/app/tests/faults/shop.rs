//! The demo's shop under load: two nodes that start orders and drive them, a worker for shipping, and
//! what they leave behind.

use std::{
    fs::{self, File},
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sagalog_eventlog::test_servers::signal;
use sagalog_model::log::Time;
use tokio::{
    process::{Child, ChildStdin, Command},
    task::JoinHandle,
};

use crate::{
    demo_support::{Demo, Place, assert_right, orders, program, random},
    seen::Seen,
    servers::Servers,
};

/// More orders than any of these tests gets to. Each node reads them all when it starts.
pub(crate) const ORDERS: usize = 12_000;

/// Far beyond what publishing the end of a log takes.
const HANGS: Duration = Duration::from_secs(120);

/// Orders that a node starts in a second.
const RATE: u32 = 40;

/// Sagas that are under way whenever something is killed, at least.
const UNDER_WAY: usize = 3;

/// The participant that has a process of its own, and its nodes in the saga.
const SHIPPING: &str = "shipping";
pub(crate) const SHIPPED: [&str; 2] = ["quote", "ship"];

/// The nodes of the saga that are answered at once. Of some cards the first answer gets lost on purpose.
pub(crate) const PROMPT: [&str; 4] = ["quote", "reserve", "ship", "notify"];

/// The processes, and the log as far as it was read.
pub(crate) struct Shop {
    name: String,
    began: Instant,
    place: Place,
    orders: String,
    /// Where each of the nodes reaches the broker.
    brokers: [String; 2],
    pub(crate) nodes: Vec<Node>,
    worker: Option<Child>,
    pub(crate) seen: Seen,
    /// Processes that were started.
    started: usize,
    /// Something may be away for longer than all attempts of a charge take.
    pub(crate) may_give_up: bool,
}

/// A process that drives the log and starts orders.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) process: u32,
    /// It stops in peace when this is dropped.
    leash: Option<ChildStdin>,
    ended: JoinHandle<ExitStatus>,
}

impl Shop {
    /// One that begins to work, in a database and a vhost of its own.
    pub(crate) async fn open(servers: &Servers, name: &str) -> Self {
        let orders = orders(ORDERS);
        let place = servers.new_place(name, &orders);
        let broker = place.servers()[3].to_owned();
        Self::begin(name, place, orders, [broker.clone(), broker]).await
    }

    /// The same at a place, with an address of the broker for each node.
    pub(crate) async fn begin(
        name: &str,
        place: Place,
        orders: String,
        brokers: [String; 2],
    ) -> Self {
        let began = Instant::now();
        let first = Node::start(&place, "node-0", &brokers[0]).await;
        let second = Node::start(&place, "node-1", &brokers[1]).await;
        let mut shop = Self {
            name: name.to_owned(),
            began,
            // The first node has made the log.
            seen: Seen::of(place.open_log().await).await,
            place,
            orders,
            brokers,
            nodes: vec![first, second],
            worker: None,
            started: 2,
            may_give_up: false,
        };
        shop.start_worker();
        shop
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Reads on until so many more events are recorded, a number that only the round says, and both
    /// nodes are at work.
    pub(crate) async fn comes_to_moment(&mut self, round: u64) {
        let moment = self.seen.events + 100 + random(round) % 900;
        let names = [&self.nodes[0], &self.nodes[1]].map(|node| node.name.clone());
        let at_work = |seen: &Seen| {
            let works = |name: &String| seen.open_in(&seen.owned_by(name)) >= UNDER_WAY;
            seen.events >= moment && names.iter().all(works)
        };
        self.seen.until("both nodes at work", at_work).await;
    }

    /// Kills a node with something under way in its partitions.
    pub(crate) fn kill_node(&self, index: usize) -> Time {
        signal("KILL", &[self.nodes[index].process]);
        now()
    }

    /// Starts a node in the place of one that was taken out.
    pub(crate) async fn start_node(&mut self, index: usize) {
        let name = format!("node-{}", self.started);
        self.started += 1;
        let node = Node::start(&self.place, &name, &self.brokers[index]).await;
        self.nodes.insert(index, node);
    }

    pub(crate) fn start_worker(&mut self) {
        let mut command = Command::new(program());
        command.args(["worker", SHIPPING, "--broker", self.place.servers()[3]]);
        command.arg("--home").arg(self.place.demo());
        let started = begin(&self.place, "worker", &mut command);
        self.worker = Some(started);
    }

    pub(crate) fn worker(&self) -> u32 {
        let worker = self.worker.as_ref().expect("it was started");
        worker.id().expect("it was not waited for")
    }

    /// Kills the worker of shipping.
    pub(crate) async fn kill_worker(&mut self) -> Time {
        let mut worker = self.worker.take().expect("it was started");
        worker.start_kill().expect("it is a child of ours");
        let at = now();
        worker.wait().await.expect("it is a child of ours");
        at
    }

    /// Asserts that no process has ended by itself.
    pub(crate) fn assert_alive(&mut self) {
        for node in &self.nodes {
            assert!(!node.ended.is_finished(), "{} has ended", node.name);
        }
        let worker = self.worker.as_mut().expect("it was started");
        let ended = worker.try_wait().expect("it is a child of ours");
        assert!(ended.is_none(), "the worker has ended: {ended:?}");
    }

    /// Lets all orders that were started come to their ends, and compares what is left with what
    /// should be: each saga has ended as its order says, each effect happened once, the log is what
    /// was appended, and the published log is the same.
    pub(crate) async fn closes_right(mut self) {
        self.come_to_an_end().await;
        let mut phase = Phase::begin();
        let recorded = self.place.recorded().await;
        assert_right(&self.place, &self.orders, &recorded).await;
        phase.ends("the effects compared");
        self.place.verify().await;
        phase.ends("the log verified");
        let gave_up = recorded.gave_up.len();
        assert!(self.may_give_up || gave_up == 0, "{:?}", recorded.gave_up);
        println!(
            "{}: {} orders right, of which {gave_up} gave their charge up, {} events, in {:?}",
            self.name,
            recorded.last.len(),
            self.seen.events,
            self.began.elapsed()
        );
    }

    async fn come_to_an_end(&mut self) {
        self.assert_alive();
        let mut phase = Phase::begin();
        for node in std::mem::take(&mut self.nodes) {
            node.leave().await;
        }
        phase.ends("the nodes left");
        self.seen.all().await;
        let mut command = Command::new(program());
        command
            .args(["node", "--name", "last", "--without", SHIPPING])
            .arg("--home")
            .arg(self.place.demo())
            .args(self.place.servers());
        let last = begin(&self.place, "last", &mut command);
        let ended = |seen: &Seen| seen.owned_by("last").len() == 16 && seen.open() == 0;
        self.seen.until("the last node to end it all", ended).await;
        phase.ends("all ended");
        self.until_published().await;
        phase.ends("all is published");
        let worker = self.worker.take().expect("it was started");
        for mut process in [last, worker] {
            signal("TERM", &[process.id().expect("it runs")]);
            let ended = process.wait().await.expect("it is a child of ours");
            assert!(ended.success(), "it stops in peace: {ended}");
        }
        phase.ends("the last processes stopped");
        self.seen.all().await;
    }
}

impl Shop {
    /// Waits until the published log is the stored one, to its end.
    async fn until_published(&self) {
        let end = Instant::now() + HANGS;
        loop {
            let mut verify = Command::new(program());
            verify.args(["log", "verify", "--published"]);
            let verified = verify.args(self.place.servers()).output().await;
            let verified = verified.expect("the program is built");
            if verified.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&verified.stderr);
            assert!(Instant::now() < end, "what is published differs: {said}");
        }
    }
}

/// How long the parts of an end take.
struct Phase(Instant);

impl Phase {
    fn begin() -> Self {
        Self(Instant::now())
    }

    fn ends(&mut self, what: &str) {
        println!("  {what} after {:?}", self.0.elapsed());
        self.0 = Instant::now();
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if thread::panicking() {
            tell_what_was_said(&self.place);
        }
    }
}

impl Node {
    /// Starts one, and waits until it knows the log.
    async fn start(place: &Place, name: &str, broker: &str) -> Self {
        let mut command = place.demo_as(name, RATE);
        command.args(["--without", SHIPPING]);
        command.args(["--log", place.servers()[1], "--broker", broker]);
        command.stderr(said(place, name));
        let mut running = Demo::begin(&mut command);
        if running.position().await.is_none() {
            tell_what_was_said(place);
            panic!("{name} does not start");
        }
        Self {
            name: name.to_owned(),
            process: running.process(),
            leash: running.leash(),
            ended: tokio::spawn(running.end()),
        }
    }

    async fn leave(self) {
        drop(self.leash);
        let ended = self.ended.await.expect("it is waited for");
        assert!(ended.success(), "{} leaves in peace: {ended}", self.name);
    }

    pub(crate) async fn killed(self) {
        let ended = self.ended.await.expect("it is waited for");
        assert!(!ended.success(), "it was killed: {ended}");
    }

    /// Asks it to stop as a service manager does, and waits until it has.
    pub(crate) async fn terminate(self) {
        signal("TERM", &[self.process]);
        let ended = self.ended.await.expect("it is waited for");
        assert!(ended.success(), "{} stops in peace: {ended}", self.name);
    }
}

fn begin(place: &Place, name: &str, command: &mut Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(said(place, name))
        .kill_on_drop(true);
    command.spawn().expect("the program is built")
}

/// Where a process says what goes wrong. It is shown if the test fails: much does.
fn said(place: &Place, name: &str) -> File {
    let file = place.demo().join(format!("{name}.said"));
    let file = File::options().create(true).append(true).open(file);
    file.expect("the folder can be written")
}

fn tell_what_was_said(place: &Place) {
    for entry in fs::read_dir(place.demo()).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|it| it == "said") {
            let said = fs::read_to_string(entry.path()).unwrap_or_default();
            let lines: Vec<_> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- {}\n{}", entry.path().display(), last.join("\n"));
        }
    }
}

pub(crate) fn now() -> Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Time::from_micros(now.expect("it is after 1970").as_micros() as u64)
}
