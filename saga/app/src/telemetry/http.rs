//! What a process tells over HTTP: metrics and health. It changes nothing but which log lines there are, and knows
//! no payload.

use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    Metrics,
    health::{Health, Report, Status},
    logs::Levels,
};
use crate::error::{CliError, Exit};

/// Where it is served.
#[derive(Debug, clap::Args)]
pub(crate) struct HttpArg {
    /// Serves metrics, health and log levels over HTTP: a port of this machine, or HOST:PORT to be reached from others.
    /// It has no authentication
    #[arg(long, value_name = "ADDR", env = "SAGALOG_HTTP")]
    http: Option<Address>,
}

/// An address, of this machine alone unless it says otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse() {
            return Ok(Self((Ipv4Addr::LOCALHOST, port).into()));
        }
        let address = text.replace("localhost:", "127.0.0.1:").parse();
        let bad = |_| "it is a port such as 9464, or an address such as 0.0.0.0:9464".to_owned();
        Ok(Self(address.map_err(bad)?))
    }
}

/// A place that was taken, before there is anything to serve.
pub(crate) struct Place {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl HttpArg {
    /// Takes the place, if one was named.
    ///
    /// # Errors
    /// If it cannot be had.
    pub(crate) async fn bind(&self) -> Result<Option<Place>, CliError> {
        let Some(Address(address)) = self.http else {
            return Ok(None);
        };
        let taken = TcpListener::bind(address).await;
        let listener = taken.map_err(|error| {
            let message = format!("nothing can be served at {address}: {error}");
            CliError::new("http", Exit::Failed, message).fix("name another address with --http")
        })?;
        let address = listener.local_addr()?;
        Ok(Some(Place { listener, address }))
    }
}

/// Serves until it is dropped.
pub(crate) struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Place {
    /// Serves what this process tells.
    pub(crate) fn serve(self, metrics: Arc<Metrics>, health: Arc<Health>) -> Serving {
        let (ready, deep) = (health.clone(), health);
        let routes = Router::new()
            .route("/metrics", get(async move || shown(&metrics)))
            .route(
                "/health/live",
                get(async || json(StatusCode::OK, r#"{"status":"up"}"#)),
            )
            .route(
                "/health/ready",
                get(async move || told(&ready.ready().await)),
            )
            .route("/log-level", get(async || levels()).put(set_levels))
            .route("/health/deep", get(async move || told(&deep.deep().await)));
        Serving(tokio::spawn(async move {
            // It ends only with its listener, which lives as long.
            _ = axum::serve(self.listener, routes).await;
        }))
    }
}

/// Which log lines there are, by component.
fn levels() -> Response {
    match Levels::of_the_process() {
        Some(levels) => text(StatusCode::OK, levels.shown()),
        None => text(
            StatusCode::NOT_FOUND,
            "this program has log lines of its own",
        ),
    }
}

async fn set_levels(wanted: String) -> Response {
    let Some(levels) = Levels::of_the_process() else {
        return text(
            StatusCode::NOT_FOUND,
            "this program has log lines of its own",
        );
    };
    match levels.try_set(&wanted) {
        Ok(()) => text(StatusCode::OK, levels.shown()),
        Err(why) => text(StatusCode::BAD_REQUEST, why),
    }
}

fn text(status: StatusCode, text: impl Into<String>) -> Response {
    (
        status,
        [(CONTENT_TYPE, "text/plain; charset=utf-8")],
        text.into() + "\n",
    )
        .into_response()
}

fn shown(metrics: &Metrics) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], metrics.to_text()).into_response()
}

fn told(report: &Report) -> Response {
    let status = match report.status {
        Status::Up | Status::Degraded => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    let text = serde_json::to_string(report).expect("it is plain data");
    json(status, text)
}

fn json(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], text.into()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_this_machine() {
        let read = |text: &str| text.parse::<Address>().map(|it| it.0.to_string());
        assert_eq!(read("9464").as_deref(), Ok("127.0.0.1:9464"));
        assert_eq!(read("localhost:9464").as_deref(), Ok("127.0.0.1:9464"));
        assert_eq!(read("0.0.0.0:1").as_deref(), Ok("0.0.0.0:1"));
        assert!(read("everywhere").is_err());
        assert!(read("70000").is_err());
    }
}
