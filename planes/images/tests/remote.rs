//! Goal: nobody makes us talk to what listens on this machine, and nobody sees what it says. Method: a listener that is no
//! registry, asked under every name that leads to it.

use honmaru_images::{Loopback, Reference, RemoteError, RemoteLimits, Remotes};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A service that answers every request with an error and a secret; its port, and how often somebody came.
async fn service() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(AtomicUsize::new(0));
    let counter = came.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut head = [0; 4_096];
            let _ = stream.read(&mut head).await;
            let answer = "HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: 6\r\n\r\nsecret";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, came)
}

async fn ask(loopback: Loopback, reference: &str) -> RemoteError {
    let limits = RemoteLimits {
        loopback,
        ..RemoteLimits::default()
    };
    let reference: Reference = reference.parse().unwrap();
    Remotes::new(limits).manifest(&reference, None, None).await.unwrap_err()
}

#[tokio::test]
async fn this_machine_is_asked_only_at_ports_that_are_named() {
    let (port, came) = service().await;
    for host in [
        "127.0.0.1",
        "127.1.2.3",
        "localhost",
        "x.localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
    ] {
        for loopback in [Loopback::default(), Loopback::Ports(vec![port ^ 1])] {
            let error = ask(loopback, &format!("{host}:{port}/a")).await;
            assert!(matches!(error, RemoteError::Loopback { .. }), "{host}: {error:?}");
        }
    }
    assert_eq!(came.load(Ordering::Relaxed), 0);
    let error = ask(Loopback::Ports(vec![port]), &format!("localhost:{port}/a")).await;
    assert!(matches!(error, RemoteError::Status { status: 500, .. }), "{error:?}");
    assert_eq!(came.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_no_registrys_error_is_not_shown() {
    let (port, _) = service().await;
    let error = ask(Loopback::Open, &format!("127.0.0.1:{port}/a")).await;
    assert_eq!(
        error.to_string(),
        format!(
            "unexpected status from GET request to http://127.0.0.1:{port}/v2/a/manifests/latest: 500: Internal Server Error"
        )
    );
}

#[test]
fn what_may_be_asked_here_is_written_as_it_is_read() {
    for (text, wanted) in [
        ("any", Loopback::Open),
        ("none", Loopback::Closed),
        ("5000,5001", Loopback::Ports(vec![5_000, 5_001])),
    ] {
        assert_eq!(text.parse(), Ok(wanted.clone()));
        assert_eq!(wanted.to_string(), text);
    }
    let with_own = ["any", "none", "5000"].map(|text| text.parse::<Loopback>().unwrap().and(4_566).to_string());
    assert_eq!(with_own, ["any", "4566", "5000,4566"]);
    for wrong in ["", "all", "0", "5000,", "65536", "-1"] {
        assert!(wrong.parse::<Loopback>().is_err(), "{wrong}");
    }
}
