//! The sum of all machines, and the glue between services: what one service decides and another one must do.
//!
//! Not here: I/O. The glue is made of reconcilers like any other, and of checks that calls need from other services.
//! Invariant: services know each other only through this crate and through what each offers as `machine`.

#![forbid(unsafe_code)]

mod applied;
mod caller;
#[cfg(test)]
mod calls;
mod checks;
mod edge;
mod host_names;
mod images;
mod imports;
mod node;
mod provision;
mod puller;
mod release;
mod tagged;
mod targets;

pub use applied::observe_edge_applied;
pub use caller::registry_caller;
pub use edge::edge_config;
pub use images::{ImageName, parse_image};
pub use imports::{WantedImage, image_answered, wanted_images};
pub use node::node_desired;

use honmaru_base::ApiError;
use honmaru_machine::{Call, Handler, Operation, Reconciler, State, Tx};
use serde_json::Value;
use std::sync::Arc;

/// What operations need from the planes.
pub struct Planes {
    /// Stored log events.
    pub events: Arc<dyn honmaru_logs::Events>,
    /// Requests that the firewall sampled.
    pub samples: Arc<dyn honmaru_wafv2::SampleSource>,
    /// Blobs of images.
    pub layers: Arc<dyn honmaru_ecr::Layers>,
    /// Records of calls.
    pub trail: Arc<dyn honmaru_cloudtrail::Trail>,
    /// Passwords of IAM users, which take their time.
    pub passwords: Arc<dyn honmaru_iam::Passwords>,
}

/// Adds the tables of every service.
pub fn register_all(state: &mut State) {
    honmaru_iam::register(state);
    honmaru_sts::register(state);
    honmaru_ec2::register(state);
    honmaru_logs::register(state);
    honmaru_elbv2::register(state);
    honmaru_wafv2::register(state);
    honmaru_ecr::register(state);
    honmaru_ecr_public::register(state);
    honmaru_ecs::register(state);
    state.register::<applied::EdgeApplied>();
    state.register::<imports::ImageImport>();
}

/// Every service with its operations, by botocore's name.
pub fn services(planes: Planes) -> Vec<(&'static str, Vec<Operation>)> {
    let mut firewall = honmaru_wafv2::operations();
    firewall.push(honmaru_wafv2::sampled_requests(planes.samples));
    let mut iam = iam_operations();
    iam.extend(honmaru_iam::password_operations(&planes.passwords));
    vec![
        (honmaru_iam::SERVICE, iam),
        (honmaru_sts::SERVICE, honmaru_sts::operations()),
        (honmaru_ec2::SERVICE, honmaru_ec2::operations()),
        (honmaru_logs::SERVICE, honmaru_logs::operations(&planes.events)),
        (honmaru_elbv2::SERVICE, honmaru_elbv2::operations()),
        (honmaru_wafv2::SERVICE, firewall),
        (honmaru_ecr::SERVICE, ecr_operations(&planes.layers)),
        (honmaru_ecr_public::SERVICE, ecr_public_operations(&planes.layers)),
        (honmaru_ecs::SERVICE, ecs_operations()),
        (
            honmaru_tagging::SERVICE,
            honmaru_tagging::operations::<tagged::EveryService>(),
        ),
        (
            honmaru_cloudtrail::SERVICE,
            honmaru_cloudtrail::operations(&planes.trail),
        ),
    ]
}

/// IAM's operations, but for those that set passwords; a certificate that a load balancer serves with stays, and goes on to be
/// its under another name.
pub fn iam_operations() -> Vec<Operation> {
    let mut operations = honmaru_iam::operations();
    replace(
        &mut operations,
        "DeleteServerCertificate",
        checks::delete_server_certificate,
    );
    replace(
        &mut operations,
        "UpdateServerCertificate",
        checks::update_server_certificate,
    );
    operations
}

/// ECS's operations; those that name resources of other services check them first.
pub fn ecs_operations() -> Vec<Operation> {
    let mut operations = honmaru_ecs::operations();
    for operation in &mut operations {
        operation.handler = match operation.name {
            "RunTask" => Handler::Write(checks::run_task),
            "StartTask" => Handler::Write(checks::start_task),
            "CreateService" => Handler::Write(checks::create_service),
            "UpdateService" => Handler::Write(checks::update_service),
            _ => continue,
        };
    }
    operations
}

/// ECR's operations; a policy that would lock its author out is refused.
pub fn ecr_operations(layers: &Arc<dyn honmaru_ecr::Layers>) -> Vec<Operation> {
    let mut operations = honmaru_ecr::operations(layers);
    replace(&mut operations, "SetRepositoryPolicy", checks::set_repository_policy);
    operations
}

/// The same for public repositories.
pub fn ecr_public_operations(layers: &Arc<dyn honmaru_ecr::Layers>) -> Vec<Operation> {
    let mut operations = honmaru_ecr_public::operations(layers);
    replace(&mut operations, "SetRepositoryPolicy", checks::set_public_policy);
    operations
}

fn replace(
    operations: &mut [Operation],
    name: &str,
    handler: fn(&mut Tx<'_>, &Call, Value) -> Result<Value, ApiError>,
) {
    for operation in operations.iter_mut().filter(|operation| operation.name == name) {
        operation.handler = Handler::Write(handler);
    }
}

/// Every controller: those of the services and the glue, in the order in which work flows through them.
pub fn reconcilers() -> Vec<Box<dyn Reconciler>> {
    let mut all = honmaru_ecs::reconcilers(targets::health);
    all.push(Box::new(provision::Provision));
    all.push(Box::new(targets::Targets));
    all.push(Box::new(release::Release));
    all.extend(honmaru_elbv2::reconcilers());
    all.extend(honmaru_wafv2::reconcilers());
    all.extend(honmaru_ecr::reconcilers());
    all
}
