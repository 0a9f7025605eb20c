//! `sagalog node`: drives the sagas of a log until it is told to stop, alone or with other nodes.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use sagalog::{Runtime, control};

use crate::{
    App, alone,
    broker::{BrokerArg, KeptArg, PublishedArg},
    error::{CliError, Exit},
    log::LogArg,
    output::Output,
    stop::Stop,
    telemetry::{Exporting, Health, HttpArg, LevelsArg, Metrics, OtlpArg, Serving, Watching},
};

/// Its options.
#[derive(Debug, clap::Args)]
#[command(after_help = FORMS)]
pub(crate) struct Args {
    #[command(flatten)]
    log: LogArg,
    #[command(flatten)]
    broker: BrokerArg,
    #[command(flatten)]
    published: PublishedArg,
    #[command(flatten)]
    kept: KeptArg,
    /// What this node is called in the log and towards other nodes; the program's name unless given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Participants whose steps another process performs, such as `sagalog worker`
    #[arg(long, value_name = "NAME,NAME…", value_delimiter = ',')]
    without: Vec<String>,
    #[command(flatten)]
    home: HomeArg,
    #[command(flatten)]
    http: HttpArg,
    #[command(flatten)]
    otlp: OtlpArg,
    #[command(flatten)]
    _levels: LevelsArg,
}

/// Where workers keep what they have.
#[derive(Debug, clap::Args)]
pub(crate) struct HomeArg {
    /// The folder of what the workers of this process keep; that of the log's file unless given, or
    /// the current one
    #[arg(long = "home", value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl HomeArg {
    /// The folder, beside this file if none was named.
    pub(crate) fn or_beside(&self, file: Option<&Path>) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.clone(),
            None => file
                .map_or_else(|| Path::new("."), crate::log::home)
                .to_owned(),
        }
    }
}

/// Drives until ctrl-c or SIGTERM, then stops in peace; a second signal stops at once.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    if app.definitions().is_empty() {
        return Err(CliError::new(
            "no_sagas",
            Exit::Usage,
            "this program has no sagas to drive",
        )
        .fix("run the node from the binary that defines them, with sagalog_cli::main"));
    }
    if !args.without.is_empty() {
        args.broker.named()?;
    }
    // From here on a signal is heard, however early it comes.
    let mut stop = Stop::by_signal()?;
    let file = args.log.as_file()?.map(Path::to_owned);
    let start = start(&args, file.as_deref(), app, output);
    let (mut runtime, told) = tokio::select! {
        started = start => started?,
        () = stop.asked() => return Ok(Exit::Failed.into()),
    };
    let shown = args.log.shown().unwrap_or_default();
    output.say(format_args!(
        "driving {shown} as process {}",
        std::process::id()
    ));
    match &file {
        Some(file) => output.say(format_args!(
            "requests are taken at {}; ctrl-c stops",
            control::socket_of(file).display()
        )),
        None if args.broker.is_given() => {
            output.say("partitions are shared with the other nodes on this log; ctrl-c stops");
        }
        None => output.say(
            "without --broker this must be the only node on the log, with all workers in it; ctrl-c stops",
        ),
    }
    tokio::select! {
        failed = runtime.failed() => { failed?; }
        () = stop.asked() => {}
    }
    output.say("stopping: what runs may finish");
    tokio::select! {
        stopped = runtime.stop() => stopped?,
        () = stop.asked() => return Ok(at_once(output)),
    }
    if let Some(exporting) = told.exporting {
        // What gives it spans may live as long as what serves.
        drop((told.serving, told.health));
        exporting.finish().await;
    }
    output.say("stopped in peace; the next start goes on from here");
    Ok(Exit::Done.into())
}

/// What tells about the node, for as long as it is kept.
#[derive(Default)]
struct Told {
    serving: Option<Serving>,
    health: Option<Arc<Health>>,
    exporting: Option<Exporting>,
}

async fn start(
    args: &Args,
    file: Option<&Path>,
    app: &App,
    output: Output,
) -> Result<(Runtime, Told), CliError> {
    let place = args.http.bind().await?;
    let log = args.log.open().await?;
    let transport = args.broker.transport(output).await?;
    if transport.is_none() {
        alone::or_refused(&*log, args.name.as_deref().unwrap_or("sagalog")).await?;
    }
    // Whatever workers keep is made only where the node can run.
    let partitions = log.partitions();
    let mut runtime = app.runtime(log, &args.home.or_beside(file))?;
    let mut told = Told::default();
    if place.is_some() || args.otlp.is_given() {
        let is_traced = args.otlp.is_given();
        let metrics = Arc::new(Metrics::new(app.definitions(), partitions, is_traced));
        let service = args.name.as_deref().unwrap_or("sagalog");
        let traces = args.otlp.begin(service, metrics.spans_dropped())?;
        let (tracer, exporting) = traces.unzip();
        told.exporting = exporting;
        runtime = runtime.observed(Arc::new(Watching {
            metrics: metrics.clone(),
            tracer,
        }));
        if let Some(place) = place {
            output.say(format_args!(
                "metrics and health at http://{}",
                place.address
            ));
            let health = Arc::new(Health::of(metrics.clone()));
            told.serving = Some(place.serve(metrics, health.clone()));
            told.health = Some(health);
        }
    }
    if let Some(transport) = transport {
        runtime = runtime.transport(transport);
    }
    if args.published.is_wanted()
        && let Some(streams) = args.broker.streams(args.kept.bounds(), output).await?
    {
        runtime = runtime.publish_log(streams);
    }
    if let Some(name) = &args.name {
        runtime = runtime.node(name);
    }
    for participant in &args.without {
        runtime = runtime.elsewhere(participant);
    }
    if let Some(file) = file {
        runtime = runtime.control_socket(control::socket_of(file));
    }
    let runtime = runtime.start().await?;
    if let Some(health) = &told.health {
        health.started(runtime.probe());
    }
    Ok((runtime, told))
}

fn at_once(output: Output) -> ExitCode {
    output
        .say("stopped at once: nothing durable is lost, what ran is asked again at the next start");
    Exit::Failed.into()
}

const FORMS: &str = "\
The log, --log or SAGALOG_LOG:
  PATH          a file, made if it is not there; one node drives it
  postgres://USER:PASSWORD@HOST:PORT/DATABASE
                a database of PostgreSQL 15 or newer, encoding UTF8; the schema `sagalog` is made if
                it is not there. Nodes with the same --log and --broker share its partitions

Servers that do not answer are waited for, 15 s at most. The connections have no TLS.";
