//! A private RabbitMQ from the installed packages, for tests: on free ports of this machine, with
//! its own data, without plugins. It ends with the process that started it, however that ends.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod fake;
pub(crate) mod proxy;

use std::{
    env,
    fmt::Write as _,
    fs,
    hash::{BuildHasher as _, RandomState},
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Far beyond what a start takes on a busy machine.
const STARTING: Duration = Duration::from_secs(180);

/// A private RabbitMQ.
pub(crate) struct Broker {
    port: u16,
    folder: PathBuf,
    vhosts: usize,
    used: AtomicUsize,
    keeper: Mutex<Keeper>,
}

/// The script that has the broker's processes, ruled over a pipe.
struct Keeper {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// How often a test kills its broker, each costs a start: three times, or as often as
/// `SAGALOG_TEST_KILLS` says.
pub(crate) fn kills() -> usize {
    let told = env::var("SAGALOG_TEST_KILLS").ok();
    told.map_or(3, |kills| kills.parse().expect("a number"))
}

impl Broker {
    /// The one that the tests of this binary share, each with a vhost of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(64))
    }

    /// A new one with so many vhosts. Starting takes some seconds.
    pub(crate) fn start(vhosts: usize) -> Self {
        assert!(
            Path::new(SERVER).exists(),
            "RabbitMQ is not installed: run ./test, which installs it, or \
             `apt-get install --no-install-recommends rabbitmq-server`"
        );
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        for inner in ["data", "log"] {
            fs::create_dir(folder.join(inner)).expect("a folder");
        }
        let write = |name, text: String| fs::write(folder.join(name), text).expect("a file");
        write("plugins", "[].".into());
        write("definitions.json", definitions(vhosts));
        let definitions = folder.join("definitions.json");
        let configuration = format!("load_definitions = {}\n", definitions.display());
        write("rabbitmq.conf", configuration);
        let [port, distribution, names] = free_ports();
        let mut process = Command::new("sh")
            .args(["-c", include_str!("serve.sh")])
            .env("DIR", &folder)
            .env("PORT", port.to_string())
            .env("DIST_PORT", distribution.to_string())
            .env("EPMD_PORT", names.to_string())
            .env("NODE", format!("sagalog{port}@localhost"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let orders = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let keeper = Keeper {
            process,
            orders,
            answers,
        };
        let broker = Self {
            port,
            folder,
            vhosts,
            used: AtomicUsize::new(0),
            keeper: Mutex::new(keeper),
        };
        broker.start_again();
        broker
    }

    /// The URL of a vhost that nobody has used.
    pub(crate) fn url(&self) -> String {
        let number = self.used.fetch_add(1, Ordering::Relaxed);
        assert!(number < self.vhosts, "more tests than vhosts");
        self.url_of(self.port, &vhost(number))
    }

    /// The URL of a vhost, at this port, such as that of a proxy.
    pub(crate) fn url_of(&self, port: u16, vhost: &str) -> String {
        format!("amqp://guest:guest@127.0.0.1:{port}/{vhost}")
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends the broker at once, as a power cut would.
    pub(crate) fn kill(&self) {
        self.order("kill");
    }

    /// Waits until it would find this quorum queue again if it was killed: it writes down which ones
    /// there are some time after they were declared, see `docs/decisions.md`.
    pub(crate) fn wait_until_written(&self, queue: &str) {
        self.wait_for_name("quorum", queue);
    }

    /// Whether it would.
    pub(crate) fn has_written(&self, queue: &str) -> bool {
        contains(&self.names("quorum"), queue)
    }

    /// Waits until it would find its streams again if it was killed: like quorum queues, it writes down who
    /// keeps them some time after the first one was declared.
    pub(crate) fn wait_until_streams_are_written(&self) {
        self.wait_for_name("coordination", "rabbit_stream_coordinator");
    }

    fn wait_for_name(&self, system: &str, queue: &str) {
        let end = Instant::now() + STARTING;
        while !contains(&self.names(system), queue) {
            assert!(
                Instant::now() < end,
                "{queue} is not among those of {system}"
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// What it has written down of the names of a system.
    fn names(&self, system: &str) -> Vec<u8> {
        let node = format!("sagalog{}@localhost", self.port);
        let names = self.folder.join("data").join(&node).join(system);
        fs::read(names.join(&node).join("names.dets")).unwrap_or_default()
    }

    /// Starts it on the same port and data, and waits until it greets.
    pub(crate) fn start_again(&self) {
        self.order("start");
        let end = Instant::now() + STARTING;
        while !self.greets() {
            assert!(
                Instant::now() < end,
                "the broker does not start:\n{}",
                self.output()
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// Tells it to take no more messages, as if it were short of memory.
    pub(crate) fn raise_memory_alarm(&self) {
        self.order("ctl set_vm_memory_high_watermark 0");
    }

    /// Takes that back.
    pub(crate) fn clear_memory_alarm(&self) {
        self.order("ctl set_vm_memory_high_watermark 0.4");
    }

    fn greets(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut kind = [0];
        let greeted = stream
            .write_all(b"AMQP\x00\x00\x09\x01")
            .and_then(|()| std::io::Read::read_exact(&mut stream, &mut kind));
        greeted.is_ok()
    }

    fn order(&self, order: &str) {
        let mut keeper = self.keeper.lock().expect("no other order failed");
        writeln!(keeper.orders, "{order}").expect("the keeper lives");
        let mut answer = String::new();
        keeper
            .answers
            .read_line(&mut answer)
            .expect("the keeper lives");
        assert_eq!(answer, "done\n", "{order}:\n{}", self.output());
    }

    fn output(&self) -> String {
        fs::read_to_string(self.folder.join("out")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.order("end");
        let keeper = self.keeper.get_mut().expect("no order failed");
        keeper.process.wait().expect("it ends when told to");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    let mut windows = bytes.windows(text.len());
    windows.any(|window| window == text.as_bytes())
}

fn vhost(number: usize) -> String {
    format!("v{number}")
}

fn definitions(vhosts: usize) -> String {
    let mut text = String::from(
        r#"{"users":[{"name":"guest","password":"guest","tags":"administrator"}],"vhosts":["#,
    );
    let all = |text: &mut String, write: &dyn Fn(&mut String, String)| {
        for number in 0..vhosts {
            let comma = if number == 0 { "" } else { "," };
            text.push_str(comma);
            write(text, vhost(number));
        }
    };
    all(&mut text, &|text, vhost| {
        write!(text, r#"{{"name":"{vhost}"}}"#).expect("a string takes all");
    });
    text.push_str(r#"],"permissions":["#);
    all(&mut text, &|text, vhost| {
        write!(
            text,
            r#"{{"user":"guest","vhost":"{vhost}","configure":".*","write":".*","read":".*"}}"#
        )
        .expect("a string takes all");
    });
    text.push_str("]}");
    text
}

/// Three ports that nobody listens at. They are held together, so that they differ, and are below those that
/// systems give to clients: none of these may have the broker's port when it is started again.
fn free_ports() -> [u16; 3] {
    let mut held = Vec::new();
    while held.len() < 3 {
        // Drawn, as other processes look for ports too.
        let port = 10_000 + (RandomState::new().hash_one(()) % 20_000) as u16;
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    let ports = held
        .iter()
        .map(|held| held.local_addr().expect("it is bound").port());
    let ports: Vec<_> = ports.collect();
    ports.try_into().expect("there are three")
}
