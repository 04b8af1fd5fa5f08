//! PROVISIONING tasks get what they need from other services: an interface, images, log groups. What cannot be had
//! ends the task with AWS's text for it. An image of a mirror that is not there yet is asked for, and the task waits.

use crate::images::{ImageName, parse_image};
use crate::imports::{ImageImport, WantedImage, answer_to, forget_answered};
use crate::puller::{Puller, Refusal};
use honmaru_base::{ApiError, Scope, Time, uuid};
use honmaru_contract::node::ImageSource;
use honmaru_ecr::Reference;
use honmaru_ecs::{Interface, LastStatus, Task, TaskDefinition, task_definition_key};
use honmaru_machine::{Reconciler, Resource, State, Tx};
use std::collections::BTreeMap;

/// The controller.
pub(crate) struct Provision;

impl Reconciler for Provision {
    fn name(&self) -> &'static str {
        "cloud.provision"
    }

    fn watches(&self) -> &'static [&'static str] {
        &["ecs.task", "ecs.node", ImageImport::KIND]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let waiting: Vec<(Scope, Task)> = tx
            .all::<Task>()
            .filter(|(_, _, task)| task.last_status == LastStatus::Provisioning && task.node.is_some())
            .map(|(scope, _, task)| (scope.clone(), task.clone()))
            .collect();
        for (scope, task) in waiting {
            if let Err(reason) = provision(tx, &scope, &task) {
                honmaru_ecs::fail_provisioning(tx, &scope, &task.id, &reason);
            }
        }
        forget_answered(tx);
        None
    }
}

/// All or nothing: the interface comes last, so that nothing before it must be taken back. A task whose image is under way
/// stays as it is.
fn provision(tx: &mut Tx<'_>, scope: &Scope, task: &Task) -> Result<(), String> {
    let key = task_definition_key(&task.family, task.revision);
    let definition = tx
        .get::<TaskDefinition>(scope, &key)
        .cloned()
        .ok_or_else(|| "ResourceInitializationError: the task definition does not exist".to_owned())?;
    let mut images = BTreeMap::new();
    let mut is_whole = true;
    let puller = Puller {
        scope,
        task: honmaru_ecs::task_arn(scope, &task.cluster, &task.id),
        now: tx.now(),
        role: task
            .overrides
            .execution_role_arn
            .clone()
            .or(definition.execution_role_arn.clone()),
    };
    for container in &definition.containers {
        // Every container asks, so that all that is missing comes at the same time.
        match resolve(tx, &puller, &container.image)? {
            Some(source) => drop(images.insert(container.name.clone(), source)),
            None => is_whole = false,
        }
    }
    if !is_whole {
        return Ok(());
    }
    log_groups(tx, scope, &definition)?;
    let interface = interface(tx, scope, task).map_err(|err| {
        format!(
            "ResourceInitializationError: unable to create the network interface: {}",
            err.message
        )
    })?;
    honmaru_ecs::provisioned(tx, scope, &task.id, interface, images);
    Ok(())
}

/// The architecture of the machine's images, in OCI's words.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

/// Where an image comes from. One of this cloud's registry is pinned to the manifest that it means at this moment, so
/// that a tag that moves later changes no task that was started before. Nothing while it is under way from upstream.
fn resolve(tx: &mut Tx<'_>, puller: &Puller<'_>, image: &str) -> Result<Option<ImageSource>, String> {
    let (of, repository, reference) = match parse_image(puller.scope, image) {
        ImageName::Remote(reference) => {
            return Ok(Some(ImageSource::Remote {
                reference,
                credentials: None,
            }));
        }
        ImageName::Own {
            scope,
            repository,
            reference,
        } => (scope, repository, Reference::parse(&reference)),
    };
    puller
        .may_pull(tx, &of, &repository)
        .map_err(|refusal| refusal.text(image, &of))?;
    match upstream(tx, puller, &of, &repository, &reference) {
        Upstream::Asked => return Ok(None),
        Upstream::Refused(why) => return Err(Refusal::Forbidden(why).text(image, &of)),
        Upstream::Failed(why) => {
            return Err(format!(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: \
                 {why}"
            ));
        }
        Upstream::Nothing => {}
    }
    if honmaru_ecr::resolve_image(tx, &of, &repository, &reference).is_none() {
        return Err(format!(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: \
             {image}: not found"
        ));
    }
    let manifest = honmaru_ecr::select_platform(tx, &of, &repository, &reference, ARCHITECTURE).ok_or_else(|| {
        format!(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): image Manifest does not contain \
             descriptor matching platform 'linux/{ARCHITECTURE}'"
        )
    })?;
    honmaru_ecr::record_pull(tx, &of, &repository, &manifest.digest);
    Ok(Some(ImageSource::Local {
        manifest_digest: manifest.digest,
    }))
}

/// What upstream has to do with an image.
enum Upstream {
    /// Nothing: the repository is no mirror, or what it has is good.
    Nothing,
    /// It is asked just now.
    Asked,
    /// It was asked, and the mirror does not have the image.
    Failed(String),
    /// The mirror does not have the image, and the task may not have it fetched.
    Refused(String),
}

/// Asks upstream for an image that a mirror lacks, or whose tag is due to be compared. A task fills the mirrors of its own
/// account only: nobody makes repositories in another one.
fn upstream(tx: &mut Tx<'_>, puller: &Puller<'_>, of: &Scope, repository: &str, reference: &Reference) -> Upstream {
    if of.account != puller.scope.account || honmaru_ecr::upstream_of(tx, of, repository).is_none() {
        return Upstream::Nothing;
    }
    let is_missing = honmaru_ecr::select_platform(tx, of, repository, reference, ARCHITECTURE).is_none();
    let (text, is_due) = match reference {
        Reference::Tag(tag) => (tag, honmaru_ecr::is_check_due(tx, of, repository, tag, tx.now())),
        Reference::Digest(digest) => (digest, false),
    };
    if !is_missing && !is_due {
        return Upstream::Nothing;
    }
    match puller.may_import(tx, of, repository) {
        Err(why) if is_missing => return Upstream::Refused(why),
        // For whoever may not have it fetched, what is cached is good.
        Err(_) => return Upstream::Nothing,
        Ok(()) => {}
    }
    let wanted = WantedImage {
        scope: of.clone(),
        repository: repository.to_owned(),
        reference: text.clone(),
        architecture: ARCHITECTURE.to_owned(),
    };
    match answer_to(tx, wanted) {
        None => Upstream::Asked,
        Some(Err(why)) if is_missing => Upstream::Failed(why),
        // What is cached is good when upstream cannot be asked.
        Some(Ok(()) | Err(_)) => Upstream::Nothing,
    }
}

fn log_groups(tx: &mut Tx<'_>, scope: &Scope, definition: &TaskDefinition) -> Result<(), String> {
    for group in honmaru_ecs::log_groups(scope, definition) {
        let of = Scope::new(scope.account.as_str(), &group.region)
            .map_err(|err| format!("ResourceInitializationError: failed to validate logger args: {err}"))?;
        if honmaru_logs::group_exists(tx, &of, &group.name) {
            continue;
        }
        if !group.create {
            return Err(format!(
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: \
                 failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not \
                 exist. ({})",
                group.name
            ));
        }
        honmaru_logs::ensure_group(tx, &of, &group.name);
    }
    Ok(())
}

/// An interface in one of the task's subnets: the one with the fewest of the service's neighbours comes of itself,
/// because the subnets are taken in turn.
fn interface(tx: &mut Tx<'_>, scope: &Scope, task: &Task) -> Result<Option<Interface>, ApiError> {
    let Some(network) = &task.network else { return Ok(None) };
    let start = turn(tx, scope, task);
    let count = network.subnets.len();
    let mut last = ApiError::new("InvalidSubnetID.NotFound", "no subnet is named");
    for n in 0..count {
        let Some(subnet_id) = network.subnets.get((start + n) % count) else {
            continue;
        };
        match allocate(tx, scope, subnet_id, &network.security_groups) {
            Ok(mut interface) => {
                interface.egress = network.assign_public_ip.as_deref() == Some("ENABLED");
                return Ok(Some(interface));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// How many tasks of the same group have an interface already: the next one takes the next subnet.
fn turn(state: &State, scope: &Scope, task: &Task) -> usize {
    let peers = state.find::<Task>(scope, "cluster", &task.cluster);
    peers
        .filter(|(_, peer)| peer.group == task.group && peer.is_wanted() && peer.interface.is_some())
        .count()
}

fn allocate(tx: &mut Tx<'_>, scope: &Scope, subnet_id: &str, groups: &[String]) -> Result<Interface, ApiError> {
    let vpc_id = honmaru_ec2::subnet(tx, scope, subnet_id)?.vpc_id.clone();
    // Without a group a task is in the VPC's default one. Ref: ECS `AwsVpcConfiguration.securityGroups`.
    let groups = match honmaru_ec2::default_security_group(tx, scope, &vpc_id) {
        Some(default) if groups.is_empty() => vec![default.id.clone()],
        _ => groups.to_vec(),
    };
    let attachment_id = uuid(tx.rng());
    let description = format!(
        "arn:aws:ecs:{}:{}:attachment/{attachment_id}",
        scope.region, scope.account
    );
    let got = honmaru_ec2::allocate_interface(tx, scope, subnet_id, &groups, &description)?;
    let dns = tx
        .get::<honmaru_ec2::Vpc>(scope, &got.vpc_id)
        .map(honmaru_ec2::Vpc::dns);
    Ok(Interface {
        id: got.id,
        attachment_id,
        private_ip: got.private_ip,
        mac: got.mac,
        subnet_id: got.subnet_id,
        subnet_cidr: got.subnet_cidr.to_string(),
        vpc_id: got.vpc_id,
        dns: dns.unwrap_or(got.private_ip),
        availability_zone: got.availability_zone,
        security_groups: groups,
        egress: false,
    })
}
