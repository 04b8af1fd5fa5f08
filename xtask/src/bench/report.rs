//! What the benches found: a table for people, or one JSON object a line.

use crate::tools::BENCH_PROGRAMS;
use serde_json::{Value, json};

/// Which way is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    More,
    /// Times and sizes.
    Less,
}

/// One comparison.
struct Line {
    bench: String,
    ours: f64,
    peer: String,
    peer_value: Option<f64>,
    unit: &'static str,
    ratio: Option<f64>,
}

/// All comparisons so far.
pub struct Report {
    is_json: bool,
    lines: Vec<Line>,
}

impl Report {
    /// An empty one.
    pub fn new(is_json: bool) -> Self {
        Self {
            is_json,
            lines: Vec::new(),
        }
    }

    /// Adds a comparison. `peer` may be `goal`.
    pub fn add(&mut self, bench: &str, ours: f64, peer: &str, peer_value: f64, unit: &'static str, better: Better) {
        let ratio = match better {
            Better::More => ours / peer_value,
            Better::Less => peer_value / ours,
        };
        self.push(
            bench,
            ours,
            peer,
            Some(peer_value),
            unit,
            ratio.is_finite().then_some(ratio),
        );
    }

    /// Adds a comparison whose ratio is not that of the two values, but of pairs that were measured together.
    pub fn add_ratio(&mut self, bench: &str, ours: f64, peer: &str, peer_value: f64, unit: &'static str, ratio: f64) {
        self.push(bench, ours, peer, Some(peer_value), unit, Some(ratio));
    }

    /// Adds a figure whose peer is not there, and says how to get it.
    pub fn without_peer(&mut self, bench: &str, ours: f64, peer: &str, unit: &'static str) {
        let package = BENCH_PROGRAMS
            .iter()
            .find(|(program, _)| *program == peer)
            .map_or(peer, |(_, package)| package);
        eprintln!("{bench}: {peer} is not installed\nrun: apt-get install -y --no-install-recommends {package}");
        self.push(bench, ours, peer, None, unit, None);
    }

    fn push(
        &mut self,
        bench: &str,
        ours: f64,
        peer: &str,
        peer_value: Option<f64>,
        unit: &'static str,
        ratio: Option<f64>,
    ) {
        let (bench, peer) = (bench.to_owned(), peer.to_owned());
        let line = Line {
            bench,
            ours,
            peer,
            peer_value,
            unit,
            ratio,
        };
        if self.is_json {
            // At once: what is measured is not lost when a later bench fails.
            println!("{}", line.json());
        } else {
            eprintln!("{}", line.text());
        }
        self.lines.push(line);
    }

    /// Prints the table; JSON has been printed already.
    pub fn print(&self) {
        if self.is_json || self.lines.is_empty() {
            return;
        }
        println!(
            "{:<28} {:>12}  {:<16} {:>12}  {:<22} {:>6}",
            "BENCH", "OURS", "PEER", "ITS VALUE", "UNIT", "RATIO"
        );
        for line in &self.lines {
            println!("{}", line.text());
        }
        println!("\na ratio above 1 means that ours is better; compare figures of one run only");
    }
}

impl Line {
    fn text(&self) -> String {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| rounded(value).to_string());
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        format!(
            "{:<28} {:>12}  {:<16} {:>12}  {:<22} {ratio:>6}",
            self.bench,
            number(Some(self.ours)),
            self.peer,
            number(self.peer_value),
            self.unit
        )
    }

    fn json(&self) -> Value {
        json!({
            "bench": self.bench,
            "ours": rounded(self.ours),
            "peer": self.peer,
            "peer_value": self.peer_value.map(rounded),
            "unit": self.unit,
            "ratio": self.ratio.map(|ratio| (ratio * 1e3).round() / 1e3),
        })
    }
}

/// To three places: more is noise.
fn rounded(value: f64) -> f64 {
    let places = if value.abs() >= 1_000.0 { 1.0 } else { 1e3 };
    (value * places).round() / places
}
