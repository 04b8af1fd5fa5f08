//! The status file: replaced as a whole, and durable where an exit is in it.

use honmaru_runtime_protocol::{STATUS_FILE, TaskStatus};
use std::fs;
use std::io::{self, Write};

/// Writes it. `durable`: it survives a crash of the machine; costs a sync of the file and of the directory.
pub fn save(task_dir: &str, status: &TaskStatus, durable: bool) -> io::Result<()> {
    let temporary = format!("{task_dir}/.{STATUS_FILE}");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(status)?)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&temporary, format!("{task_dir}/{STATUS_FILE}"))?;
    if durable {
        fs::File::open(task_dir)?.sync_all()?;
    }
    Ok(())
}
