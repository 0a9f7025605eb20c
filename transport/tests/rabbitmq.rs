//! The transport over RabbitMQ keeps the contract of transports.

mod broker;

use std::time::Duration;

use sagalog_transport::{RabbitMq, conformance, for_each_property};

use broker::Broker;

/// Far beyond what any of them needs: a property that does not hold often shows as waiting for ever.
const LIMIT: Duration = Duration::from_secs(120);

macro_rules! keeps {
    ($($property:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                let transport = RabbitMq::connect(&Broker::shared().url()).await;
                let transport = transport.expect("the broker is there");
                let property = conformance::$property(&transport);
                tokio::time::timeout(LIMIT, property).await.expect("it came to an end");
            }
        )+
    };
}

for_each_property!(keeps);
