//! Where the broker is, and whether it is one that can be used.

use std::{fmt, io, time::Duration};

use lapin::{
    ErrorKind,
    protocol::{AMQPClass, connection, parse_class},
    types::AMQPValue,
    uri::{AMQPScheme, AMQPUri},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::transport::DeclareError;

/// The oldest broker that has all that is used: at-least-once dead-lettering came with it.
const OLDEST: (u64, u64) = (3, 10);

/// How often each side of a connection gives a sign of life, in seconds. Who gives none for twice as
/// long is given up, and what it held goes to others.
pub(super) const HEARTBEAT: u16 = 5;

/// How long a broker may take to greet.
const GREETING: Duration = Duration::from_secs(10);

/// A broker's greeting is far smaller.
const GREETING_MAX_BYTES: usize = 64 * 1024;

/// Where the broker is and who we are there. Shown without the password.
pub(super) struct Address(AMQPUri);

/// Why a broker cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Put the URL right.
    #[error(
        "the broker's URL cannot be used: {why}; it looks like amqp://user:password@host:5672/vhost, \
         with %2f for the vhost /"
    )]
    BadUrl {
        /// What is wrong with it. The URL itself is not shown, as it holds a password.
        why: &'static str,
    },
    /// Start the broker, or put host and port right.
    #[error("no broker answers at {broker}; is it running there, and is the port that of AMQP?")]
    Unreachable {
        /// Where it should be.
        broker: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Put user and password right.
    #[error(
        "the broker at {broker} does not let the user {user} in; check user and password in the URL \
         (the user guest is let in from the broker's own machine only)"
    )]
    Refused {
        /// Where it is.
        broker: String,
        /// Who was refused.
        user: String,
    },
    /// Make the vhost, or allow the user to use it.
    #[error(
        "the vhost {vhost} of the broker at {broker} cannot be used by {user} ({told}); make it with \
         `rabbitmqctl add_vhost {vhost}` and `rabbitmqctl set_permissions -p {vhost} {user} '.*' '.*' '.*'`"
    )]
    NoVhost {
        /// Where the broker is.
        broker: String,
        /// The vhost.
        vhost: String,
        /// Who wanted to use it.
        user: String,
        /// What the broker said.
        told: String,
    },
    /// Use a newer broker.
    #[error(
        "at {broker} there is {product} {version}, but RabbitMQ 3.10 or later is needed; upgrade the broker"
    )]
    TooOld {
        /// Where it is.
        broker: String,
        /// What it says it is.
        product: String,
        /// Which version of it.
        version: String,
    },
    /// The exchanges or the queue of dead letters cannot be declared.
    #[error("what every transport needs on the broker cannot be declared")]
    Declare(#[from] DeclareError),
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, ConnectError> {
        let bad = |why| ConnectError::BadUrl { why };
        // What the library says about it holds the URL, and so the password.
        let parsed = url.parse::<AMQPUri>();
        let mut uri = parsed.map_err(|_| bad("it cannot be read"))?;
        if uri.scheme == AMQPScheme::AMQPS {
            let why = "amqps is not supported yet: use amqp to a TLS proxy on this machine";
            return Err(bad(why));
        }
        uri.query.heartbeat = Some(HEARTBEAT);
        Ok(Self(uri))
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }

    /// What was refused, told by what a person does about it.
    pub(super) fn explain(&self, error: lapin::Error) -> ConnectError {
        let told = match error.kind() {
            ErrorKind::ProtocolError(error) => {
                Some((error.get_id(), error.get_message().to_string()))
            }
            _ => None,
        };
        let (broker, user) = (self.to_string(), self.0.authority.userinfo.username.clone());
        match told {
            Some((403, _)) => ConnectError::Refused { broker, user },
            Some((530, told)) => ConnectError::NoVhost {
                broker,
                vhost: self.0.vhost.clone(),
                user,
                told,
            },
            _ => self.unreachable(error),
        }
    }

    fn unreachable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ConnectError {
        ConnectError::Unreachable {
            broker: self.to_string(),
            source: source.into(),
        }
    }

    /// Asks the broker what it is, on a connection of its own: the client library does not tell.
    pub(super) async fn check_version(&self) -> Result<(), ConnectError> {
        let greeting = timeout(GREETING, self.greeting()).await;
        let greeting = greeting
            .map_err(|_| self.unreachable("it does not greet"))?
            .map_err(|error| self.unreachable(error))?;
        let told = |key| match greeting.server_properties.inner().get(key) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            _ => "unknown".to_owned(),
        };
        let (product, version) = (told("product"), told("version"));
        let mut parts = version.split('.').map_while(|part| part.parse().ok());
        let found: Option<(u64, u64)> = parts.next().zip(parts.next());
        if product == "RabbitMQ" && found >= Some(OLDEST) {
            return Ok(());
        }
        Err(ConnectError::TooOld {
            broker: self.to_string(),
            product,
            version,
        })
    }

    async fn greeting(&self) -> io::Result<connection::Start> {
        let authority = &self.0.authority;
        let mut stream = TcpStream::connect((&*authority.host, authority.port)).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        let mut header = [0; 7];
        stream.read_exact(&mut header).await?;
        let [kind, _, _, size @ ..] = header;
        let size = u32::from_be_bytes(size) as usize;
        let strange = || io::Error::other("what answers there does not speak AMQP 0.9.1");
        if kind != 1 || size > GREETING_MAX_BYTES {
            return Err(strange());
        }
        let mut body = vec![0; size];
        stream.read_exact(&mut body).await?;
        match parse_class(&body[..]) {
            Ok((_, AMQPClass::Connection(connection::AMQPMethod::Start(start)))) => Ok(start),
            _ => Err(strange()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.0.authority;
        write!(f, "{}:{}", authority.host, authority.port)
    }
}
