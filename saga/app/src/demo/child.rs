//! The demo in a process of its own, which is killed once in the middle and started again.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    select,
};

use super::{
    Args,
    progress::{Progress, Watcher},
};
use crate::{CliError, Exit, stop::Stop};

/// Runs the demo in a child, kills that when half of the sagas have ended, and runs it again.
pub(super) async fn run(
    folder: &Path,
    args: &Args,
    watcher: &Watcher,
    stop: &mut Stop,
) -> Result<(), CliError> {
    let mut first = Running::start(folder, args)?;
    let Some(progress) = first
        .until(Progress::is_in_the_middle, watcher, stop)
        .await?
    else {
        return Ok(());
    };
    let process = first.child.id().unwrap_or_default();
    first.child.kill().await?;
    watcher.say(format_args!(
        "killed process {process} with SIGKILL: {} of {} orders had ended, {} were under way",
        progress.ended,
        progress.orders,
        progress.started - progress.ended
    ));
    let mut second = Running::start(folder, args)?;
    watcher.say(format_args!(
        "started process {} on the same folder",
        second.child.id().unwrap_or_default()
    ));
    second.until(|_| false, watcher, stop).await?;
    Ok(())
}

struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(folder: &Path, args: &Args) -> Result<Self, CliError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["demo", "--progress", "--dir"]).arg(folder);
        if let Some(file) = &args.orders {
            command.arg("--orders").arg(file);
        }
        if let Some(rate) = args.rate {
            command.arg("--rate").arg(rate.to_string());
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().expect("it was piped");
        Ok(Self {
            child,
            lines: BufReader::new(stdout).lines(),
        })
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
                // It stops in peace when its stdin ends.
                () = stop.asked() => drop(self.child.stdin.take()),
            }
        }
        let status = self.child.wait().await?;
        if status.success() {
            return Ok(None);
        }
        Err(CliError::new(
            "not_run",
            Exit::Failed,
            format!("the process that ran the orders ended with {status}"),
        ))
    }
}
