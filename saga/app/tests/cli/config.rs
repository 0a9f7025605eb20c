//! `config`, `completions` and `man`, and what a node does with its configuration.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// What a run in a folder left: its exit code, and what it said.
fn ran(folder: &Path, line: &str, variables: &[(&str, &str)]) -> (i32, String, String) {
    let ran = command(folder, line, variables).output();
    let ran = ran.expect("the program is built");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let exit = ran.status.code().expect("it was not killed");
    (exit, text(ran.stdout), text(ran.stderr))
}

fn command(folder: &Path, line: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagalog"));
    command
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .envs(variables.iter().copied());
    command
}

fn folder_with(config: &str) -> TempDir {
    let folder = TempDir::new().expect("room");
    fs::write(folder.path().join("sagalog.toml"), config).expect("room");
    folder
}

#[test]
fn options_come_before_the_environment_and_that_before_the_file() {
    let folder = folder_with(
        "log = 'postgres://ann:secret@db/shop'\nlevels = 'info'\n[node]\nname = 'file'\nhome = 'here'\n",
    );
    let variables = [("SAGALOG_HOME", "there"), ("SAGALOG_LEVELS", "debug")];
    let line = "config view node -- --levels warn";
    let (exit, out, err) = ran(folder.path(), line, &variables);
    assert_eq!((exit, err.as_str()), (0, ""));
    let shown = |key: &str| {
        let line = out
            .lines()
            .find(|line| line.starts_with(&format!("{key} ")));
        let words = line.unwrap_or_else(|| panic!("{key}: {out}"));
        words
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(shown("log"), "postgres://ann:***@db/shop sagalog.toml:1");
    assert_eq!(shown("name"), "file sagalog.toml:4");
    assert_eq!(shown("home"), "there SAGALOG_HOME (environment)");
    assert_eq!(shown("levels"), "warn option");
    assert_eq!(shown("published-size"), "1GiB usual");
    assert_eq!(shown("broker"), "- not set");
}

#[test]
fn a_file_is_checked_whole_before_anything_is_done() {
    let folder = folder_with("nane = 'x'\n[node]\npublished-age = 'soon'\n");
    let said = "\
error: sagalog.toml cannot be used
  sagalog.toml:1:1: there is no key `nane`; is `name` meant?
    1 | nane = 'x'
  sagalog.toml:3:17: `published-age`: it is no span, as 90s, 15m, 12h or 30d
    3 | published-age = 'soon'
  `sagalog config keys` lists what there is
";
    for line in [
        "config check sagalog.toml",
        "node --log log.db",
        "saga list",
    ] {
        let (exit, out, err) = ran(folder.path(), line, &[]);
        assert_eq!((exit, out.as_str(), err.as_str()), (2, "", said), "{line}");
    }
    assert!(!folder.path().join("log.db").exists());
}

#[test]
fn production_refuses_what_is_unsafe_and_says_all_of_it() {
    let folder = folder_with("broker = 'amqp://guest:guest@mq/%2f'\nprofile = 'production'\n");
    let line = "node --log postgres://ann:secret@db/shop";
    let (exit, _, err) = ran(folder.path(), line, &[]);
    assert_eq!(exit, 2, "{err}");
    for said in [
        "`log` has a password in an option",
        "`broker` is used as guest",
        "`name` has nothing",
        "others may read it: chmod 600 sagalog.toml",
    ] {
        assert!(err.contains(said), "{said}: {err}");
    }
    assert!(!err.contains("secret"), "{err}");
}

#[test]
fn other_commands_take_the_log_from_the_file() {
    let folder = folder_with("log = 'nowhere.db'\n");
    let (exit, _, err) = ran(folder.path(), "saga list", &[]);
    assert_eq!(exit, 3, "{err}");
    assert!(err.contains("nowhere.db"), "{err}");
}

#[test]
fn a_node_reads_its_file_again_when_it_is_told_to() {
    let config = |levels: &str, name: &str| format!("levels = '{levels}'\nname = '{name}'\n");
    let folder = folder_with(&config("warn", "one"));
    let file = folder.path().join("sagalog.toml");
    let mut node = command(folder.path(), "node --log log.db", &[])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut said = BufReader::new(node.stderr.take().expect("it is piped")).lines();
    let mut until = |what: &str| {
        let line = said.find(|line| line.as_ref().expect("text").contains(what));
        line.unwrap_or_else(|| panic!("it ended without saying {what}"))
    };
    let hangup = |config: &str| {
        fs::write(&file, config).expect("room");
        signal(node.id(), "HUP");
    };
    until("ctrl-c stops").expect("text");
    hangup(&config("sagalog=info", "two"));
    until("`name` becomes two at the next start, not before (sagalog.toml:2)").expect("text");
    until("`levels` is sagalog=info from now on (sagalog.toml:1)").expect("text");
    hangup("levels = 7 bells\n");
    until("the configuration stays as it was: sagalog.toml cannot be used").expect("text");
    hangup(&config("sagalog=info", "one"));
    until("the configuration is what it was").expect("text");
    signal(node.id(), "TERM");
    until("stopped in peace").expect("text");
    assert!(node.wait().expect("it ends").success());
}

fn signal(process: u32, name: &str) {
    let process = process.to_string();
    let sent = Command::new("kill").args(["-s", name, &process]).status();
    assert!(sent.expect("there is kill").success());
}

#[test]
fn completions_and_pages_are_made_from_the_commands() {
    let folder = TempDir::new().expect("room");
    for shell in ["bash", "zsh", "fish"] {
        let (exit, out, _) = ran(folder.path(), &format!("completions {shell}"), &[]);
        assert_eq!(exit, 0);
        assert!(out.contains("published-size"), "{shell}");
    }
    let (exit, out, _) = ran(folder.path(), "man", &[]);
    assert_eq!(exit, 0);
    assert!(out.contains(".TH sagalog"), "{out}");
    assert_eq!(ran(folder.path(), "man --out pages", &[]).0, 0);
    assert!(folder.path().join("pages/sagalog-log-copy.1").exists());
}
