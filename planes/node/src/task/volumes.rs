//! A task's volumes: directories that live and die with it.
//!
//! Invariant: no directory of the host is ever given to a task. Mounted with the task's id map, whatever root owns there
//! would be the container's; and whoever gives the orders has no rights on the host.

use crate::NodeError;
use crate::shared::Shared;
use crate::store::TaskRecord;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

/// Makes the directories that are missing. They belong to the host's root: the runtime mounts them with the task's id map,
/// so that root inside is their owner, whichever ids the task has.
pub(super) fn create(shared: &Shared, record: &TaskRecord) -> Result<BTreeMap<String, PathBuf>, NodeError> {
    let mut volumes = BTreeMap::new();
    for (n, volume) in record.spec.volumes.iter().enumerate() {
        if let Some(path) = &volume.host_path {
            return Err(NodeError::file(
                "give a task",
                path,
                io::ErrorKind::PermissionDenied.into(),
            ));
        }
        // Numbered: a volume's name is the user's and no file name.
        let path = shared.volumes_dir(&record.spec.task_id).join(n.to_string());
        fs::create_dir_all(&path).map_err(|e| NodeError::file("create", &path, e))?;
        volumes.insert(volume.name.clone(), path);
    }
    Ok(volumes)
}

/// Removes the task's own directories.
pub(super) fn remove(shared: &Shared, task_id: &str) -> Result<(), NodeError> {
    let dir = shared.volumes_dir(task_id);
    match fs::remove_dir_all(&dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(NodeError::file("remove", dir, e)),
        _ => Ok(()),
    }
}
