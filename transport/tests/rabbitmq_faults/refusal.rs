//! Brokers that cannot be used: each is told by what a person does about it.

use std::error::Error as _;

use sagalog_transport::{DeclareError, RabbitMq, Transport as _, rabbitmq::ConnectError};
use tokio::net::TcpListener;

use crate::{
    broker::{
        Broker,
        fake::{greeting, greeting_at_a_port},
    },
    support::{fresh, in_time, payments},
};

async fn refused(url: &str) -> ConnectError {
    let connected = in_time(RabbitMq::connect(url)).await;
    connected.err().expect("it cannot be used")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_without_showing_it() {
    let port = Broker::shared().port();
    let refused = refused(&format!("amqp://guest:secret@127.0.0.1:{port}/v0")).await;
    assert!(
        matches!(refused, ConnectError::Refused { .. }),
        "{refused:?}"
    );
    let told = refused.to_string();
    assert!(
        told.contains("does not let the user guest in; check user and password"),
        "{told}"
    );
    assert!(!format!("{refused:?} {told}").contains("secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vhost_that_is_not_there_is_told_with_how_to_make_it() {
    let port = Broker::shared().port();
    let refused = refused(&format!("amqp://guest:guest@127.0.0.1:{port}/sagas")).await;
    assert!(
        matches!(refused, ConnectError::NoVhost { .. }),
        "{refused:?}"
    );
    let told = refused.to_string();
    assert!(told.contains("rabbitmqctl add_vhost sagas"), "{told}");
}

#[tokio::test]
async fn a_url_that_is_none_is_told_without_showing_it() {
    for url in [
        "guest:secret@localhost",
        "http://guest:secret@localhost",
        "amqps://guest:secret@localhost",
    ] {
        let refused = refused(url).await;
        let ConnectError::BadUrl { .. } = refused else {
            panic!("{url} was taken for one: {refused}");
        };
        assert!(
            !format!("{refused:?} {refused}").contains("secret"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told() {
    let held = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = held.local_addr().expect("it is bound").port();
    drop(held);
    let refused = refused(&format!("amqp://guest:guest@127.0.0.1:{port}/")).await;
    assert!(
        refused
            .to_string()
            .contains(&format!("no broker answers at 127.0.0.1:{port}"))
    );
}

#[tokio::test]
async fn an_old_broker_is_told_by_its_version() {
    for (product, version) in [
        ("RabbitMQ", "3.9.29"),
        ("RabbitMQ", "2"),
        ("LavinMQ", "4.0.0"),
    ] {
        let port = greeting_at_a_port(greeting(product, version)).await;
        let refused = refused(&format!("amqp://guest:guest@127.0.0.1:{port}/")).await;
        let told = refused.to_string();
        let expected =
            format!("there is {product} {version}, but RabbitMQ 3.10 or later is needed");
        assert!(told.contains(&expected), "{told}");
    }
}

#[tokio::test]
async fn what_speaks_another_language_is_told() {
    let port = greeting_at_a_port(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    let refused = refused(&format!("amqp://guest:guest@127.0.0.1:{port}/")).await;
    let source = refused.source().expect("a cause").to_string();
    assert_eq!(source, "what answers there does not speak AMQP 0.9.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_there_otherwise_is_told_with_the_difference() {
    let transport = fresh(Broker::shared(), 20).await;
    let again = in_time(transport.declare(&payments(), 30)).await;
    let Err(DeclareError::Different { queue, difference }) = again else {
        panic!("it was declared: {again:?}");
    };
    assert_eq!(queue, payments());
    assert_eq!(
        difference.to_string(),
        "its x-max-length is 19, wanted is 29"
    );
}
