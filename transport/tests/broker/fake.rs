//! What answers like a broker, and is none that can be used.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Serves one client with these bytes.
pub(crate) async fn greeting_at_a_port(greeting: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut hello = [0; 8];
        client
            .read_exact(&mut hello)
            .await
            .expect("it says what it speaks");
        client.write_all(&greeting).await.expect("it listens");
        // It goes first.
        _ = client.read(&mut hello).await;
    });
    port
}

/// The frame with which a broker begins: `connection.start`.
pub(crate) fn greeting(product: &str, version: &str) -> Vec<u8> {
    let mut table = Vec::new();
    for (name, value) in [("product", product), ("version", version)] {
        table.push(name.len() as u8);
        table.extend(name.bytes());
        table.push(b'S');
        table.extend((value.len() as u32).to_be_bytes());
        table.extend(value.bytes());
    }
    let mut method = vec![0, 10, 0, 10, 0, 9];
    method.extend((table.len() as u32).to_be_bytes());
    method.extend(table);
    for text in ["PLAIN", "en_US"] {
        method.extend((text.len() as u32).to_be_bytes());
        method.extend(text.bytes());
    }
    let mut frame = vec![1, 0, 0];
    frame.extend((method.len() as u32).to_be_bytes());
    frame.extend(method);
    frame.push(0xCE);
    frame
}
