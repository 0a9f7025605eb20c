//! `sagalog serve`: owns a log and drives its sagas until it is told to stop.

use std::{process::ExitCode, sync::Arc};

use sagalog::{Runtime, control};
use sagalog_eventlog::SqliteLog;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    App,
    error::{CliError, Exit},
    log::{LogArg, home},
    output::Output,
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArg,
}

/// Drives until ctrl-c or SIGTERM, then stops in peace; a second signal stops at once.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    if app.definitions().is_empty() {
        return Err(CliError::new(
            "no_sagas",
            Exit::Usage,
            "this program has no sagas to drive",
        )
        .fix("serve from the binary that defines them, with sagalog_cli::main"));
    }
    let file = args.log.file()?;
    // From here on a signal is heard, however early it comes.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let log = Arc::new(SqliteLog::open(file).await?);
    let socket = control::socket_of(file);
    let mut runtime = app
        .runtime(log, home(file))?
        .control_socket(&socket)
        .start()
        .await?;
    output.say(format_args!(
        "driving {} as process {}",
        file.display(),
        std::process::id()
    ));
    output.say(format_args!(
        "requests are taken at {}; ctrl-c stops",
        socket.display()
    ));
    tokio::select! {
        failed = runtime.failed() => { failed?; }
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    output.say("stopping: what runs may finish");
    tokio::select! {
        stopped = stop(runtime) => stopped?,
        _ = interrupt.recv() => return Ok(at_once(output)),
        _ = terminate.recv() => return Ok(at_once(output)),
    }
    output.say("stopped in peace; the next start goes on from here");
    Ok(Exit::Done.into())
}

async fn stop(runtime: Runtime) -> Result<(), CliError> {
    Ok(runtime.stop().await?)
}

fn at_once(output: Output) -> ExitCode {
    output
        .say("stopped at once: nothing durable is lost, what ran is asked again at the next start");
    Exit::Failed.into()
}
