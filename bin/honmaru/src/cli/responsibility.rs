//! `honmaru responsibility`: who secures what, for each layer, with what the controls of it say now.

use super::check::gather;
use super::connection::Connection;
use super::output::{OutputFormat, OutputOption, Table, print, print_json};
use super::terminal::width;
use honmaru_responsibility::{Counts, LAYERS, ONE_KERNEL, Result, Row, check, count_controls, of_layer};
use serde_json::{Value, json};
use std::fmt::Write;

/// The options of `honmaru responsibility`.
#[derive(Debug, clap::Args)]
pub struct ResponsibilityOptions {
    #[command(flatten)]
    output: OutputOption,
    #[command(flatten)]
    connection: Connection,
}

/// Prints the matrix.
pub async fn run(options: ResponsibilityOptions) -> anyhow::Result<()> {
    let client = options.connection.open()?;
    let flags = options.connection.flags();
    let facts = gather(&client, &options.connection.state, &flags).await?;
    let results = check(&facts, None);
    match options.output.output {
        OutputFormat::Json => return print_json(&tree(&results)),
        OutputFormat::Text => return print(&table(&results).text()),
        OutputFormat::Table => print(&told(&results, width()))?,
    }
    tell!("next: `sudo honmaru check{flags}` shows each control, what was seen, and what to do");
    Ok(())
}

fn counts_words(counts: &Counts) -> String {
    let Counts {
        pass,
        fail,
        not_assessed,
        ..
    } = counts;
    if pass + fail + not_assessed == 0 {
        return "nothing of it can be seen from here".to_owned();
    }
    format!("{fail} failed, {pass} passed, {not_assessed} not assessed")
}

fn counts_of(results: &[Result], row: &Row) -> Counts {
    count_controls(of_layer(results, row.layer))
}

/// In paragraphs: the sentences are too long for columns.
fn told(results: &[Result], width: usize) -> String {
    let mut out = wrapped(ONE_KERNEL, "", "", width);
    for row in &LAYERS {
        let counts = counts_of(results, row);
        let _ = writeln!(out, "\n{} ({}): {}", row.name, row.owner.word(), counts_words(&counts));
        out.push_str(&wrapped(&format!("platform: {}", row.platform), "  ", "    ", width));
        out.push_str(&wrapped(&format!("you: {}", row.yours), "  ", "    ", width));
    }
    out
}

/// Lines that are not longer than the terminal is wide; those after the first begin with `next`.
fn wrapped(text: &str, first: &str, next: &str, width: usize) -> String {
    let (mut out, mut line) = (String::new(), first.to_owned());
    let mut is_begun = false;
    for word in text.split(' ') {
        if is_begun && line.chars().count() + 1 + word.chars().count() > width {
            let _ = writeln!(out, "{line}");
            line = format!("{next}{word}");
            continue;
        }
        if is_begun {
            line.push(' ');
        }
        line.push_str(word);
        is_begun = true;
    }
    let _ = writeln!(out, "{line}");
    out
}

fn table(results: &[Result]) -> Table {
    let mut table = Table::new(&["LAYER", "OWNER", "FAILED", "PASSED", "NOT ASSESSED", "PLATFORM", "YOU"]);
    for row in &LAYERS {
        let counts = counts_of(results, row);
        table.row(vec![
            row.name.to_owned(),
            row.owner.word().to_owned(),
            counts.fail.to_string(),
            counts.pass.to_string(),
            counts.not_assessed.to_string(),
            row.platform.to_owned(),
            row.yours.to_owned(),
        ]);
    }
    table
}

fn tree(results: &[Result]) -> Value {
    let row = |row: &Row| {
        let counts = counts_of(results, row);
        let mut ids: Vec<&str> = of_layer(results, row.layer).map(|result| result.control.id).collect();
        ids.sort_unstable();
        ids.dedup();
        json!({
            "layer": row.name, "owner": row.owner.word(), "platform": row.platform, "you": row.yours,
            "failed": counts.fail, "passed": counts.pass, "notAssessed": counts.not_assessed, "controls": ids,
        })
    };
    json!({ "isolation": ONE_KERNEL, "layers": LAYERS.iter().map(row).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_in_words() {
        crate::cli::golden::check("responsibility.txt", &told(&[], 100));
    }
}
