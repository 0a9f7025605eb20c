//! `sagalog worker`: performs the steps of participants for nodes in other processes.

use std::{process::ExitCode, sync::Arc};

use prometheus_client::metrics::counter::Counter;

use crate::{
    App,
    broker::{self, BrokerArg},
    error::{CliError, Exit},
    node::HomeArg,
    output::Output,
    stop::Stop,
    telemetry::{LevelsArg, OtlpArg},
};

/// Its options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The participants; all that this program has workers for unless some are named
    #[arg(value_name = "PARTICIPANT")]
    participants: Vec<String>,
    #[command(flatten)]
    broker: BrokerArg,
    #[command(flatten)]
    home: HomeArg,
    #[command(flatten)]
    otlp: OtlpArg,
    #[command(flatten)]
    _levels: LevelsArg,
}

/// Performs until ctrl-c or SIGTERM, then lets running calls end, 10 s at most.
pub(crate) async fn run(args: Args, app: &App, output: Output) -> Result<ExitCode, CliError> {
    let mut stop = Stop::by_signal()?;
    // Whatever workers keep is made only where they can serve.
    let transport = broker::connect(args.broker.named()?, output).await?;
    let worker = app.workers(&args.home.or_beside(None))?;
    let mut others = worker.participants();
    if let Some(unknown) = args
        .participants
        .iter()
        .find(|named| !others.contains(*named))
    {
        let known: Vec<_> = others.iter().map(String::as_str).collect();
        let message = format!("this program has no worker for the participant {unknown}");
        let error = CliError::new("no_worker", Exit::NotFound, message);
        return Err(error.fix(format!("it has: {}", known.join(", "))));
    }
    let all = args.participants.is_empty();
    others.retain(|participant| !all && !args.participants.contains(participant));
    let worker = worker.without(&others);
    let served: Vec<_> = worker.participants().into_iter().collect();
    output.say(format_args!(
        "performing the steps of {} as process {}; ctrl-c stops",
        served.join(", "),
        std::process::id()
    ));
    let traces = args.otlp.begin("sagalog worker", Counter::default())?;
    let stopped = async move { stop.asked().await };
    let served = match traces {
        None => worker.serve(transport, stopped).await,
        Some((tracer, exporting)) => {
            let served = worker.serve_observed(transport, Arc::new(tracer), stopped);
            let served = served.await;
            exporting.finish().await;
            served
        }
    };
    served.map_err(|error| CliError::failed(&error))?;
    output.say("stopped in peace; what was not answered is delivered again");
    Ok(Exit::Done.into())
}
