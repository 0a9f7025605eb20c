//! Spans on their way to whoever collects them. Nobody waits for them: what finds no room is dropped, and counted.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    sync::{
        mpsc::{Receiver, Sender, channel},
        oneshot,
    },
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::warn;

use crate::error::{CliError, Exit};

/// Spans that wait.
const WAITING: usize = 16_384;

/// Spans that are sent together, and how long the first of them waits for the others.
const BATCH: usize = 512;
const LINGER: Duration = Duration::from_secs(1);

/// How long the collector may take, and how long the last spans are waited for at the end.
const TAKES: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(3);

/// Takes spans.
#[derive(Clone)]
pub(super) struct Outbox {
    spans: Sender<SpanData>,
    dropped: Counter,
}

/// Sends spans until all that give it some are gone.
pub(crate) struct Exporting {
    sending: JoinHandle<()>,
    finish: oneshot::Sender<()>,
}

impl Outbox {
    pub(super) fn put(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.dropped.inc();
        }
    }
}

impl Exporting {
    /// Lets it send what waits, and takes no more.
    pub(crate) async fn finish(self) {
        // Without a receiver it has ended already.
        _ = self.finish.send(());
        if timeout(FAREWELL, self.sending).await.is_err() {
            warn!("the last spans are not taken");
        }
    }
}

/// Begins to send spans to the collector at this URL.
///
/// # Errors
/// If that is no URL.
pub(super) fn begin(
    url: &str,
    service: &str,
    dropped: Counter,
) -> Result<(Outbox, Exporting), CliError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint(url))
        .with_timeout(TAKES)
        .build();
    let mut exporter = exporter.map_err(|error| {
        let message = format!("spans cannot be sent to {url}: {error}");
        CliError::new("otlp", Exit::Usage, message).fix("name the collector as http://HOST:4318")
    })?;
    let resource = Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("process.pid", i64::from(std::process::id())),
        ])
        .build();
    exporter.set_resource(&resource);
    let (spans, waiting) = channel(WAITING);
    let (finish, finished) = oneshot::channel();
    let sending = tokio::spawn(send(exporter, waiting, dropped.clone(), finished));
    Ok((Outbox { spans, dropped }, Exporting { sending, finish }))
}

/// The place for traces at a collector of which only the host was named.
fn endpoint(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.trim_end_matches('/').contains('/') {
        true => url.to_owned(),
        false => format!("{}/v1/traces", url.trim_end_matches('/')),
    }
}

async fn send(
    exporter: SpanExporter,
    mut waiting: Receiver<SpanData>,
    dropped: Counter,
    mut finished: oneshot::Receiver<()>,
) {
    let mut is_told = false;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        let linger = sleep(LINGER);
        tokio::pin!(linger);
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                biased;
                count = waiting.recv_many(&mut batch, room) => if count == 0 { break },
                // What waits is taken still, and then there is nothing more.
                _ = &mut finished, if !waiting.is_closed() => waiting.close(),
                () = &mut linger, if !batch.is_empty() => break,
            }
        }
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        match exporter.export(batch).await {
            Ok(()) if is_told => {
                warn!("spans are taken again");
                is_told = false;
            }
            Ok(()) => {}
            Err(error) => {
                dropped.inc_by(count);
                if !is_told {
                    warn!(%error, "spans are not taken; they are dropped until they are");
                    is_told = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn traces_have_their_place_at_a_collector() {
        use super::endpoint;
        assert_eq!(endpoint("http://a:4318"), "http://a:4318/v1/traces");
        assert_eq!(endpoint("http://a:4318/"), "http://a:4318/v1/traces");
        assert_eq!(
            endpoint("http://a/otlp/v1/traces"),
            "http://a/otlp/v1/traces"
        );
    }
}
