//! Servers that do not let the program in, or are none that it can use: it says what to do about it, to
//! whoever starts a node, a worker or the demo, and repeats no password.

use std::{path::Path, process::Stdio, time::Duration};

use sagalog_eventlog::test_servers::signal;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};

use crate::{
    broker::fake::{greeting, greeting_at_a_port},
    demo_support::program,
    servers::Servers,
};

/// Far beyond what a node takes to start on a busy machine.
const HANGS: Duration = Duration::from_secs(120);

/// What the program says when it does not start, and makes nothing. Every port is 5000.
async fn refusal(line: &str) -> String {
    let folder = TempDir::new().expect("there is room for a folder");
    let said = refusal_in(folder.path(), line).await;
    assert_eq!(left_in(folder.path()), [""; 0], "it made something");
    said
}

async fn refusal_in(folder: &Path, line: &str) -> String {
    let ran = Command::new(program())
        .args(line.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    let ran = ran.await.expect("the program is built");
    let said = String::from_utf8(ran.stderr).expect("text");
    assert!(!ran.status.success(), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let ports = line.split("127.0.0.1:").skip(1);
    ports.fold(said, |said, rest| {
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        said.replace(&port, "5000")
    })
}

fn left_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("it is there").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_let_the_program_in_is_told_with_what_to_do() {
    let servers = Servers::turn().await;
    let admin = PgConnection::connect(&servers.database("postgres")).await;
    let make = "create role locked login password 'right'; create role guest login";
    let made = admin.expect("it is there").execute(make).await;
    made.expect("this user may do that");
    let as_user = |user: &str, database: &str| {
        let url = servers.database(database);
        url.replace("//sagalog@", &format!("//{user}@"))
    };
    let nowhere = servers.database("nowhere");
    let locked = as_user("locked:secret", "postgres");
    let guest = as_user("guest", "postgres");
    insta::assert_snapshot!(refusal(&format!("node --log {nowhere}")).await, @"error: there is no database for postgres://127.0.0.1:5000/nowhere: make it with `create database nowhere encoding 'UTF8' template template0`");
    insta::assert_snapshot!(refusal(&format!("node --log {locked}")).await, @r#"
    error: postgres://127.0.0.1:5000/postgres refuses this user: password authentication failed for user "locked"
      check user and password in the URL, and what the server lets this user do: log in (pg_hba.conf), and create a schema in this database
    "#);
    insta::assert_snapshot!(refusal(&format!("node --log {guest}")).await, @"
    error: postgres://127.0.0.1:5000/postgres refuses this user: permission denied for database postgres
      check user and password in the URL, and what the server lets this user do: log in (pg_hba.conf), and create a schema in this database
    ");
    let broker = servers.broker();
    let demo = format!("demo --log {locked} --broker {broker}");
    insta::assert_snapshot!(refusal(&demo).await, @r#"
    error: postgres://127.0.0.1:5000/postgres refuses this user: password authentication failed for user "locked"
      check user and password in the URL, and what the server lets this user do: log in (pg_hba.conf), and create a schema in this database
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_let_the_program_in_is_told_with_what_to_do() {
    let servers = Servers::turn().await;
    let database = servers.new_database("unused");
    let wrong = servers.broker().replace("guest:guest", "guest:secret");
    let broker = servers.broker();
    let (at, _) = broker.rsplit_once('/').expect("it has a vhost");
    let elsewhere = format!("{at}/elsewhere");
    insta::assert_snapshot!(refusal(&format!("worker --broker {wrong}")).await, @"error: the broker at 127.0.0.1:5000 does not let the user guest in; check user and password in the URL (the user guest is let in from the broker's own machine only)");
    insta::assert_snapshot!(refusal(&format!("worker --broker {elsewhere}")).await, @"error: the vhost elsewhere of the broker at 127.0.0.1:5000 cannot be used by guest (NOT_ALLOWED - vhost elsewhere not found); make it with `rabbitmqctl add_vhost elsewhere` and `rabbitmqctl set_permissions -p elsewhere guest '.*' '.*' '.*'`");
    let folder = TempDir::new().expect("there is room for a folder");
    let painters = format!("worker painters --broker {broker}");
    insta::assert_snapshot!(refusal_in(folder.path(), &painters).await, @"
    error: this program has no worker for the participant painters
      it has: inventory, mail, payments, shipping
    ");
    let node = format!("node --log {database} --broker {wrong}");
    insta::assert_snapshot!(refusal(&node).await, @"error: the broker at 127.0.0.1:5000 does not let the user guest in; check user and password in the URL (the user guest is let in from the broker's own machine only)");
    let demo = format!("demo --log {database} --broker {elsewhere}");
    insta::assert_snapshot!(refusal(&demo).await, @"error: the vhost elsewhere of the broker at 127.0.0.1:5000 cannot be used by guest (NOT_ALLOWED - vhost elsewhere not found); make it with `rabbitmqctl add_vhost elsewhere` and `rabbitmqctl set_permissions -p elsewhere guest '.*' '.*' '.*'`");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_broker_does_not_start_beside_another() {
    let servers = Servers::turn().await;
    let place = servers.new_place("alone", "");
    std::fs::create_dir_all(place.demo()).expect("the folder can be made");
    let mut node = Command::new(program());
    node.args(["node", "--home"])
        .arg(place.demo())
        .args(place.servers());
    let mut node = node
        .kill_on_drop(true)
        .spawn()
        .expect("the program is built");
    let process = node.id().expect("it runs");
    let shared = async {
        while shares(place.servers()[1]).await.unwrap_or_default() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANGS, shared).await.expect("it shares the log");
    let said = refusal(&format!("node --log {}", place.servers()[1])).await;
    let (head, rest) = said.split_once("(process ").expect("it says which");
    assert!(rest.starts_with(&format!("{process}, since ")), "{said}");
    let (_, tail) = rest.split_once(')').expect("it says since when");
    insta::assert_snapshot!(format!("{head}(…){tail}"), @"
    error: another node drives this log, sagalog (…), and none can reach the other without a broker
      give both the same --broker amqp://…, or stop the other
    ");
    signal("TERM", &[process]);
    assert!(node.wait().await.expect("it is ours").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_wants_its_streams_otherwise_is_told_which_is_in_the_way() {
    let servers = Servers::turn().await;
    let place = servers.new_place("streams", "");
    std::fs::create_dir_all(place.demo()).expect("the folder can be made");
    let mut node = Command::new(program());
    node.args(["node", "--published-size", "8MiB", "--published-age", "12h"])
        .arg("--home")
        .arg(place.demo())
        .args(place.servers())
        .stderr(Stdio::piped());
    let mut node = node
        .kill_on_drop(true)
        .spawn()
        .expect("the program is built");
    let mut said = BufReader::new(node.stderr.take().expect("it is piped")).lines();
    while let Some(line) = said.next_line().await.expect("text") {
        if line.starts_with("driving") {
            signal("TERM", &[node.id().expect("it runs")]);
        }
    }
    assert!(node.wait().await.expect("it is ours").success());
    let [log, broker] = [1, 3].map(|index| place.servers()[index]);
    let folder = TempDir::new().expect("there is room for a folder");
    let node = format!("node --log {log} --broker {broker}");
    let otherwise = refusal_in(folder.path(), &node).await;
    insta::assert_snapshot!(otherwise, @"error: queue log.0 is there and different: its x-max-length-bytes is 8388608, wanted is 1073741824; change the configuration, or empty and delete the queue");
}

/// How many processes share a log. That there is none yet is an error.
async fn shares(log: &str) -> sqlx::Result<i64> {
    let mut log = PgConnection::connect(log).await?;
    let shares = sqlx::query_scalar("select count(*) from sagalog.sharer");
    shares.fetch_one(&mut log).await
}

#[tokio::test]
async fn servers_that_are_too_old_are_told_by_their_versions() {
    let port = greeting_at_a_port(greeting("RabbitMQ", "3.8.9")).await;
    let worker = format!("worker --broker amqp://guest:secret@127.0.0.1:{port}/%2f");
    insta::assert_snapshot!(refusal(&worker).await, @"error: at 127.0.0.1:5000 there is RabbitMQ 3.8.9, but RabbitMQ 3.10 or later is needed; upgrade the broker");
    let port = old_postgres("14.11").await;
    let node = format!("node --log postgres://sagalog:secret@127.0.0.1:{port}/log");
    insta::assert_snapshot!(refusal(&node).await, @"error: postgres://127.0.0.1:5000/log cannot be kept there: the server is PostgreSQL 14, a log needs 15 or newer");
}

/// Lets one client in, and says this version of PostgreSQL.
async fn old_postgres(version: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        const WANTS_TLS: u32 = 80_877_103;
        while startup(&mut client).await == WANTS_TLS {
            client.write_all(b"N").await.expect("it listens");
        }
        let mut answer = Vec::new();
        let mut say = |kind: u8, body: &[u8]| {
            answer.push(kind);
            answer.extend((body.len() as u32 + 4).to_be_bytes());
            answer.extend(body);
        };
        say(b'R', &[0; 4]);
        say(b'S', format!("server_version\0{version}\0").as_bytes());
        say(b'Z', b"I");
        client.write_all(&answer).await.expect("it listens");
        // It goes first.
        _ = client.read(&mut [0; 64]).await;
    });
    port
}

/// The number at the head of what a client says first: what it wants, or its protocol's version.
async fn startup(client: &mut TcpStream) -> u32 {
    let length = client.read_u32().await.expect("a length");
    let head = client.read_u32().await.expect("a number");
    let mut rest = vec![0; length as usize - 8];
    client.read_exact(&mut rest).await.expect("all of it");
    head
}
