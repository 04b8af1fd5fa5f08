//! What the controls look at: answers of the AWS APIs as they came, and what this machine showed. Plain data; whoever
//! gathers it (the CLI) says for each part that it could not look at why not.

use honmaru_inspect::{Container, Host, Machine, Seen};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Everything that was gathered.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Now, in epoch seconds.
    pub now_s: f64,
    /// The services that are not deleted.
    pub services: Seen<Vec<Service>>,
    /// The tasks that run, as `DescribeTasks` shows them.
    pub tasks: Seen<Vec<Value>>,
    /// The task definitions of those services and tasks.
    pub definitions: Seen<Vec<Definition>>,
    /// The application load balancers, and those of the network.
    pub balancers: Seen<Vec<Balancer>>,
    /// The security groups, as `DescribeSecurityGroups` shows them.
    pub groups: Seen<Vec<Value>>,
    /// The security groups that an interface has, by id.
    pub groups_used: Seen<Vec<String>>,
    /// The repositories.
    pub repositories: Seen<Vec<Repository>>,
    /// The log groups, as `DescribeLogGroups` shows them.
    pub log_groups: Seen<Vec<Value>>,
    /// The clusters, as `DescribeClusters` shows them with their configurations.
    pub clusters: Seen<Vec<Value>>,
    /// Who may do what.
    pub identity: Seen<Identity>,
    /// The newest events of the audit trail, as `LookupEvents` shows them.
    pub trail: Seen<Vec<Value>>,
    /// What somebody without keys is answered.
    pub strangers: Strangers,
    /// What only root can see of the machine.
    pub machine: Seen<Machine>,
    /// What everybody can see of the machine.
    pub host: Seen<Host>,
    /// What suggested commands of `honmaru` need to reach the same cloud; often nothing.
    pub flags: String,
}

/// A service.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its cluster's name.
    pub cluster: String,
    /// As `DescribeServices` shows it.
    pub raw: Value,
}

/// A task definition in use.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// Its ARN.
    pub arn: String,
    /// As `DescribeTaskDefinition` shows it.
    pub raw: Value,
    /// The services that run it: cluster and name.
    pub services: Vec<(String, String)>,
}

/// A load balancer.
#[derive(Debug, Clone)]
pub struct Balancer {
    /// As `DescribeLoadBalancers` shows it.
    pub raw: Value,
    /// Its listeners.
    pub listeners: Vec<Value>,
    /// Its attributes: key and value.
    pub attributes: Vec<(String, String)>,
    /// The web ACL in front of it, if there is one.
    pub web_acl: Seen<Option<Value>>,
    /// The services whose target groups it forwards to.
    pub services: Vec<String>,
    /// The certificates of its listeners: ARN, and the end of the validity in epoch seconds.
    pub certificates: Vec<(String, Seen<f64>)>,
    /// The protocols of each security policy of its listeners.
    pub protocols: Vec<(String, Vec<String>)>,
}

/// A repository.
#[derive(Debug, Clone)]
pub struct Repository {
    /// As `DescribeRepositories` shows it.
    pub raw: Value,
    /// Its policy, if it has one.
    pub policy: Seen<Option<Value>>,
    /// Its lifecycle policy, if it has one.
    pub lifecycle: Seen<Option<Value>>,
}

/// Who may do what.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The rows of the credential report: its head names the fields.
    pub credentials: Vec<Value>,
    /// The roles, as `GetAccountAuthorizationDetails` shows them, policies as JSON.
    pub roles: Vec<Value>,
    /// The users.
    pub users: Vec<Value>,
    /// The groups.
    pub groups: Vec<Value>,
    /// The policies of the customer's own.
    pub policies: Vec<Value>,
}

/// What somebody without keys is answered.
#[derive(Debug, Clone)]
pub struct Strangers {
    /// The status of a call without a signature.
    pub api: Seen<u16>,
    /// The status of `GET /v2/` of the registry.
    pub registry: Seen<u16>,
}

impl Definition {
    /// Its family and revision.
    pub fn name(&self) -> &str {
        last_part(&self.arn)
    }

    /// Its family.
    pub fn family(&self) -> &str {
        text(&self.raw, "family")
    }

    /// Whether `honmaru deploy` made it, by the role that it gives.
    pub fn is_deployed(&self) -> bool {
        text(&self.raw, "executionRoleArn").contains(":role/honmaru-")
    }

    /// Its containers.
    pub fn containers(&self) -> impl Iterator<Item = &Value> {
        list(&self.raw, "containerDefinitions")
    }

    /// How people know what it runs: its services, else its own name.
    pub fn subject(&self) -> String {
        match self.services.as_slice() {
            [] => self.name().to_owned(),
            services => services
                .iter()
                .map(|(_, name)| name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

impl Facts {
    /// The facts of one app alone; nothing when no service has that name.
    pub fn of_app(mut self, app: &str) -> Option<Self> {
        if let Ok(services) = &mut self.services {
            services.retain(|service| service.name == app);
            if services.is_empty() {
                return None;
            }
        }
        if let Ok(tasks) = &mut self.tasks {
            tasks.retain(|task| text(task, "group").strip_prefix("service:") == Some(app));
        }
        if let Ok(definitions) = &mut self.definitions {
            definitions.retain(|definition| definition.services.iter().any(|(_, name)| name == app));
        }
        if let Ok(balancers) = &mut self.balancers {
            balancers.retain(|balancer| balancer.services.iter().any(|name| name == app));
        }
        let groups: Vec<String> = self.groups_of_app();
        if let Ok(all) = &mut self.groups {
            all.retain(|group| groups.iter().any(|id| id == text(group, "groupId")));
        }
        let containers: Vec<Value> = self
            .definitions
            .iter()
            .flatten()
            .flat_map(|d| d.containers().cloned())
            .collect();
        if let Ok(repositories) = &mut self.repositories {
            repositories.retain(|repository| {
                let uri = text(&repository.raw, "repositoryUri");
                containers.iter().any(|c| {
                    let rest = text(c, "image").strip_prefix(uri);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
                })
            });
        }
        if let Ok(log_groups) = &mut self.log_groups {
            log_groups.retain(|group| {
                let name = text(group, "logGroupName");
                containers
                    .iter()
                    .any(|c| text(&c["logConfiguration"]["options"], "awslogs-group") == name)
            });
        }
        let tasks: Vec<String> = self.task_ids();
        if let Ok(machine) = &mut self.machine {
            machine
                .containers
                .retain(|container| tasks.contains(&container.task_id));
        }
        Some(self)
    }

    fn groups_of_app(&self) -> Vec<String> {
        let of_services = self.services.iter().flatten().flat_map(|service| {
            let network = &service.raw["networkConfiguration"]["awsvpcConfiguration"];
            texts(&network["securityGroups"])
        });
        let of_balancers = self
            .balancers
            .iter()
            .flatten()
            .flat_map(|balancer| texts(&balancer.raw["SecurityGroups"]));
        of_services.chain(of_balancers).collect()
    }

    fn task_ids(&self) -> Vec<String> {
        let tasks = self.tasks.iter().flatten();
        tasks.map(|task| last_part(text(task, "taskArn")).to_owned()).collect()
    }

    /// The task of a container that root has seen.
    fn task_of(&self, container: &Container) -> Option<&Value> {
        let mut tasks = self.tasks.iter().flatten();
        tasks.find(|task| last_part(text(task, "taskArn")) == container.task_id)
    }

    /// Its task definition.
    pub fn definition_of(&self, container: &Container) -> Option<&Definition> {
        let arn = text(self.task_of(container)?, "taskDefinitionArn");
        self.definitions
            .iter()
            .flatten()
            .find(|definition| definition.arn == arn)
    }

    /// What a service runs.
    pub fn definition_of_service(&self, service: &Service) -> Option<&Definition> {
        let arn = text(&service.raw, "taskDefinition");
        self.definitions
            .iter()
            .flatten()
            .find(|definition| definition.arn == arn)
    }

    /// The service (or the task definition) of a container that root has seen.
    pub fn owner_of(&self, container: &Container) -> String {
        let Some(task) = self.task_of(container) else {
            return format!("task {}", container.task_id.get(..8).unwrap_or(&container.task_id));
        };
        match text(task, "group").strip_prefix("service:") {
            Some(service) => service.to_owned(),
            None => last_part(text(task, "taskDefinitionArn")).to_owned(),
        }
    }
}

/// A member that is a text; empty when it is none.
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A member that is a list.
pub fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// The texts of a list; those of one text alone.
pub fn texts(value: &Value) -> Vec<String> {
    let one = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let many = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    one.into_iter().chain(many).collect()
}

/// The last part of an ARN or a path.
pub fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// A time as IAM writes it, in epoch seconds.
pub fn epoch_s(text: &str) -> Option<f64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(at.unix_timestamp() as f64)
}
