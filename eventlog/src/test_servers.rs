//! Private servers for tests, started from what is installed and gone with the test process, however
//! it ends. For tests only: what goes wrong here panics and says what to do.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

/// How long a server may take to start.
const STARTING: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Starts the server given behind it as a child, says its process id, and waits. When its input ends,
/// because the test process said so or is no more, it stops the server; unless told to keep it, it
/// removes the directory. What ends the test from the keyboard must not end the guard before that.
const GUARD: &str = r#"
    trap '' INT TERM HUP
    directory=$1; shift
    "$@" >>"$directory/server.log" 2>&1 & server=$!
    echo $server
    read word
    kill -QUIT $server 2>/dev/null; wait $server
    [ "$word" = keep ] || rm -rf "$directory"
"#;

/// A PostgreSQL of its own, on a free port of this machine. Anybody may connect as user `sagalog`, who
/// may do everything; the user `locked`, once there is one, needs a password.
#[derive(Debug)]
pub struct PostgresServer {
    directory: PathBuf,
    settings: &'static [&'static str],
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// The server's process.
    server: u32,
    guard: Guard,
}

/// A shell that waits for the end of its input, which the end of this process is too.
#[derive(Debug)]
struct Guard(Child);

impl PostgresServer {
    /// One for all tests of this process. It does not wait for the disk.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<PostgresServer> =
            LazyLock::new(|| PostgresServer::with(&["fsync=off", "full_page_writes=off"]));
        &SHARED
    }

    /// One for a test that kills it.
    pub fn start() -> Self {
        // After a crash everything is brought to the disk first: at once instead of file by file.
        if cfg!(target_os = "linux") {
            Self::with(&["recovery_init_sync_method=syncfs"])
        } else {
            Self::with(&[])
        }
    }

    /// One that writes the plan of every statement to its log as soon as it has run.
    pub fn explaining() -> Self {
        Self::with(&[
            "fsync=off",
            "session_preload_libraries=auto_explain",
            "auto_explain.log_min_duration=0",
        ])
    }

    fn with(settings: &'static [&'static str]) -> Self {
        let directory = tempfile::tempdir().expect("a place for temporary files");
        let mut server = Self {
            directory: directory.keep(),
            settings,
            port: 0,
            running: None,
        };
        let data = server.directory.join("data");
        copy(&TEMPLATE.0, &data);
        if let Some(user) = &*USER {
            user.owns(&server.directory);
        }
        server.restart();
        server
    }

    /// Names a database of it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://sagalog@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database, and names it.
    pub fn new_database(&self, name: &str) -> String {
        let mut create = Command::new(BINARIES.join("createdb"));
        let port = self.port.to_string();
        create.args(["-h", "127.0.0.1", "-p", &port, "-U", "sagalog", name]);
        let created = create.status().expect("createdb can be run");
        assert!(created.success(), "database {name} is new");
        self.url(name)
    }

    /// What it has written to its log since it was started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("server.log")).expect("it has a log")
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a loss of power would end its processes: none of them can do anything more.
    pub fn kill(&mut self) {
        let Running { server, guard } = self.running.take().expect("it runs");
        let mut killed = vec![server];
        killed.extend(children(server));
        signal("KILL", &killed);
        guard.keep();
    }

    /// Starts it again, on the same port.
    pub fn restart(&mut self) {
        for _ in 0..50 {
            if self.port == 0 {
                let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
                self.port = free.local_addr().expect("it is bound").port();
            }
            match self.try_to_start() {
                Ok(running) => {
                    self.running = Some(running);
                    return;
                }
                // The last processes of the server before it are still going, or somebody was faster.
                Err(log) if log.contains("still in use") => thread::sleep(LOOK_AGAIN * 10),
                Err(log) if log.contains("could not bind") && self.is_new() => self.port = 0,
                Err(log) => panic!("PostgreSQL does not start:\n{log}"),
            }
        }
        panic!("PostgreSQL does not start in {}", self.directory.display());
    }

    /// Whether nobody has been told its port yet.
    fn is_new(&self) -> bool {
        !self.directory.join("told").exists()
    }

    fn try_to_start(&self) -> Result<Running, String> {
        let (data, log) = (
            self.directory.join("data"),
            self.directory.join("server.log"),
        );
        drop(fs::remove_file(&log));
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(&self.directory);
        if let Some(user) = &*USER {
            guard.args(user.prefix());
        }
        guard.arg(BINARIES.join("postgres")).arg("-D").arg(&data);
        guard
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(&self.directory);
        for setting in [
            &["max_connections=200", "shared_buffers=32MB"],
            self.settings,
        ]
        .concat()
        {
            guard.args(["-c", setting]);
        }
        let mut guard = Guard::begin(&mut guard);
        let line = guard.first_line();
        let server = line.trim().parse().expect("a process id");
        let began = Instant::now();
        loop {
            let status = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
            let mut lines = status.lines().map(str::trim);
            if lines.next() == Some(line.trim()) && lines.nth(6) == Some("ready") {
                drop(fs::write(self.directory.join("told"), ""));
                return Ok(Running { server, guard });
            }
            let log = fs::read_to_string(&log).unwrap_or_default();
            if log.lines().any(is_its_end) || began.elapsed() > STARTING {
                signal("KILL", &[server]);
                guard.keep();
                return Err(log);
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.running.take().is_none() {
            drop(fs::remove_dir_all(&self.directory));
        }
    }
}

impl Guard {
    fn begin(shell: &mut Command) -> Self {
        // It tells of each process that was killed, which is no news here.
        let shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Self(shell.spawn().expect("a shell"))
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        let said = self.0.stdout.as_mut().expect("it was piped");
        let read = BufReader::new(said).read_line(&mut line);
        read.expect("it says a line");
        line
    }

    /// Ends it, and leaves the directory.
    fn keep(mut self) {
        let input = self.0.stdin.as_mut().expect("it was piped");
        drop(input.write_all(b"keep\n"));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

/// Whether the server says that it cannot start, and not that a client came too early.
fn is_its_end(line: &str) -> bool {
    let to_clients = ["starting up", "not yet accepting", "in recovery mode"];
    line.contains("FATAL") && !to_clients.iter().any(|told| line.contains(told))
}

/// Sends a signal to processes that are there.
pub fn signal(name: &str, processes: &[u32]) {
    let processes = processes.iter().map(u32::to_string);
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s \"$@\" 2>/dev/null; :", "kill", name])
        .args(processes);
    kill.status().expect("a shell");
}

/// The processes that a process began.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let child = |entry: fs::DirEntry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let its_parent: u32 = rest.split(' ').nth(1)?.parse().ok()?;
        (its_parent == parent).then_some(process)
    };
    processes.filter_map(child).collect()
}

/// A data directory that was made once for this process and is copied for each server.
static TEMPLATE: LazyLock<(PathBuf, Guard)> = LazyLock::new(|| {
    let directory = tempfile::tempdir()
        .expect("a place for temporary files")
        .keep();
    let mut guard = Command::new("sh");
    guard
        .args([
            "-c",
            "trap '' INT TERM HUP; read word; rm -rf \"$1\"",
            "guard",
        ])
        .arg(&directory);
    let guard = Guard::begin(&mut guard);
    let mut initdb = match &*USER {
        Some(user) => {
            user.owns(&directory);
            let prefix = user.prefix();
            let mut command = Command::new(&prefix[0]);
            command.args(&prefix[1..]).arg(BINARIES.join("initdb"));
            command
        }
        None => Command::new(BINARIES.join("initdb")),
    };
    let data = directory.join("data");
    initdb.arg("-D").arg(&data).args([
        "--username=sagalog",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--no-instructions",
    ]);
    let made = initdb.output().expect("initdb can be run");
    assert!(
        made.status.success(),
        "initdb failed: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let hba = data.join("pg_hba.conf");
    let rules = fs::read_to_string(&hba).expect("initdb made it");
    fs::write(
        &hba,
        format!("host all locked 127.0.0.1/32 scram-sha-256\n{rules}"),
    )
    .expect("room");
    (data, guard)
});

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(
        copied.expect("cp can be run").success(),
        "room for a server"
    );
}

/// Where the programs of PostgreSQL are, the newest of them.
static BINARIES: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut debian: Vec<_> = debian
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    debian.sort();
    let named = env::var_os("SAGALOG_POSTGRES_BIN").map(PathBuf::from);
    let mut places = named
        .into_iter()
        .chain(debian.into_iter().rev())
        .chain(env::split_paths(&path));
    let found =
        places.find(|place| place.join("initdb").exists() && place.join("postgres").exists());
    found.expect(
        "these tests need PostgreSQL 15 or newer: install it (on Debian: apt-get install postgresql), \
         or name the folder of initdb and postgres in SAGALOG_POSTGRES_BIN",
    )
});

/// Whom the server runs as if this process is the superuser, as whom it refuses to run.
static USER: LazyLock<Option<User>> = LazyLock::new(|| {
    use std::os::unix::fs::MetadataExt;
    let mine = tempfile::tempdir().expect("a place for temporary files");
    if fs::metadata(mine.path()).expect("it is there").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("a system with users");
    let user = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some(User {
            uid: ids.next()?.ok()?,
            gid: ids.next()?.ok()?,
        })
    };
    Some(
        user("postgres")
            .or_else(|| user("nobody"))
            .expect("a user that is not root"),
    )
});

#[derive(Debug)]
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// What runs a program as this user.
    fn prefix(&self) -> [String; 4] {
        [
            "setpriv".to_owned(),
            format!("--reuid={}", self.uid),
            format!("--regid={}", self.gid),
            "--clear-groups".to_owned(),
        ]
    }

    fn owns(&self, directory: &Path) {
        chown(directory, Some(self.uid), Some(self.gid)).expect("root may do that");
    }
}
