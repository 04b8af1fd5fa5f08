//! Data for people and for programs: a table, text with tabs, or JSON.

use serde_json::Value;
use std::io::Write;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum OutputFormat {
    /// Columns that stand below each other
    #[default]
    Table,
    /// A line each, fields parted by tabs, without a heading
    Text,
    /// One JSON document
    Json,
}

/// The option that every command with data has.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct OutputOption {
    /// How to print the data
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
}

impl OutputOption {
    /// Whether JSON is wanted.
    pub fn is_json(self) -> bool {
        self.output == OutputFormat::Json
    }

    /// A table in the form that is wanted; JSON is the caller's, who knows more than the table shows.
    pub fn text_of(self, table: &Table) -> String {
        match self.output {
            OutputFormat::Text => table.text(),
            OutputFormat::Table | OutputFormat::Json => table.columns(),
        }
    }
}

/// Rows under a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// As columns; the last one is as wide as it is.
    pub fn columns(&self) -> String {
        let heading: Vec<String> = self.heading.iter().map(|text| (*text).to_owned()).collect();
        let mut widths: Vec<usize> = Vec::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            for (n, field) in row.iter().enumerate() {
                let length = field.chars().count();
                match widths.get_mut(n) {
                    Some(width) => *width = (*width).max(length),
                    None => widths.push(length),
                }
            }
        }
        let mut out = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            for (field, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{field:<width$}  "));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// As lines with tabs.
    pub fn text(&self) -> String {
        self.rows.iter().map(|row| row.join("\t") + "\n").collect()
    }
}

/// Prints to standard output. A reader that went away is no failure.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// Prints JSON to standard output.
pub fn print_json(value: &Value) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new(&["NAME", "TASKS"]);
        table.row(vec!["hello".to_owned(), "2/2".to_owned()]);
        table.row(vec!["a".to_owned(), "0/1".to_owned()]);
        assert_eq!(table.columns(), "NAME   TASKS\nhello  2/2\na      0/1\n");
        assert_eq!(table.text(), "hello\t2/2\na\t0/1\n");
    }
}
