//! `honmaru env`: the variables with which the aws CLI, the SDKs and Terraform use this cloud.

use super::client::Client;
use super::connection::Connection;
use super::output::{OutputFormat, OutputOption, Table, print, print_json};
use serde_json::{Map, Value};
use std::io::IsTerminal;

/// The options of `honmaru env`.
#[derive(Debug, clap::Args)]
pub struct EnvOptions {
    #[command(flatten)]
    connection: Connection,
    /// How to print them; the default is lines for `eval`
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<OutputFormat>,
}

/// Prints the variables.
pub fn run(options: EnvOptions) -> anyhow::Result<()> {
    let variables = variables(&options.connection.open()?);
    match options.output {
        None => print(&exports(&variables))?,
        Some(OutputFormat::Json) => {
            let tree: Map<String, Value> = variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::String(value)))
                .collect();
            print_json(&Value::Object(tree))?;
        }
        Some(format) => {
            let mut table = Table::new(&["VARIABLE", "VALUE"]);
            for (name, value) in variables {
                table.row(vec![name.to_owned(), value]);
            }
            print(&OutputOption { output: format }.text_of(&table))?;
        }
    }
    if std::io::stdout().is_terminal() {
        tell!(
            "next: eval \"$(honmaru env{})\", then for example `aws ecs list-services`",
            options.connection.flags()
        );
    }
    Ok(())
}

fn variables(client: &Client) -> Vec<(&'static str, String)> {
    let keys = client.credentials();
    let mut variables = vec![
        ("AWS_ENDPOINT_URL", client.endpoint.clone()),
        ("AWS_ACCESS_KEY_ID", keys.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key.clone()),
        ("AWS_REGION", client.region.clone()),
        ("AWS_DEFAULT_REGION", client.region.clone()),
    ];
    if let Some(ca) = client.ca.as_ref().filter(|_| client.endpoint.starts_with("https://")) {
        variables.push(("AWS_CA_BUNDLE", ca.display().to_string()));
    }
    variables.extend(keys.session_token.clone().map(|token| ("AWS_SESSION_TOKEN", token)));
    variables
}

/// Lines for a POSIX shell. A session token of an earlier cloud would go with every call: it is taken away.
fn exports(variables: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (name, value) in variables {
        out.push_str(&format!("export {name}={}\n", quote(value)));
    }
    if !variables.iter().any(|(name, _)| *name == "AWS_SESSION_TOKEN") {
        out.push_str("unset AWS_SESSION_TOKEN\n");
    }
    out
}

/// A word of the shell that is exactly this text.
fn quote(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./:+=@%".contains(&b));
    if is_plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_a_shell() {
        let variables = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "a/b+c'd $x".to_owned()),
        ];
        crate::cli::golden::check("env.txt", &exports(&variables));
    }
}
