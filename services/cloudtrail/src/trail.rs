//! What this service asks of whoever keeps the trail.

use crate::record::{Recorded, is_read_only};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::BoxFuture;

/// A place in the trail: before the record at this byte of this segment. It stays valid while the segment exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The segment.
    pub segment: u64,
    /// The byte at which the last record that was given begins.
    pub offset: u64,
}

/// What a lookup attribute asks for. Ref: CloudTrail API reference, LookupAttribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// The record's id.
    EventId(String),
    /// The operation.
    EventName(String),
    /// Whether it changes nothing.
    ReadOnly(bool),
    /// The user, session or `root`.
    Username(String),
    /// A type of resource, for example `AWS::ECS::Cluster`: its service is compared.
    ResourceType(String),
    /// An ARN, or the name at its end.
    ResourceName(String),
    /// `ecs.amazonaws.com`.
    EventSource(String),
    /// The access key id.
    AccessKeyId(String),
}

impl Attribute {
    fn fits(&self, record: &Recorded) -> bool {
        match self {
            Self::EventId(id) => record.id == *id,
            Self::EventName(name) => record.name == *name,
            Self::ReadOnly(wanted) => is_read_only(&record.name) == *wanted,
            Self::Username(name) => record.who.name.as_ref() == Some(name),
            Self::ResourceType(kind) => record
                .resources
                .iter()
                .any(|arn| resource_type(arn).as_ref() == Some(kind)),
            Self::ResourceName(name) => record.resources.iter().any(|arn| is_named(arn, name)),
            Self::EventSource(source) => record.source == *source,
            Self::AccessKeyId(key) => record.who.key.as_ref() == Some(key),
        }
    }
}

/// What a record shows of an ARN: the calls to a log group ask for a stream of it without a name.
pub(crate) fn shown(arn: &str) -> &str {
    arn.strip_suffix(":log-stream:").unwrap_or(arn)
}

/// Whether somebody who asks for `name` means the resource: its ARN, its whole name (`team/app`, `/ecs/app`), or one
/// part of it (a cluster's name for its service, a load balancer's name between its kind and its id).
fn is_named(arn: &str, name: &str) -> bool {
    let arn = shown(arn);
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let whole = resource.split_once(['/', ':']).map_or(resource, |(_, whole)| whole);
    // A load balancer's kind is not its name.
    let kinds = ["app/", "net/", "gwy/"].map(|kind| whole.strip_prefix(kind));
    let whole = kinds
        .into_iter()
        .flatten()
        .next()
        .filter(|_| arn.contains(":elasticloadbalancing:"))
        .unwrap_or(whole);
    let of_stream = arn
        .strip_prefix(name)
        .is_some_and(|rest| rest.starts_with(":log-stream:"));
    !name.is_empty()
        && (arn == name
            || of_stream
            || whole == name
            || whole.split(':').any(|part| part == name)
            || whole.split(['/', ':']).any(|part| part == name))
}

/// The resource's type in CloudFormation's words, where it is one of the known ones.
pub(crate) fn resource_type(arn: &str) -> Option<String> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next()?;
    let resource = parts.nth(2)?;
    let noun = resource.split(['/', ':']).next()?;
    let known = match (service, noun) {
        ("ecs", "cluster") => "AWS::ECS::Cluster",
        ("ecs", "service") => "AWS::ECS::Service",
        ("ecs", "task-definition") => "AWS::ECS::TaskDefinition",
        ("ecs", "task") => "AWS::ECS::Task",
        ("ecr", "repository") => "AWS::ECR::Repository",
        ("iam", "role") => "AWS::IAM::Role",
        ("iam", "user") => "AWS::IAM::User",
        ("iam", "group") => "AWS::IAM::Group",
        ("iam", "policy") => "AWS::IAM::Policy",
        ("logs", "log-group") => "AWS::Logs::LogGroup",
        ("elasticloadbalancing", "loadbalancer") => "AWS::ElasticLoadBalancingV2::LoadBalancer",
        ("elasticloadbalancing", "targetgroup") => "AWS::ElasticLoadBalancingV2::TargetGroup",
        ("ec2", "vpc") => "AWS::EC2::VPC",
        ("ec2", "subnet") => "AWS::EC2::Subnet",
        ("ec2", "security-group") => "AWS::EC2::SecurityGroup",
        ("wafv2", _) if resource.contains("/webacl/") => "AWS::WAFv2::WebACL",
        _ => return None,
    };
    Some(known.to_owned())
}

/// A question to the trail.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Records of this account and region.
    pub scope: Scope,
    /// Calls at or after this time: milliseconds since the epoch.
    pub from_ms: i64,
    /// Calls at or before this time.
    pub until_ms: i64,
    /// What the records must have.
    pub attribute: Option<Attribute>,
    /// Where to go on; nothing: at the newest record.
    pub place: Option<Place>,
    /// Records at most.
    pub records_max: usize,
}

impl Wanted {
    /// Whether a record is one of those that are asked for.
    pub fn fits(&self, record: &Recorded) -> bool {
        record.account == self.scope.account
            && record.region == self.scope.region
            && (self.from_ms..=self.until_ms).contains(&record.at.as_ms())
            && self.attribute.as_ref().is_none_or(|attribute| attribute.fits(record))
    }
}

/// Records, the newest first, and where older ones continue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The records. There may be fewer than asked for, even none, while older ones follow.
    pub records: Vec<Recorded>,
    /// Where older ones continue, unless the trail ends.
    pub next: Option<Place>,
}

/// The keeper of the trail.
pub trait Trail: Send + Sync {
    /// Looks records up, newest first. Calls that were answered before are among them.
    fn look_up(&self, wanted: Wanted) -> BoxFuture<Result<Found, ApiError>>;
}
