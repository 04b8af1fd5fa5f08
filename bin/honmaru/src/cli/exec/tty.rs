//! The user's terminal at the other end of a session: every key goes there, also Ctrl-C, and its size follows.

use super::channel::{Channel, Ended, Event, INPUT_BYTES_MAX, print};
use crate::cli::terminal;
use anyhow::Context;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::Read;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Key presses that may wait while the network is slow; then the terminal waits.
const INPUT_QUEUED_MAX: usize = 64;

/// The terminal in raw mode; as it was when this goes, also after a panic.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> anyhow::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).context("failed to read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).context("failed to set the terminal")?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone needs no settings.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Lets the user work in the container until the command ends.
pub async fn attend(mut channel: Channel) -> anyhow::Result<Ended> {
    let mut resized = signal(SignalKind::window_change())?;
    let raw = Raw::enter()?;
    let mut keys = input(INPUT_BYTES_MAX);
    let mut ended = Ended::default();
    let mut is_open = true;
    let mut event = channel.first();
    loop {
        match event.take() {
            Some(Event::Output(bytes)) => print(&mut std::io::stdout(), &bytes)?,
            Some(Event::StdErr(bytes)) => print(&mut std::io::stderr(), &bytes)?,
            Some(Event::ExitCode(code)) => ended.exit_code = Some(code),
            Some(Event::Closed(sentence)) => {
                ended.sentence = sentence;
                drop(raw);
                return Ok(ended);
            }
            None => {}
        }
        tokio::select! {
            frame = channel.frame() => event = channel.event(frame?).await?,
            pressed = keys.recv(), if is_open => match pressed {
                Some(bytes) => channel.input(&bytes).await?,
                None => is_open = false,
            },
            _ = resized.recv() => {
                if let Some((cols, rows)) = terminal::size_of(std::io::stdout()) {
                    channel.resize(cols, rows).await?;
                }
            }
        }
    }
}

/// Standard input in pieces, read in a thread of its own: a read of a terminal cannot be taken back.
pub(super) fn input(piece_bytes: usize) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(INPUT_QUEUED_MAX);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; piece_bytes];
        while let Ok(n) = stdin.read(&mut buffer) {
            let bytes = buffer.get(..n).unwrap_or_default().to_vec();
            if n == 0 || sender.blocking_send(bytes).is_err() {
                return;
            }
        }
    });
    receiver
}
