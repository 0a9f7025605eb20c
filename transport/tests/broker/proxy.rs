//! A wire between a client and the broker that can be cut or frozen.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::AbortHandle,
};

/// A wire between clients and a broker. Dropped, it is cut.
pub(crate) struct Proxy {
    port: u16,
    frozen: Arc<AtomicBool>,
    wires: Arc<Mutex<Vec<AbortHandle>>>,
    listening: AbortHandle,
}

impl Proxy {
    pub(crate) async fn to(broker: u16) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(any).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let frozen = Arc::new(AtomicBool::new(false));
        let wires = Arc::new(Mutex::new(Vec::new()));
        let (ice, list) = (frozen.clone(), wires.clone());
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).await else {
                    continue;
                };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                for (from, to) in [(from_client, to_server), (from_server, to_client)] {
                    let carried = tokio::spawn(carry(from, to, ice.clone()));
                    list.lock()
                        .expect("nobody panics here")
                        .push(carried.abort_handle());
                }
            }
        });
        Self {
            port,
            frozen,
            wires,
            listening: listening.abort_handle(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections that go through; new ones are let in.
    pub(crate) fn cut(&self) {
        for wire in self.wires.lock().expect("nobody panics here").drain(..) {
            wire.abort();
        }
    }

    /// Carries nothing any more and closes nothing, as if the client's machine had stopped.
    pub(crate) fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, frozen: Arc<AtomicBool>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if frozen.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
