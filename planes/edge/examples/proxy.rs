//! The edge with one fixed configuration and without `control`, for `cargo xtask bench proxy_per_cpu`:
//! `proxy CONFIG.json [SHARED_ENTRY [WORKERS]]`, for example `proxy edge.json 127.0.0.1:8080 1`.
//! The file holds an `EdgeConfig` of the contract. It prints `ready` when it serves and ends when it is killed.

use std::error::Error;
use std::net::SocketAddr;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: proxy CONFIG.json [SHARED_ENTRY [WORKERS]]")?;
    let entry: Option<SocketAddr> = arguments.next().map(|text| text.parse()).transpose()?;
    let workers: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let config = serde_json::from_slice(&std::fs::read(path)?)?;
    let mut builder = match workers {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let (edge, address) = honmaru_edge::run_fixed(config, entry).await?;
        match address {
            Some(address) => println!("ready {address}"),
            None => println!("ready"),
        }
        std::future::pending::<()>().await;
        drop(edge);
        Ok(())
    })
}
