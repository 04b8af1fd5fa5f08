//! `honmaru registry gc|verify|usage`: what an operator does with the registry's store while it is in use.
//!
//! Exit codes: 0 it is done and, for `verify`, clean; 1 it failed, or something is not as it should be.

use super::connection::Connection;
use super::failure::{EXIT_FAILED, Failure};
use super::output::{OutputFormat, OutputOption, Table, print, print_json};
use crate::registry_report::{Line, Outcome, PATH};
use crate::units::{ByteSize, span};
use honmaru_registry::{Finding, Freed, RegistryUsage, VerifySummary};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// The commands of the registry's operator.
#[derive(Debug, clap::Subcommand)]
pub enum RegistryCommand {
    /// Remove blobs that no image needs and uploads that were given up; pushes and pulls go on
    Gc(GcOptions),
    /// Read every blob, compare it with its digest and with what names it; exit code 1 unless all is well
    Verify(VerifyOptions),
    /// Show what each repository takes, and how much more the registry may
    Usage(UsageOptions),
}

/// How the answer is printed, and which cloud is asked.
#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    output: OutputOption,
    /// Print JSON, the same as `--output json`
    #[arg(long, conflicts_with = "output")]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The options of `honmaru registry gc`.
#[derive(Debug, clap::Args)]
pub struct GcOptions {
    /// Spare blobs that came or were asked for within this time: a push may be about to name them
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span)]
    grace: Duration,
    /// Remove uploads that nobody has written to for this time
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span)]
    idle: Duration,
    #[command(flatten)]
    common: Common,
}

/// The options of `honmaru registry verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyOptions {
    #[command(flatten)]
    common: Common,
}

/// The options of `honmaru registry usage`.
#[derive(Debug, clap::Args)]
pub struct UsageOptions {
    #[command(flatten)]
    common: Common,
}

impl Common {
    fn format(&self) -> OutputOption {
        let output = if self.json {
            OutputFormat::Json
        } else {
            self.output.output
        };
        OutputOption { output }
    }
}

/// Runs a command of the registry's operator.
pub async fn run(command: RegistryCommand) -> anyhow::Result<ExitCode> {
    match command {
        RegistryCommand::Gc(options) => gc(&options).await,
        RegistryCommand::Verify(options) => verify(&options.common).await,
        RegistryCommand::Usage(options) => usage(&options.common).await,
    }
}

/// Asks, and returns the last line; `each` gets what is found on the way.
async fn ask(
    connection: &Connection,
    method: &str,
    what: &str,
    query: &str,
    mut each: impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let client = connection.open()?;
    let mut last = None;
    let mut progress = Progress::default();
    let path = format!("{PATH}{what}");
    let asked = client.follow(method, &path, query, |line| {
        match serde_json::from_slice(line)? {
            Line::Progress { bytes, of } => progress.show(bytes, of),
            Line::Finding(finding) => {
                progress.clear();
                each(finding)?;
            }
            Line::Done(outcome) => last = Some(Ok(outcome)),
            Line::Failed { message } => last = Some(Err(message)),
        }
        Ok(())
    });
    let asked = asked.await;
    progress.clear();
    if let Err(error) = asked {
        let hint = format!(
            "`honmaru registry` asks the running cloud: start it with `sudo honmaru up{}`; what is there is safe meanwhile",
            connection.flags()
        );
        return Err(Failure::new(format!("{error:#}")).hint(hint).into());
    }
    match last {
        Some(Ok(outcome)) => Ok(outcome),
        Some(Err(message)) => Err(Failure::new(message).into()),
        None => Err(Failure::new("the answer broke off before its end")
            .hint("control was ended meanwhile; ask again once it runs")
            .into()),
    }
}

fn unexpected() -> anyhow::Error {
    Failure::new("control answered something else than was asked")
        .hint("the cloud runs another version: start `honmaru up` anew")
        .into()
}

async fn gc(options: &GcOptions) -> anyhow::Result<ExitCode> {
    let query = format!("grace_s={}&idle_s={}", options.grace.as_secs(), options.idle.as_secs());
    let common = &options.common;
    let Outcome::Gc(freed) = ask(&common.connection, "POST", "gc", &query, |_| Ok(())).await? else {
        return Err(unexpected());
    };
    match common.format().output {
        OutputFormat::Json => print_json(&json!(freed))?,
        OutputFormat::Text => print(&gc_table(&freed).text())?,
        OutputFormat::Table => print(&gc_text(&freed, &common.connection.flags()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn gc_table(freed: &Freed) -> Table {
    let mut table = Table::new(&["WHAT", "NUMBER", "BYTES"]);
    for (what, number, bytes) in [
        ("blobs", freed.blobs, Some(freed.blob_bytes)),
        ("uploads", freed.uploads, Some(freed.upload_bytes)),
        ("kept-blobs", freed.kept_blobs, Some(freed.kept_bytes)),
        ("kept-uploads", freed.kept_uploads, None),
    ] {
        let bytes = bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        table.row(vec![what.to_owned(), number.to_string(), bytes]);
    }
    table
}

fn gc_text(freed: &Freed, flags: &str) -> String {
    let mut text = match freed.blobs + freed.uploads {
        0 => "nothing to free\n".to_owned(),
        _ => format!(
            "freed {}: {} and {}\n",
            ByteSize(freed.blob_bytes + freed.upload_bytes),
            count(freed.blobs, "blob that nothing needs", "blobs that nothing needs"),
            count(freed.uploads, "upload that was given up", "uploads that were given up"),
        ),
    };
    if freed.kept_blobs > 0 {
        text.push_str(&format!(
            "kept {} ({}) that nothing names yet: they came or were asked for lately\n\
             next: when no push is under way, `honmaru registry gc{flags} --grace 0` takes them too\n",
            count(freed.kept_blobs, "blob", "blobs"),
            ByteSize(freed.kept_bytes),
        ));
    }
    if freed.kept_uploads > 0 {
        text.push_str(&format!(
            "{} in progress\n",
            count(freed.kept_uploads, "upload is", "uploads are")
        ));
    }
    text
}

async fn verify(common: &Common) -> anyhow::Result<ExitCode> {
    let output = common.format().output;
    let mut findings = Vec::new();
    let each = |finding: Finding| {
        match output {
            OutputFormat::Json => findings.push(finding),
            OutputFormat::Text => print(&finding_fields(&finding))?,
            OutputFormat::Table => print(&finding_text(&finding))?,
        }
        Ok(())
    };
    let Outcome::Verify(summary) = ask(&common.connection, "POST", "verify", "", each).await? else {
        return Err(unexpected());
    };
    match output {
        OutputFormat::Json => print_json(&json!({"summary": summary, "findings": findings}))?,
        OutputFormat::Text => {}
        OutputFormat::Table => print(&verify_text(&summary, &common.connection.flags()))?,
    }
    Ok(ExitCode::from(if summary.findings == 0 { 0 } else { EXIT_FAILED }))
}

fn finding_text(finding: &Finding) -> String {
    let repository = match &finding.repository {
        Some(repository) => format!(" of {repository}"),
        None => String::new(),
    };
    format!(
        "{}: {}{repository}: {}\n",
        finding.kind.words(),
        finding.subject,
        finding.message
    )
}

fn finding_fields(finding: &Finding) -> String {
    let repository = finding.repository.as_deref().unwrap_or("-");
    format!(
        "{}\t{}\t{repository}\t{}\n",
        finding.kind.words(),
        finding.subject,
        finding.message
    )
}

fn verify_text(summary: &VerifySummary, flags: &str) -> String {
    let mut text = format!(
        "verified {}, {} and {} in {} with {}\n",
        count(summary.repositories, "repository", "repositories"),
        count(summary.images, "image", "images"),
        count(summary.tags, "tag", "tags"),
        count(summary.blobs, "blob", "blobs"),
        ByteSize(summary.bytes),
    );
    if summary.uploads > 0 {
        text.push_str(&format!(
            "{} in progress\n",
            count(summary.uploads, "upload is", "uploads are")
        ));
    }
    if summary.unneeded_blobs > 0 {
        text.push_str(&format!(
            "not needed: {} with {}: `honmaru registry gc{flags}` frees what was not used lately\n",
            count(summary.unneeded_blobs, "blob", "blobs"),
            ByteSize(summary.unneeded_bytes),
        ));
    }
    text.push_str(&match summary.findings {
        0 => "clean\n".to_owned(),
        n => format!("not clean: {}\n", count(n, "finding", "findings")),
    });
    text
}

async fn usage(common: &Common) -> anyhow::Result<ExitCode> {
    let Outcome::Usage(usage) = ask(&common.connection, "GET", "usage", "", |_| Ok(())).await? else {
        return Err(unexpected());
    };
    match common.format().output {
        OutputFormat::Json => print_json(&json!(usage))?,
        OutputFormat::Text => print(&usage_table(&usage, |bytes| bytes.to_string()).text())?,
        OutputFormat::Table => print(&usage_text(&usage, &common.connection.flags()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn usage_table(usage: &RegistryUsage, size: impl Fn(u64) -> String) -> Table {
    let mut table = Table::new(&[
        "REPOSITORY",
        "IMAGES",
        "TAGS",
        "LOGICAL",
        "ON DISK",
        "SHARED",
        "UPLOADS",
    ]);
    for row in &usage.repositories {
        table.row(vec![
            format!("{}/{}", row.namespace, row.repository),
            row.images.to_string(),
            row.tags.to_string(),
            size(row.logical_bytes),
            size(row.disk_bytes),
            size(row.shared_bytes),
            row.uploads.to_string(),
        ]);
    }
    let total = &usage.total;
    table.row(vec![
        "total".to_owned(),
        total.images.to_string(),
        total.tags.to_string(),
        size(total.logical_bytes),
        size(total.disk_bytes),
        size(total.shared_bytes),
        total.uploads.to_string(),
    ]);
    table
}

fn usage_text(usage: &RegistryUsage, flags: &str) -> String {
    let mut text = usage_table(usage, |bytes| ByteSize(bytes).to_string()).columns();
    text.push('\n');
    let (total, free) = (&usage.total, usage.free_bytes.saturating_sub(usage.reserve_bytes));
    text.push_str(&match usage.quota_bytes {
        Some(quota) => format!(
            "quota: {} of {} used; the disk has {} more\n",
            ByteSize(total.disk_bytes),
            ByteSize(quota),
            ByteSize(free)
        ),
        None => format!(
            "quota: none (`honmaru up --registry-bytes-max SIZE` sets one); the disk has {} more\n",
            ByteSize(free)
        ),
    });
    if total.upload_bytes > 0 {
        text.push_str(&format!("uploads in progress: {}\n", ByteSize(total.upload_bytes)));
    }
    if total.unneeded_blobs > 0 {
        text.push_str(&format!(
            "not needed: {} with {}: `honmaru registry gc{flags}` frees what was not used lately\n",
            count(total.unneeded_blobs, "blob", "blobs"),
            ByteSize(total.unneeded_bytes)
        ));
    }
    text
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How far a verification has come, in the last line of a terminal.
#[derive(Debug, Default)]
struct Progress {
    is_shown: bool,
}

impl Progress {
    fn show(&mut self, bytes: u64, of: u64) {
        let mut err = std::io::stderr();
        if of > 0 && err.is_terminal() {
            // A terminal that went away needs no progress.
            let _ = write!(err, "\r\x1b[2Kread {} of {}", ByteSize(bytes), ByteSize(of)).and_then(|()| err.flush());
            self.is_shown = true;
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let mut err = std::io::stderr();
            let _ = write!(err, "\r\x1b[2K").and_then(|()| err.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use honmaru_registry::{FindingKind, RepositoryUsage, UsageTotal};

    #[test]
    fn gc_says_what_was_freed() {
        let freed = Freed {
            blobs: 12,
            blob_bytes: 3 << 30,
            uploads: 1,
            upload_bytes: 5 << 20,
            kept_blobs: 2,
            kept_bytes: 1_500,
            kept_uploads: 1,
        };
        let text = gc_text(&freed, " --state /tmp/x") + "---\n" + &gc_text(&Freed::default(), "");
        golden::check("registry_gc.txt", &text);
    }

    #[test]
    fn verify_has_a_line_for_each_finding() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let findings = [
            Finding {
                kind: FindingKind::DamagedBlob,
                subject: digest,
                repository: Some("000000000000/us-east-1/shop".to_owned()),
                message: "its content has digest sha256:cd".to_owned(),
            },
            Finding {
                kind: FindingKind::ForeignFile,
                subject: "/var/lib/honmaru/images/blobs/sha256/notes.txt".to_owned(),
                repository: None,
                message: "it lies among the blobs and is none".to_owned(),
            },
        ];
        let mut summary = VerifySummary {
            repositories: 1,
            images: 2,
            tags: 3,
            blobs: 7,
            bytes: 123_456_789,
            unneeded_blobs: 1,
            unneeded_bytes: 1_024,
            uploads: 2,
            findings: 2,
        };
        let mut text: String = findings.iter().map(finding_text).collect();
        text.push_str(&verify_text(&summary, ""));
        text.push_str("---\n");
        text.extend(findings.iter().map(finding_fields));
        text.push_str("---\n");
        (summary.findings, summary.uploads, summary.unneeded_blobs) = (0, 0, 0);
        text.push_str(&verify_text(&summary, ""));
        golden::check("registry_verify.txt", &text);
    }

    #[test]
    fn usage_is_a_table_with_a_total() {
        let row = |name: &str, images| RepositoryUsage {
            namespace: "000000000000/us-east-1".to_owned(),
            repository: name.to_owned(),
            images,
            tags: images + 1,
            logical_bytes: images * 50_000_000,
            disk_bytes: images * 20_000_000,
            shared_bytes: 7_000_000,
            ..RepositoryUsage::default()
        };
        let mut usage = RegistryUsage {
            repositories: vec![row("shop", 3), row("team/api", 12)],
            total: UsageTotal {
                repositories: 2,
                images: 15,
                tags: 17,
                logical_bytes: 750_000_000,
                blobs: 40,
                disk_bytes: 293_000_000,
                shared_bytes: 7_000_000,
                unneeded_blobs: 1,
                unneeded_bytes: 4_096,
                uploads: 1,
                upload_bytes: 1 << 20,
            },
            quota_bytes: Some(10 << 30),
            blob_bytes_max: 52_000 << 20,
            free_bytes: 100 << 30,
            reserve_bytes: 256 << 20,
        };
        let mut text = usage_text(&usage, "") + "---\n";
        text.push_str(&usage_table(&usage, |bytes| bytes.to_string()).text());
        text.push_str("---\n");
        usage = RegistryUsage {
            free_bytes: 1 << 30,
            ..RegistryUsage::default()
        };
        text.push_str(&usage_text(&usage, ""));
        golden::check("registry_usage.txt", &text);
    }
}
