//! A task specification and its images become what the runtime starts. Pure, but for the paths that it is given.

use crate::ids::UIDS_PER_TASK;
use crate::ids::runtime_id;
use crate::store::TaskRecord;
use honmaru_contract::node::{ContainerSpec, DependencyCondition, TaskSpec};
use honmaru_images::ImageConfig;
use honmaru_runtime::{
    Bind, Bundle, Condition, Container, ContainerLimits, Dependency, HealthCheck, IdRange, RestartPolicy, TaskLimits,
    Tmpfs, Ulimit,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most processes and threads of a task; ECS names no limit, a host needs one.
const PIDS_MAX: u32 = 16_384;

/// Ref: "Fargate task definition considerations", resource limits: nofile is 65,535 by default.
const NOFILE: u64 = 65_535;

/// Of one container: what its image says, and where its layers lie.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContainerImage {
    pub config: ImageConfig,
    pub layers: Vec<PathBuf>,
}

/// Builds the bundle. `volumes` gives the host directory of each volume.
pub(crate) fn bundle(
    record: &TaskRecord,
    images: &BTreeMap<String, ContainerImage>,
    namespace: Option<&Path>,
    volumes: &BTreeMap<String, PathBuf>,
) -> Bundle {
    let spec = &record.spec;
    let hostname = match &spec.network {
        Some(network) => format!("ip-{}", network.address.to_string().replace('.', "-")),
        None => spec.task_id.clone(),
    };
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    if let Some(network) = &spec.network {
        hosts.push_str(&format!("{} {hostname}\n", network.address));
    }
    Bundle {
        task_id: spec.task_id.clone(),
        user_namespace: Some(IdRange {
            base: record.uid_base,
            size: UIDS_PER_TASK,
        }),
        limits: TaskLimits {
            cpu_units: spec.cpu_units,
            memory_bytes: spec.memory_mib.map(bytes),
            pids: Some(PIDS_MAX),
        },
        network_namespace: namespace.map(text),
        resolv_conf: spec
            .network
            .as_ref()
            .map(|network| format!("nameserver {}\noptions timeout:2 attempts:3\n", network.dns)),
        hosts: Some(hosts),
        containers: spec
            .containers
            .iter()
            .map(|container| {
                let image = images.get(&container.name).cloned().unwrap_or_default();
                build(record, container, image, volumes, &hostname)
            })
            .collect(),
        hostname,
    }
}

fn build(
    record: &TaskRecord,
    spec: &ContainerSpec,
    image: ContainerImage,
    volumes: &BTreeMap<String, PathBuf>,
    hostname: &str,
) -> Container {
    let config = image.config;
    let not_empty = |text: &String| !text.is_empty();
    Container {
        name: spec.name.clone(),
        essential: spec.essential,
        args: args(spec, &config),
        env: environment(record, spec, &config, hostname),
        working_directory: spec
            .working_directory
            .clone()
            .or(Some(config.working_dir))
            .filter(not_empty),
        user: spec.user.clone().or(Some(config.user)).filter(not_empty),
        layers: image.layers.iter().map(text).collect(),
        readonly_root: spec.readonly_root_filesystem,
        pseudo_terminal: spec.pseudo_terminal,
        init_process: spec.init_process_enabled,
        capabilities_add: spec.capabilities_add.clone(),
        capabilities_drop: spec.capabilities_drop.clone(),
        ulimits: ulimits(spec),
        sysctls: spec.sysctls.clone(),
        tmpfs: spec
            .tmpfs
            .iter()
            .map(|(path, size_mib, options)| Tmpfs {
                path: path.clone(),
                size_mib: *size_mib,
                options: options.clone(),
            })
            .collect(),
        shm_mib: spec.shared_memory_mib,
        binds: spec
            .mounts
            .iter()
            .filter_map(|mount| {
                let source = text(volumes.get(&mount.volume)?);
                Some(Bind {
                    source,
                    target: mount.container_path.clone(),
                    read_only: mount.read_only,
                })
            })
            .collect(),
        writable_dirs: config.volumes.into_keys().filter(|path| names_a_dir(path)).collect(),
        limits: ContainerLimits {
            cpu_units: spec.cpu_units,
            memory_bytes: spec.memory_mib.map(bytes),
            memory_reservation_bytes: spec.memory_reservation_mib.map(bytes),
            pids: None,
        },
        depends_on: spec
            .depends_on
            .iter()
            .map(|(container, condition)| Dependency {
                container: container.clone(),
                condition: match condition {
                    DependencyCondition::Start => Condition::Start,
                    DependencyCondition::Complete => Condition::Complete,
                    DependencyCondition::Success => Condition::Success,
                    DependencyCondition::Healthy => Condition::Healthy,
                },
            })
            .collect(),
        start_timeout_s: spec.start_timeout_s,
        stop_timeout_s: Some(spec.stop_timeout_s),
        stop_signal: Some(config.stop_signal).filter(not_empty),
        // ECS does not look at the image's own health check. Ref: ECS `ContainerDefinition.healthCheck`.
        health_check: spec.health_check.as_ref().map(|check| HealthCheck {
            command: check.command.clone(),
            interval_ms: u64::from(check.interval_s) * 1_000,
            timeout_ms: u64::from(check.timeout_s) * 1_000,
            retries: check.retries,
            start_period_ms: u64::from(check.start_period_s) * 1_000,
        }),
        restart: spec.restart.as_ref().map(|policy| RestartPolicy {
            ignored_exit_codes: policy.ignored_exit_codes.clone(),
            attempt_period_ms: u64::from(policy.restart_attempt_period_s) * 1_000,
        }),
    }
}

/// Whether a path is a directory below the root. An image may say anything; what can be no mount is passed over.
fn names_a_dir(path: &str) -> bool {
    let mut names = path.split('/').filter(|name| !matches!(*name, "" | "."));
    names.clone().next().is_some() && names.all(|name| name != "..")
}

/// Entry point and command. An entry point of the task definition also puts the image's command aside.
/// Ref: OCI image specification, config.md; Docker's `--entrypoint`.
fn args(spec: &ContainerSpec, image: &ImageConfig) -> Vec<String> {
    let entry_point = spec.entry_point.as_ref().unwrap_or(&image.entrypoint);
    let command = match (&spec.command, &spec.entry_point) {
        (Some(command), _) => command.as_slice(),
        (None, Some(entry_point)) if !entry_point.is_empty() => &[],
        (None, _) => &image.cmd,
    };
    entry_point.iter().chain(command).cloned().collect()
}

/// The image's variables, then ours, then the task definition's; of two with one name the later one counts.
fn environment(
    record: &TaskRecord,
    spec: &ContainerSpec,
    image: &ImageConfig,
    hostname: &str,
) -> Vec<(String, String)> {
    let task: &TaskSpec = &record.spec;
    let mut env: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| match env.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => value.clone_into(old),
        None => env.push((name.to_owned(), value.to_owned())),
    };
    for variable in &image.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        set(name, value);
    }
    set("HOSTNAME", hostname);
    set("AWS_REGION", &task.region);
    set("AWS_DEFAULT_REGION", &task.region);
    set(
        "AWS_EXECUTION_ENV",
        if task.launch_type == "EC2" {
            "AWS_ECS_EC2"
        } else {
            "AWS_ECS_FARGATE"
        },
    );
    if task.network.is_some() {
        let id = runtime_id(&task.task_id, &spec.name);
        // Older libraries know the third version only, whose documents have a part of the fourth's members.
        set(
            "ECS_CONTAINER_METADATA_URI",
            &format!("http://{}/v3/{id}", honmaru_network::METADATA_ADDRESS),
        );
        set(
            "ECS_CONTAINER_METADATA_URI_V4",
            &format!("http://{}/v4/{id}", honmaru_network::METADATA_ADDRESS),
        );
        if task.task_role {
            set(
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                &format!("/v2/credentials/{}", record.credentials_id),
            );
        }
    }
    for (name, value) in &spec.environment {
        set(name, value);
    }
    env
}

fn ulimits(spec: &ContainerSpec) -> Vec<Ulimit> {
    let mut limits: Vec<Ulimit> = spec
        .ulimits
        .iter()
        .map(|(name, soft, hard)| Ulimit {
            name: name.clone(),
            soft: *soft,
            hard: *hard,
        })
        .collect();
    if !limits.iter().any(|limit| limit.name == "nofile") {
        limits.push(Ulimit {
            name: "nofile".to_owned(),
            soft: NOFILE,
            hard: NOFILE,
        });
    }
    limits
}

fn bytes(mib: u32) -> u64 {
    u64::from(mib) * 1_048_576
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// The image has entry point `ie` and command `ic`; what the task definition gives, and what runs.
    fn check(entry_point: Option<&str>, command: Option<&str>, wanted: &str) {
        let spec: ContainerSpec = serde_json::from_value(serde_json::json!({
            "name": "c", "image": "i", "source": {"local": {"manifest_digest": "d"}}, "essential": true,
            "cpu_units": 0, "memory_mib": null, "memory_reservation_mib": null,
            "entry_point": entry_point.map(words), "command": command.map(words), "environment": [],
            "working_directory": null, "user": null, "readonly_root_filesystem": false, "pseudo_terminal": false,
            "init_process_enabled": false, "capabilities_add": [], "capabilities_drop": [], "ulimits": [],
            "sysctls": [], "tmpfs": [], "shared_memory_mib": null, "mounts": [], "depends_on": [],
            "start_timeout_s": null, "stop_timeout_s": 30, "health_check": null, "ports": [], "log": "local",
            "docker_labels": {}, "restart": null,
        }))
        .expect("a container");
        let image = ImageConfig {
            entrypoint: words("ie"),
            cmd: words("ic"),
            ..ImageConfig::default()
        };
        assert_eq!(args(&spec, &image), words(wanted));
    }

    #[test]
    fn volumes_of_an_image_are_directories_below_the_root() {
        for (path, expected) in [
            ("/data", true),
            ("data/a", true),
            ("/", false),
            ("", false),
            ("/./", false),
            ("/a/../..", false),
        ] {
            assert_eq!(names_a_dir(path), expected, "{path}");
        }
    }

    #[test]
    fn an_entry_point_puts_the_images_command_aside() {
        check(None, None, "ie ic");
        check(None, Some("c d"), "ie c d");
        check(Some("e"), None, "e");
        check(Some("e"), Some("c"), "e c");
        check(Some(""), None, "ic");
    }
}
