//! The progress of a command as a tree of steps: redrawn in place on a terminal, a plain line for each event elsewhere.
//!
//! Everything goes to standard error. What a step looks like is decided by [`draw`], which knows no terminal.

use super::terminal::{self, Style};
use parking_lot::Mutex;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the tree is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// Lines below a step at most; a hundred tasks would push the steps out of sight.
const LINES_SHOWN_MAX: usize = 8;
/// A step's name takes that many columns.
const NAME_COLUMNS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepState {
    Runs,
    Done,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct StepView {
    name: &'static str,
    state: StepState,
    note: String,
    /// Lines below it, each with a key, in the order of their first appearance.
    lines: Vec<(String, String)>,
    elapsed_ms: u64,
}

#[derive(Debug)]
struct Step {
    view: StepView,
    since: Instant,
}

#[derive(Debug)]
struct Tree {
    steps: Vec<Step>,
    /// Lines that the last drawing took.
    drawn: usize,
    is_live: bool,
    style: Style,
    frame: usize,
}

/// The progress of one command.
#[derive(Debug)]
pub struct Progress {
    tree: Arc<Mutex<Tree>>,
    redraw: Option<tokio::task::JoinHandle<()>>,
}

impl Progress {
    /// Progress as standard error allows it.
    pub fn start() -> Self {
        let is_live = terminal::can_redraw();
        let style = Style::of_stderr();
        let tree = Arc::new(Mutex::new(Tree {
            steps: Vec::new(),
            drawn: 0,
            is_live,
            style,
            frame: 0,
        }));
        let redraw = is_live.then(|| {
            let tree = tree.clone();
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(REDRAW_EVERY);
                loop {
                    ticks.tick().await;
                    tree.lock().redraw();
                }
            })
        });
        Self { tree, redraw }
    }

    /// Begins a step; the one before must be over.
    pub fn step(&self, name: &'static str) -> StepHandle<'_> {
        let mut tree = self.tree.lock();
        let view = StepView {
            name,
            state: StepState::Runs,
            note: String::new(),
            lines: Vec::new(),
            elapsed_ms: 0,
        };
        tree.steps.push(Step {
            view,
            since: Instant::now(),
        });
        StepHandle { progress: self }
    }

    /// A line that stays, above the tree.
    pub fn say(&self, text: &str) {
        let mut tree = self.tree.lock();
        tree.erase();
        let _ = writeln!(std::io::stderr(), "{text}");
        tree.redraw();
    }

    /// A warning that stays.
    pub fn warn(&self, text: &str) {
        let style = self.tree.lock().style;
        self.say(&format!("{} {text}", style.yellow("warning:")));
    }

    /// The last drawing: what still runs has failed.
    pub fn end(mut self) {
        self.close();
    }

    fn close(&mut self) {
        if let Some(redraw) = self.redraw.take() {
            redraw.abort();
        }
        let mut tree = self.tree.lock();
        for step in tree.steps.iter_mut().filter(|step| step.view.state == StepState::Runs) {
            step.finish(StepState::Failed);
        }
        tree.redraw();
        // What follows is written below.
        tree.drawn = 0;
        tree.is_live = false;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.close();
    }
}

/// The step that runs.
#[derive(Debug)]
pub struct StepHandle<'a> {
    progress: &'a Progress,
}

impl StepHandle<'_> {
    /// What it does now. Only shown on a terminal.
    pub fn note(&self, text: &str) {
        self.change(|step, _| text.clone_into(&mut step.view.note));
    }

    /// The state of one of its parts, for example of a task. Elsewhere than on a terminal it is printed when it changed.
    pub fn line(&self, key: &str, text: &str) {
        self.change(|step, is_live| {
            match step.view.lines.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) if known == text => return,
                Some((_, known)) => text.clone_into(known),
                None => step.view.lines.push((key.to_owned(), text.to_owned())),
            }
            if !is_live {
                tell!("{}: {key} {text}", step.view.name);
            }
        });
    }

    /// A warning that stays, above the tree.
    pub fn warn(&self, text: &str) {
        self.progress.warn(text);
    }

    /// It is over, with what came of it.
    pub fn done(self, text: &str) {
        self.change(|step, is_live| {
            text.clone_into(&mut step.view.note);
            step.view.lines.clear();
            step.finish(StepState::Done);
            if !is_live {
                tell!("{}: {text} ({})", step.view.name, seconds(step.view.elapsed_ms));
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Step, bool)) {
        let mut tree = self.progress.tree.lock();
        let is_live = tree.is_live;
        if let Some(step) = tree.steps.last_mut() {
            change(step, is_live);
        }
        tree.redraw();
    }
}

impl Step {
    fn finish(&mut self, state: StepState) {
        self.view.state = state;
        self.view.elapsed_ms = millis(self.since.elapsed());
    }
}

impl Tree {
    fn erase(&mut self) {
        if self.is_live && self.drawn > 0 {
            let _ = write!(std::io::stderr(), "\x1b[{}A\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    fn redraw(&mut self) {
        if !self.is_live {
            return;
        }
        let views: Vec<StepView> = self
            .steps
            .iter()
            .map(|step| {
                let mut view = step.view.clone();
                if view.state == StepState::Runs {
                    view.elapsed_ms = millis(step.since.elapsed());
                }
                view
            })
            .collect();
        self.frame += 1;
        let lines = draw(&views, self.frame, terminal::width(), self.style);
        // One write, so that the terminal never shows half of it.
        let mut out = String::new();
        if self.drawn > 0 {
            out.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in &lines {
            out.push_str(line);
            out.push_str("\x1b[K\n");
        }
        out.push_str("\x1b[J");
        self.drawn = lines.len();
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(out.as_bytes()).and_then(|()| stderr.flush());
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// For example `14.2 s`.
pub fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// The tree as lines, none of them longer than the terminal is wide.
fn draw(steps: &[StepView], frame: usize, width: usize, style: Style) -> Vec<String> {
    const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
    let mut out = Vec::new();
    for step in steps {
        let sign = match step.state {
            StepState::Runs => style.cyan(FRAMES.get(frame % FRAMES.len()).copied().unwrap_or("·")),
            StepState::Done => style.green("✔"),
            StepState::Failed => style.red("✘"),
        };
        let time = seconds(step.elapsed_ms);
        // Sign, blank, name, blank, note, blank, time; the last column stays free, or the terminal would wrap.
        let room = width.saturating_sub(2 + NAME_COLUMNS + 1 + 1 + time.chars().count() + 1);
        let note = fit(&step.note, room);
        out.push(format!(
            "{sign} {:<NAME_COLUMNS$} {note:<room$} {}",
            step.name,
            style.dim(&time)
        ));
        let shown = step.lines.len().min(LINES_SHOWN_MAX);
        let hidden = step.lines.len() - shown;
        for (n, (key, text)) in step.lines.iter().take(shown).enumerate() {
            let branch = if n + 1 == shown && hidden == 0 { "└" } else { "├" };
            out.push(format!(
                "  {} {}",
                style.dim(branch),
                fit(&format!("{key}  {text}"), width.saturating_sub(5))
            ));
        }
        if hidden > 0 {
            out.push(format!("  {} and {hidden} more", style.dim("└")));
        }
    }
    out
}

fn fit(text: &str, room: usize) -> String {
    let text = terminal::printable(text);
    if text.chars().count() <= room {
        return text;
    }
    let mut cut: String = text.chars().take(room.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &'static str, state: StepState, note: &str, lines: &[(&str, &str)], elapsed_ms: u64) -> StepView {
        let lines = lines
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
            .collect();
        StepView {
            name,
            state,
            note: note.to_owned(),
            lines,
            elapsed_ms,
        }
    }

    #[test]
    fn the_tree_of_a_deployment() {
        let steps = [
            view("build", StepState::Done, "`examples/hello` in 4 steps", &[], 3_120),
            view("check", StepState::Done, "port 8080, runs as 65534:65534", &[], 40),
            view(
                "roll out",
                StepState::Runs,
                "1 of 2 tasks healthy",
                &[
                    ("task 1a2b3c4d", "healthy"),
                    ("task 5e6f7a8b", "running, waits for its first health check"),
                ],
                4_000,
            ),
        ];
        let drawn = draw(&steps, 0, 60, Style::plain()).join("\n") + "\n";
        crate::cli::golden::check("progress_of_a_deployment.txt", &drawn);
        assert!(
            drawn.lines().all(|line| line.chars().count() < 60),
            "a line would wrap:\n{drawn}"
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_too_much_is_counted() {
        let keys: Vec<String> = (0..10).map(|n| format!("task {n}")).collect();
        let lines: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "healthy")).collect();
        let drawn = draw(
            &[view("roll out", StepState::Failed, &"x".repeat(99), &lines, 61_000)],
            0,
            40,
            Style::plain(),
        );
        assert_eq!(drawn.len(), 1 + LINES_SHOWN_MAX + 1);
        assert_eq!(drawn.last().map(String::as_str), Some("  └ and 2 more"));
        assert!(drawn.iter().all(|line| line.chars().count() < 40), "{drawn:?}");
    }
}
