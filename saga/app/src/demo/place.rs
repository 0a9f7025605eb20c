//! Where the demo's processes find their log, their world and each other.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sagalog::{EventLog, Runtime, RuntimeBuilder, Transport, control};
use sagalog_transport::rabbitmq::StreamBounds;

use super::Args;
use crate::{CliError, Exit, Output, broker, log};

/// The log's file in a folder.
const LOG: &str = "log.db";

/// A folder with the outside world in it, and with the log unless that is in PostgreSQL.
pub(super) struct Place<'a> {
    folder: PathBuf,
    args: &'a Args,
}

impl<'a> Place<'a> {
    /// # Errors
    /// If the processes could share the log and not reach each other.
    pub(super) fn new(folder: PathBuf, args: &'a Args) -> Result<Self, CliError> {
        let place = Self { folder, args };
        if place.is_shared() && args.broker.is_none() {
            let message =
                "the demo's processes share a log in PostgreSQL over a broker, and none was named";
            return Err(CliError::new("no_broker_named", Exit::Usage, message)
                .fix("give it with --broker amqp://USER:PASSWORD@HOST:PORT/VHOST"));
        }
        Ok(place)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the log is.
    pub(super) fn log(&self) -> PathBuf {
        let named = self.args.log.clone();
        named.unwrap_or_else(|| self.folder.join(LOG))
    }

    /// Whether several processes drive the log at a time.
    pub(super) fn is_shared(&self) -> bool {
        log::url(&self.log()).is_some()
    }

    /// The log, to read.
    pub(super) async fn read(&self) -> Result<Arc<dyn EventLog>, CliError> {
        log::read(&self.log()).await
    }

    /// Asks for the servers, so that what is wrong with them is said once and not by each process.
    pub(super) async fn look_for_servers(&self, output: Output) -> Result<(), CliError> {
        if self.is_shared() {
            drop(log::open(&self.log()).await?);
        }
        if let Some(url) = &self.args.broker {
            broker::connect(url, output).await?.close().await;
        }
        Ok(())
    }

    /// The log, to drive its sagas, and what drives them.
    pub(super) async fn open(
        &self,
        output: Output,
    ) -> Result<(Arc<dyn EventLog>, Runtime), CliError> {
        let file = self.log();
        let log = log::open(&file).await?;
        let broker = match &self.args.broker {
            Some(url) => Some(broker::connect(url, output).await?),
            None => None,
        };
        let runtime = super::app().runtime(log.clone(), &self.folder)?;
        let mut runtime = self.reaching(runtime, broker, &file);
        if let Some(url) = &self.args.broker
            && self.args.published.is_wanted()
        {
            runtime = runtime
                .publish_log(broker::connect_streams(url, StreamBounds::default(), output).await?);
        }
        Ok((log, runtime.start().await?))
    }

    fn reaching(
        &self,
        mut runtime: RuntimeBuilder,
        broker: Option<Arc<dyn Transport>>,
        file: &Path,
    ) -> RuntimeBuilder {
        if let Some(broker) = broker {
            runtime = runtime.transport(broker);
        }
        if let Some(name) = &self.args.name {
            runtime = runtime.node(name);
        }
        for participant in &self.args.without {
            runtime = runtime.elsewhere(participant);
        }
        // Whoever wants something of a saga meanwhile reaches this process beside its log.
        if !self.is_shared() {
            runtime = runtime.control_socket(control::socket_of(file));
        }
        runtime
    }

    /// What a process of the same demo is started with, but for its name.
    pub(super) fn options(&self) -> Vec<String> {
        let Args {
            orders,
            rate,
            log,
            broker,
            without,
            published,
            ..
        } = self.args;
        let path = |path: &PathBuf| path.display().to_string();
        let mut options = vec!["--dir".to_owned(), path(&self.folder)];
        let mut add = |option: &str, value: Option<String>| {
            options.extend(
                value
                    .into_iter()
                    .flat_map(|value| [option.to_owned(), value]),
            );
        };
        add("--orders", orders.as_ref().map(path));
        add("--rate", rate.map(|rate| rate.to_string()));
        add("--log", log.as_ref().map(path));
        add("--broker", broker.clone());
        add(
            "--without",
            (!without.is_empty()).then(|| without.join(",")),
        );
        if !published.is_wanted() {
            options.push("--no-published-log".to_owned());
        }
        options
    }
}
