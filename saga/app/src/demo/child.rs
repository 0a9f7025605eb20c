//! The demo in processes of its own, one of which is killed once in the middle.
//!
//! One process drives a log in a file, and another one goes on after it. A log in PostgreSQL is driven
//! by two at a time.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    select,
};

use super::{
    place::Place,
    progress::{Progress, Watcher},
};
use crate::{CliError, Exit, stop::Stop};

/// Runs the demo in children, kills one when half of the sagas have ended, and starts another.
pub(super) async fn run(
    place: &Place<'_>,
    watcher: &Watcher,
    stop: &mut Stop,
) -> Result<(), CliError> {
    let mut first = Running::start(place, "demo-1")?;
    let mut other = if place.is_shared() {
        Some(Running::start(place, "demo-2")?.beside())
    } else {
        None
    };
    let middle = first
        .until(Progress::is_in_the_middle, watcher, stop)
        .await?;
    if let Some(progress) = middle {
        let process = first.child.id().unwrap_or_default();
        first.child.kill().await?;
        watcher.say(format_args!(
            "killed process {process} with SIGKILL: {} of {} orders had ended, {} were under way",
            progress.ended,
            progress.orders,
            progress.started - progress.ended
        ));
        let mut second = Running::start(place, "demo-3")?;
        watcher.say(format_args!(
            "started process {} on the same {}",
            second.child.id().unwrap_or_default(),
            if other.is_some() { "log" } else { "folder" },
        ));
        second.until(|_| false, watcher, stop).await?;
    }
    if let Some((stdin, ended)) = other.take() {
        drop(stdin);
        ended.await.expect("it does not panic")?;
    }
    Ok(())
}

struct Running {
    child: Child,
    /// It stops in peace when this ends.
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

type Ended = tokio::task::JoinHandle<Result<(), CliError>>;

impl Running {
    fn start(place: &Place<'_>, name: &str) -> Result<Self, CliError> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command
            .args(["demo", "--progress", "--name", name])
            .args(place.options())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().expect("it was piped");
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// Lets it run beside another one, which is watched: its stdin, and its end.
    fn beside(mut self) -> (Option<ChildStdin>, Ended) {
        let stdin = self.stdin.take();
        let ended = tokio::spawn(async move {
            while self.lines.next_line().await?.is_some() {}
            self.ended().await
        });
        (stdin, ended)
    }

    /// Follows it until its progress is such, or to its end.
    async fn until(
        &mut self,
        reached: impl Fn(Progress) -> bool,
        watcher: &Watcher,
        stop: &mut Stop,
    ) -> Result<Option<Progress>, CliError> {
        loop {
            select! {
                line = self.lines.next_line() => {
                    let Some(line) = line? else { break };
                    let progress = serde_json::from_str(&line).map_err(|error| CliError::failed(&error))?;
                    watcher.show(progress);
                    if reached(progress) {
                        return Ok(Some(progress));
                    }
                }
                () = stop.asked() => drop(self.stdin.take()),
            }
        }
        self.ended().await?;
        Ok(None)
    }

    async fn ended(&mut self) -> Result<(), CliError> {
        let status = self.child.wait().await?;
        if status.success() {
            return Ok(());
        }
        Err(CliError::new(
            "not_run",
            Exit::Failed,
            format!("the process that ran the orders ended with {status}"),
        ))
    }
}
