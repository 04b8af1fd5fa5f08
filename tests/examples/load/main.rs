//! The load generator of `cargo xtask bench`: signed calls, many or measured one by one. One JSON object a line goes to
//! standard output. Not a test, and no benchmark by itself: what the peers do is measured by xtask.

mod client;
mod containers;
mod rate;

use anyhow::{Result, bail};
use client::Api;

const USAGE: &str = "usage: load COMMAND, with the endpoint in AWS_ENDPOINT_URL and the keys in AWS_ACCESS_KEY_ID, ...
  first CREDENTIALS_FILE         waits for the file, then for the first signed answer
  rate OPERATION CALLERS SECONDS list-tasks, register-task-definition or create-log-group, as often as possible
  repository NAME                makes an ECR repository and prints what it takes to push there
  prepare IMAGE PORT             makes what tasks need
  task PATH PORT                 from RunTask to the first answer, then stops it
  many CALLS COUNT               from RunTask to all of them RUNNING, then stops them";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        match arguments.as_slice() {
            ["first", file] => client::first_answer(file).await,
            ["rate", operation, callers, seconds] => {
                rate::run(Api::from_env()?, operation, callers.parse()?, seconds.parse()?).await
            }
            ["repository", name] => containers::repository(&Api::from_env()?, name).await,
            ["prepare", image, port] => containers::prepare(&Api::from_env()?, image, port.parse()?).await,
            ["task", path, port] => containers::one(&Api::from_env()?, path, port.parse()?).await,
            ["many", calls, count] => containers::many(&Api::from_env()?, calls.parse()?, count.parse()?).await,
            _ => bail!(USAGE),
        }
    })?;
    println!("{answer}");
    Ok(())
}
