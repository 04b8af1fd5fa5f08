//! The log in SQLite: one table of records keyed by revision, one row for the snapshot.
//!
//! SQLite is an append-only file here, not a query engine: secondary indexes would make it ten times slower
//! (shared/research/store-and-cluster.md, 2.5). Checkpoints run on a second connection, off the commit path.

use crate::room::Room;
use crate::{Log, LogError, Revision};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The WAL's size in pages (4 KiB each) at which the commit path checkpoints by itself, should `maintain` not run.
const WAL_AUTOCHECKPOINT_PAGES: u32 = 20_000;
/// The WAL file is cut back to this after a checkpoint.
const JOURNAL_SIZE_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// How long one connection waits for the other's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A log in an SQLite file.
pub struct SqliteLog {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    /// After the connections: see [`Room`].
    room: Room,
}

impl SqliteLog {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let writer = connect(path)?;
        writer
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS log(revision INTEGER PRIMARY KEY, body BLOB NOT NULL);
                 CREATE TABLE IF NOT EXISTS snapshot(
                     id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, body BLOB NOT NULL);
                 CREATE TABLE IF NOT EXISTS base(
                     id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL);
                 INSERT OR IGNORE INTO base VALUES (1, 0);",
            )
            .map_err(failed("create the log's tables"))?;
        let reader = connect(path)?;
        // A read makes the index, if nothing was written.
        head_of(&reader).map_err(failed("read the log's head"))?;
        let of_disk = |source: std::io::Error| LogError::Storage {
            doing: "look at the log's disk",
            source: Box::new(source),
        };
        let room = Room::open(path).map_err(of_disk)?;
        room.keep().map_err(of_disk)?;
        Ok(Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            room,
        })
    }
}

fn connect(path: &Path) -> Result<Connection, LogError> {
    let connection = Connection::open(path).map_err(failed("open the log"))?;
    let setup = || -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_AUTOCHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES)?;
        // The last connection that closes would take the write-ahead file away, and what [`Room`] keeps with it: who starts
        // next on a full disk could not make another. Opened again it is read as after a crash.
        // Ref: SQLite, "Database Connection Configuration Options", SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(())
    };
    setup().map_err(failed("configure the log"))?;
    Ok(connection)
}

fn failed(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> LogError {
    move |source| LogError::Storage {
        doing,
        source: Box::new(source),
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last revision: of the log, or, when compaction emptied it, of what was compacted.
fn head_of(connection: &Connection) -> rusqlite::Result<Revision> {
    connection
        .prepare_cached("SELECT max(coalesce((SELECT max(revision) FROM log), 0), (SELECT revision FROM base))")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(|revision| revision as Revision)
}

impl Log for SqliteLog {
    fn append(&self, head_expected: Revision, batch: &[Vec<u8>]) -> Result<Revision, LogError> {
        let mut writer = lock(&self.writer);
        // IMMEDIATE takes the write lock before the head is read: no other process can move it in between.
        let tx = writer
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed("begin an append"))?;
        let head = head_of(&tx).map_err(failed("read the log's head"))?;
        if head != head_expected {
            return Err(LogError::Conflict {
                expected: head_expected,
                head,
            });
        }
        let mut revision = head;
        {
            let mut insert = tx
                .prepare_cached("INSERT INTO log VALUES (?1, ?2)")
                .map_err(failed("prepare an append"))?;
            for body in batch {
                revision += 1;
                insert
                    .execute(params![revision as i64, body])
                    .map_err(failed("append a record"))?;
            }
        }
        tx.commit().map_err(failed("commit an append"))?;
        Ok(revision)
    }

    fn read(&self, from: Revision, records_max: usize) -> Result<Vec<(Revision, Vec<u8>)>, LogError> {
        let reader = lock(&self.reader);
        let rows = || -> rusqlite::Result<Vec<(Revision, Vec<u8>)>> {
            let mut select = reader
                .prepare_cached("SELECT revision, body FROM log WHERE revision >= ?1 ORDER BY revision LIMIT ?2")?;
            let limit = i64::try_from(records_max).unwrap_or(i64::MAX);
            let rows = select.query_map(params![from as i64, limit], |row| {
                Ok((row.get::<_, i64>(0)? as Revision, row.get(1)?))
            })?;
            rows.collect()
        };
        let rows = rows().map_err(failed("read the log"))?;
        for pair in rows.windows(2) {
            if let [(before, _), (after, _)] = pair
                && *after != before + 1
            {
                return Err(LogError::Damaged(format!("revision {after} follows {before}")));
            }
        }
        Ok(rows)
    }

    fn head(&self) -> Result<Revision, LogError> {
        head_of(&lock(&self.reader)).map_err(failed("read the log's head"))
    }

    fn snapshot_put(&self, at: Revision, bytes: &[u8]) -> Result<(), LogError> {
        lock(&self.writer)
            .execute(
                "INSERT OR REPLACE INTO snapshot VALUES (1, ?1, ?2)",
                params![at as i64, bytes],
            )
            .map_err(failed("store a snapshot"))?;
        Ok(())
    }

    fn snapshot_get(&self) -> Result<Option<(Revision, Vec<u8>)>, LogError> {
        lock(&self.reader)
            .query_row("SELECT revision, body FROM snapshot WHERE id = 1", [], |row| {
                Ok((row.get::<_, i64>(0)? as Revision, row.get(1)?))
            })
            .optional()
            .map_err(failed("read the snapshot"))
    }

    fn compact(&self, through: Revision) -> Result<(), LogError> {
        let mut writer = lock(&self.writer);
        let tx = writer.transaction().map_err(failed("begin a compaction"))?;
        let covered: i64 = tx
            .query_row(
                "SELECT coalesce((SELECT revision FROM snapshot WHERE id = 1), 0)",
                [],
                |row| row.get(0),
            )
            .map_err(failed("read the snapshot's revision"))?;
        let through = (through as i64).min(covered);
        tx.execute("DELETE FROM log WHERE revision <= ?1", [through])
            .map_err(failed("compact the log"))?;
        tx.execute("UPDATE base SET revision = max(revision, ?1)", [through])
            .map_err(failed("compact the log"))?;
        tx.commit().map_err(failed("commit a compaction"))
    }

    fn has_room(&self) -> bool {
        self.room.is_there()
    }

    fn maintain(&self) -> Result<(), LogError> {
        lock(&self.reader)
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .map_err(failed("checkpoint the log"))?;
        self.room.keep().map_err(|source| LogError::Storage {
            doing: "keep room for the log",
            source: Box::new(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryLog;

    fn bodies(n: u8) -> Vec<Vec<u8>> {
        (0..n).map(|b| vec![b]).collect()
    }

    /// Both implementations behave alike.
    fn check(log: &dyn Log) {
        assert_eq!(log.head().expect("head"), 0);
        assert_eq!(log.append(0, &bodies(3)).expect("append"), 3);
        assert!(matches!(
            log.append(0, &bodies(1)),
            Err(LogError::Conflict { expected: 0, head: 3 })
        ));
        assert_eq!(log.append(3, &bodies(2)).expect("append"), 5);
        assert_eq!(log.read(4, 10).expect("read"), vec![(4, vec![0]), (5, vec![1])]);
        assert_eq!(log.read(1, 2).expect("read").len(), 2);
        log.snapshot_put(5, b"all").expect("snapshot");
        log.compact(5).expect("compact");
        assert_eq!(log.head().expect("head"), 5);
        assert_eq!(log.read(1, 10).expect("read"), vec![]);
        assert_eq!(log.append(5, &bodies(1)).expect("append"), 6);
        assert_eq!(log.read(1, 10).expect("read"), vec![(6, vec![0])]);
        assert_eq!(log.snapshot_get().expect("snapshot"), Some((5, b"all".to_vec())));
    }

    #[test]
    fn memory_keeps_the_contract() {
        check(&MemoryLog::new());
    }

    #[test]
    fn sqlite_keeps_the_contract_and_the_records() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log.db");
        check(&SqliteLog::open(&path).expect("open"));
        let again = SqliteLog::open(&path).expect("reopen");
        assert_eq!(again.head().expect("head"), 6);
    }

    /// A file system of its own, unmounted when it is dropped.
    struct Disk(tempfile::TempDir);

    impl Disk {
        /// Nothing where nobody may mount.
        fn mount(options: &str) -> Option<Self> {
            let dir = tempfile::tempdir().expect("a directory");
            let mount = std::process::Command::new("mount")
                .args(["-t", "tmpfs", "-o", options, "tmpfs"])
                .arg(dir.path())
                .output();
            mount.ok()?.status.success().then(|| Self(dir))
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount")
                .arg("--lazy")
                .arg(self.0.path())
                .status();
        }
    }

    /// Goal: what must go on goes on while the disk has no block left, also in a process that starts then, be it after a crash
    /// or after an orderly end.
    #[test]
    fn a_full_disk_takes_what_the_log_kept_room_for() {
        let Some(disk) = Disk::mount("size=80m") else {
            eprintln!("skipped: nothing may be mounted here");
            return;
        };
        let path = disk.0.path().join("log.db");
        let log = SqliteLog::open(&path).expect("open");
        assert!(log.has_room());
        let filler = disk.0.path().join("filler");
        let mut file = std::fs::File::create(&filler).expect("a file");
        while std::io::Write::write(&mut file, &[1; 65_536]).is_ok_and(|n| n > 0) {}
        assert!(!log.has_room());
        for revision in 0..1_000 {
            assert_eq!(log.append(revision, &[vec![1; 500]]).expect("append"), revision + 1);
            if revision % 100 == 0 {
                // A checkpoint needs room that there is not: the log grows on.
                let _ = log.maintain();
            }
        }
        // As after kill -9: the files stay as they are.
        let other = SqliteLog::open(&path).expect("open");
        assert_eq!(other.head().expect("head"), 1_000);
        assert_eq!(other.append(1_000, &bodies(1)).expect("append"), 1_001);
        drop((log, other));
        let log = SqliteLog::open(&path).expect("open after the last one was closed");
        assert_eq!(log.append(1_001, &bodies(1)).expect("append"), 1_002);
        std::fs::remove_file(&filler).expect("remove");
        drop(file);
        assert!(log.has_room());
        log.maintain().expect("maintain");
        assert_eq!(log.append(1_002, &bodies(1)).expect("append"), 1_003);
    }

    /// Goal: a disk whose inodes run out is as full as one without blocks; the log itself goes on.
    #[test]
    fn a_disk_without_inodes_has_no_room() {
        let Some(disk) = Disk::mount("size=80m,nr_inodes=320") else {
            eprintln!("skipped: nothing may be mounted here");
            return;
        };
        let log = SqliteLog::open(&disk.0.path().join("log.db")).expect("open");
        assert!(log.has_room());
        let names: Vec<_> = (0..400).map(|n| disk.0.path().join(format!("filler-{n}"))).collect();
        for name in &names {
            let _ = std::fs::File::create(name);
        }
        assert!(!log.has_room());
        assert_eq!(log.append(0, &bodies(1)).expect("append"), 1);
        for name in &names {
            let _ = std::fs::remove_file(name);
        }
        assert!(log.has_room());
    }

    #[test]
    fn two_writers_cannot_both_win() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log.db");
        let (one, two) = (
            SqliteLog::open(&path).expect("open"),
            SqliteLog::open(&path).expect("open"),
        );
        one.append(0, &bodies(1)).expect("append");
        assert!(matches!(
            two.append(0, &bodies(1)),
            Err(LogError::Conflict { expected: 0, head: 1 })
        ));
    }
}
