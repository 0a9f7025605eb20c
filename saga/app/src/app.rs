//! A binary's sagas and workers, and the commands around them.

use std::{
    error::Error,
    ffi::OsString,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use sagalog::{AnyDefinition, Runtime, RuntimeBuilder, Worker};
use sagalog_eventlog::EventLog;
use sagalog_sim::Sim;

use crate::{
    config::{self, Loaded, NotLoaded},
    error::{CliError, Exit},
    output::{Format, Output},
    telemetry,
};

/// What a binary knows: definitions, and the workers that do their steps.
#[derive(Default)]
pub struct App {
    definitions: Vec<AnyDefinition>,
    workers: Vec<Hosting>,
    simulations: Vec<Simulating>,
}

/// Adds a worker to others, in a process whose workers keep what they have in a folder.
type Hosting = Box<dyn Fn(&Path, Worker) -> Result<Worker, CliError> + Send + Sync>;

/// Makes a simulated world.
type Simulating = Box<dyn Fn() -> Sim + Send + Sync>;

impl App {
    /// Without sagas: it inspects logs, and reaches whoever drives them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a definition. Several versions of one saga may run side by side.
    #[must_use]
    pub fn saga(mut self, definition: impl Into<AnyDefinition>) -> Self {
        self.definitions.push(definition.into());
        self
    }

    /// Adds a worker. The process hosts it once.
    #[must_use]
    pub fn worker<S: Clone + Send + Sync + 'static>(mut self, worker: Worker<S>) -> Self {
        let worker = Mutex::new(Some(worker));
        self.workers.push(Box::new(move |_, others| {
            let worker = worker
                .lock()
                .expect("nothing panics under this lock")
                .take();
            Ok(others.and(worker.expect("a process hosts the workers of its app once")))
        }));
        self
    }

    /// Adds a worker whose state lives in a folder, which `make` gets: that of the log, unless the
    /// command names another.
    #[must_use]
    pub fn worker_in<S, E>(
        mut self,
        make: impl Fn(&Path) -> Result<Worker<S>, E> + Send + Sync + 'static,
    ) -> Self
    where
        S: Clone + Send + Sync + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.workers.push(Box::new(move |home, others| {
            let worker = make(home).map_err(|error| {
                let why = crate::error::chain(&*error.into());
                CliError::new(
                    "no_worker",
                    Exit::Failed,
                    format!("the worker of {} does not start: {why}", home.display()),
                )
            })?;
            Ok(others.and(worker))
        }));
        self
    }

    /// Adds a simulation of one of the sagas, for `sagalog sim`. It is made only when it is asked for.
    #[must_use]
    pub fn simulated(mut self, simulation: impl Fn() -> Sim + Send + Sync + 'static) -> Self {
        self.simulations.push(Box::new(simulation));
        self
    }

    /// The definitions.
    pub fn definitions(&self) -> &[AnyDefinition] {
        &self.definitions
    }

    pub(crate) fn simulations(&self) -> impl Iterator<Item = Sim> {
        self.simulations.iter().map(|simulation| simulation())
    }

    /// All workers in one, with what they keep in `home`. To be called once in a process.
    ///
    /// # Errors
    /// If a worker cannot be made.
    pub fn workers(&self, home: &Path) -> Result<Worker, CliError> {
        let mut workers = self.workers.iter();
        workers.try_fold(Worker::new(), |others, host| host(home, others))
    }

    /// A runtime of these sagas and workers, which keep what they have in `home`; not started yet.
    ///
    /// # Errors
    /// If a worker cannot be made.
    pub fn runtime(&self, log: Arc<dyn EventLog>, home: &Path) -> Result<RuntimeBuilder, CliError> {
        let mut runtime = Runtime::on(log);
        for definition in &self.definitions {
            runtime = runtime.definition(definition.clone());
        }
        Ok(runtime.worker(self.workers(home)?))
    }
}

/// Runs the command that the process was started with.
pub fn main(app: App) -> ExitCode {
    main_with(app, std::env::args_os())
}

/// Runs the command of this line, whose first word is the program's name; for tests of your own.
/// It must not be called from inside an async runtime.
pub fn main_with(
    app: App,
    line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> ExitCode {
    let line = line.into_iter().map(Into::into).collect();
    let Loaded { cli, reloading } = match config::load(line) {
        Ok(loaded) => loaded,
        Err(NotLoaded::Config(error)) => {
            Output::to_stdout(Format::default()).say(format_args!("error: {error}"));
            return error.exit().into();
        }
        Err(NotLoaded::Usage(error)) => {
            // Help and version are asked for and go to stdout; the rest is a usage error.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Done.into()
            };
        }
    };
    let output = Output::to_stdout(cli.format());
    let levels = telemetry::to_stderr(cli.log_format());
    reloading.apply(&levels);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = runtime.map_err(CliError::from).and_then(|runtime| {
        runtime.block_on(async {
            let _reloading = match cli.runs_for_long() {
                true => Some(reloading.on_hangup(levels, output)?),
                false => None,
            };
            cli.run(&app, output).await
        })
    });
    ended.unwrap_or_else(|error| {
        if error.is_closed_pipe() {
            return Exit::Done.into();
        }
        if output.is_json() {
            output.say(error.to_json());
        } else {
            output.say(format_args!("error: {error}"));
        }
        error.exit().into()
    })
}
