//! Asks the APIs, as anybody may, and this machine, as far as this user may. What cannot be looked at becomes its reason.

use crate::cli::client::{CLOUDTRAIL, IAM};
use crate::cli::client::{CallError, Client, EC2, ECR, ECS, ELBV2, LOGS, Service as Api, WAFV2, code_of, send};
use crate::dirs::Dirs;
use base64::Engine;
use honmaru_base::Clock;
use honmaru_engine::SystemClock;
use honmaru_inspect::{Cloud, Host, Machine, Seen};
use honmaru_network::InstanceId;
use honmaru_responsibility::{Balancer, Definition, Facts, Identity, Repository, Service, Strangers, epoch_s};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Pages of a list at most.
const PAGES_MAX: usize = 100;
/// Ref: ECS `DescribeServices` and `DescribeTasks`.
const SERVICES_DESCRIBED_MAX: usize = 10;
const TASKS_DESCRIBED_MAX: usize = 100;
/// Ref: ECS `DescribeClusters`.
const CLUSTERS_DESCRIBED_MAX: usize = 100;
/// How often a credential report that is being made is asked for.
const REPORT_ATTEMPTS_MAX: usize = 20;
const REPORT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Everything. An API that does not answer at all is an error; one that refuses is a reason.
pub async fn gather(client: &Client, state: &Path, flags: &str) -> anyhow::Result<Facts> {
    let clusters = seen(clusters(client).await)?;
    let services = match &clusters {
        Ok(clusters) => seen(services(client, clusters).await)?,
        Err(reason) => Err(reason.clone()),
    };
    let tasks = match &clusters {
        Ok(clusters) => seen(tasks(client, clusters).await)?,
        Err(reason) => Err(reason.clone()),
    };
    let definitions = match (&services, &tasks) {
        (Ok(services), Ok(tasks)) => seen(definitions(client, services, tasks).await)?,
        (Err(reason), _) | (_, Err(reason)) => Err(reason.clone()),
    };
    let (balancers, groups, groups_used, repositories, log_groups, identity) = tokio::try_join!(
        async { seen(balancers(client, services.as_ref().map_or(&[], Vec::as_slice)).await) },
        async {
            seen(
                paged(
                    client,
                    EC2,
                    "DescribeSecurityGroups",
                    json!({}),
                    "securityGroupInfo",
                    &EC2_PAGES,
                )
                .await,
            )
        },
        async { seen(groups_used(client).await) },
        async { seen(repositories(client).await) },
        async { seen(paged(client, LOGS, "DescribeLogGroups", json!({}), "logGroups", &JSON_PAGES).await) },
        async { seen(identity(client).await) },
    )?;
    let strangers = Strangers {
        api: stranger(client, "/?Action=GetCallerIdentity&Version=2011-06-15").await,
        registry: stranger(client, "/v2/").await,
    };
    let (machine, host) = machine(client, state).await?;
    let trail = seen(trail(client).await)?;
    Ok(Facts {
        now_s: SystemClock.now().as_epoch_s(),
        services,
        tasks,
        definitions,
        balancers,
        groups,
        groups_used,
        repositories,
        log_groups,
        clusters,
        identity,
        trail,
        strangers,
        machine,
        host,
        flags: flags.to_owned(),
    })
}

/// What an API refuses is a reason; what is no answer of it stays an error.
fn seen<T>(answer: anyhow::Result<T>) -> anyhow::Result<Seen<T>> {
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.is::<CallError>() => Ok(Err(format!("the API refuses: {error}"))),
        Err(error) => Err(error),
    }
}

/// How a list goes on: the member that says where, and the one that takes it back.
struct Pages {
    out: &'static str,
    back: &'static str,
}

const JSON_PAGES: Pages = Pages {
    out: "nextToken",
    back: "nextToken",
};
const EC2_PAGES: Pages = Pages {
    out: "nextToken",
    back: "NextToken",
};
const QUERY_PAGES: Pages = Pages {
    out: "NextMarker",
    back: "Marker",
};

async fn paged(
    client: &Client,
    api: Api,
    operation: &str,
    mut input: Value,
    member: &str,
    pages: &Pages,
) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    for _ in 0..PAGES_MAX {
        let answer = client.call(api, operation, input.clone()).await?;
        rows.extend(answer[member].as_array().into_iter().flatten().cloned());
        let Some(next) = answer[pages.out].as_str().filter(|next| !next.is_empty()) else {
            break;
        };
        input[pages.back] = Value::String(next.to_owned());
    }
    Ok(rows)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

async fn clusters(client: &Client) -> anyhow::Result<Vec<Value>> {
    let arns = paged(client, ECS, "ListClusters", json!({}), "clusterArns", &JSON_PAGES).await?;
    let mut clusters = Vec::new();
    for some in arns.chunks(CLUSTERS_DESCRIBED_MAX) {
        let input = json!({ "clusters": some, "include": ["CONFIGURATIONS"] });
        let answer = client.call(ECS, "DescribeClusters", input).await?;
        clusters.extend(list(&answer, "clusters").cloned());
    }
    Ok(clusters)
}

async fn services(client: &Client, clusters: &[Value]) -> anyhow::Result<Vec<Service>> {
    let mut services = Vec::new();
    for cluster in clusters {
        let name = text(cluster, "clusterName");
        let arns = paged(
            client,
            ECS,
            "ListServices",
            json!({ "cluster": name }),
            "serviceArns",
            &JSON_PAGES,
        )
        .await?;
        for some in arns.chunks(SERVICES_DESCRIBED_MAX) {
            let input = json!({ "cluster": name, "services": some });
            let answer = client.call(ECS, "DescribeServices", input).await?;
            let active = list(&answer, "services").filter(|raw| text(raw, "status") == "ACTIVE");
            services.extend(active.map(|raw| Service {
                name: text(raw, "serviceName").to_owned(),
                cluster: name.to_owned(),
                raw: raw.clone(),
            }));
        }
    }
    services.sort_by(|a, b| (&a.cluster, &a.name).cmp(&(&b.cluster, &b.name)));
    Ok(services)
}

async fn tasks(client: &Client, clusters: &[Value]) -> anyhow::Result<Vec<Value>> {
    let mut tasks = Vec::new();
    for cluster in clusters {
        let name = text(cluster, "clusterName");
        let input = json!({ "cluster": name, "desiredStatus": "RUNNING" });
        let arns = paged(client, ECS, "ListTasks", input, "taskArns", &JSON_PAGES).await?;
        for some in arns.chunks(TASKS_DESCRIBED_MAX) {
            let input = json!({ "cluster": name, "tasks": some });
            let answer = client.call(ECS, "DescribeTasks", input).await?;
            tasks.extend(list(&answer, "tasks").cloned());
        }
    }
    Ok(tasks)
}

async fn definitions(client: &Client, services: &[Service], tasks: &[Value]) -> anyhow::Result<Vec<Definition>> {
    let mut used: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for service in services {
        let by = used.entry(text(&service.raw, "taskDefinition").to_owned()).or_default();
        by.push((service.cluster.clone(), service.name.clone()));
    }
    for task in tasks {
        used.entry(text(task, "taskDefinitionArn").to_owned()).or_default();
    }
    let mut definitions = Vec::new();
    for (arn, services) in used {
        let answer = client
            .call(ECS, "DescribeTaskDefinition", json!({ "taskDefinition": arn }))
            .await?;
        definitions.push(Definition {
            arn,
            raw: answer["taskDefinition"].clone(),
            services,
        });
    }
    Ok(definitions)
}

async fn balancers(client: &Client, services: &[Service]) -> anyhow::Result<Vec<Balancer>> {
    let rows = paged(
        client,
        ELBV2,
        "DescribeLoadBalancers",
        json!({}),
        "LoadBalancers",
        &QUERY_PAGES,
    )
    .await?;
    let groups = paged(
        client,
        ELBV2,
        "DescribeTargetGroups",
        json!({}),
        "TargetGroups",
        &QUERY_PAGES,
    )
    .await?;
    let policies = paged(
        client,
        ELBV2,
        "DescribeSSLPolicies",
        json!({}),
        "SslPolicies",
        &QUERY_PAGES,
    )
    .await?;
    let input = json!({ "MaxItems": 1000 });
    let certificates = seen(client.call(IAM, "ListServerCertificates", input).await)?;
    let mut balancers = Vec::new();
    for raw in rows {
        let arn = text(&raw, "LoadBalancerArn").to_owned();
        let input = json!({ "LoadBalancerArn": arn });
        let listeners = paged(
            client,
            ELBV2,
            "DescribeListeners",
            input.clone(),
            "Listeners",
            &QUERY_PAGES,
        )
        .await?;
        let answer = client.call(ELBV2, "DescribeLoadBalancerAttributes", input).await?;
        let attributes = list(&answer, "Attributes");
        let attributes = attributes.map(|row| (text(row, "Key").to_owned(), text(row, "Value").to_owned()));
        let serves = |service: &&Service| {
            list(&service.raw, "loadBalancers").any(|target| {
                let group = groups.iter().find(|g| g["TargetGroupArn"] == target["targetGroupArn"]);
                group.is_some_and(|group| list(group, "LoadBalancerArns").any(|of| *of == raw["LoadBalancerArn"]))
            })
        };
        balancers.push(Balancer {
            attributes: attributes.collect(),
            web_acl: web_acl(client, &arn).await?,
            services: services
                .iter()
                .filter(serves)
                .map(|service| service.name.clone())
                .collect(),
            certificates: ends(client, &listeners, &certificates).await?,
            protocols: protocols(&listeners, &policies),
            listeners,
            raw,
        });
    }
    Ok(balancers)
}

async fn web_acl(client: &Client, balancer: &str) -> anyhow::Result<Seen<Option<Value>>> {
    let answer = client
        .call(WAFV2, "GetWebACLForResource", json!({ "ResourceArn": balancer }))
        .await;
    if answer
        .as_ref()
        .is_err_and(|error| code_of(error) == Some("WAFNonexistentItemException"))
    {
        return Ok(Ok(None));
    }
    Ok(seen(answer)?.map(|answer| Some(answer["WebACL"].clone()).filter(Value::is_object)))
}

/// Each certificate of the listeners, and when it ends.
async fn ends(client: &Client, listeners: &[Value], known: &Seen<Value>) -> anyhow::Result<Vec<(String, Seen<f64>)>> {
    let mut found: Vec<(String, Seen<f64>)> = Vec::new();
    for listener in listeners {
        if !["HTTPS", "TLS"].contains(&text(listener, "Protocol")) {
            continue;
        }
        let input = json!({ "ListenerArn": text(listener, "ListenerArn") });
        let operation = "DescribeListenerCertificates";
        for row in paged(client, ELBV2, operation, input, "Certificates", &QUERY_PAGES).await? {
            let arn = text(&row, "CertificateArn").to_owned();
            if found.iter().any(|(known, _)| *known == arn) {
                continue;
            }
            let end = known.as_ref().map_err(Clone::clone).and_then(|known| {
                let rows = known["ServerCertificateMetadataList"].as_array().into_iter().flatten();
                let row = rows.into_iter().find(|row| row["Arn"].as_str() == Some(arn.as_str()));
                let end = row.and_then(|row| epoch_s(text(row, "Expiration")));
                end.ok_or_else(|| "IAM does not say when it ends".to_owned())
            });
            found.push((arn, end));
        }
    }
    Ok(found)
}

fn protocols(listeners: &[Value], policies: &[Value]) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for listener in listeners {
        let name = text(listener, "SslPolicy");
        if name.is_empty() || found.iter().any(|(known, _)| known == name) {
            continue;
        }
        let policy = policies.iter().find(|policy| text(policy, "Name") == name);
        let protocols = policy.into_iter().flat_map(|policy| list(policy, "SslProtocols"));
        let protocols = protocols.filter_map(Value::as_str).map(str::to_owned).collect();
        found.push((name.to_owned(), protocols));
    }
    found
}

async fn groups_used(client: &Client) -> anyhow::Result<Vec<String>> {
    let member = "networkInterfaceSet";
    let rows = paged(client, EC2, "DescribeNetworkInterfaces", json!({}), member, &EC2_PAGES).await?;
    let ids = rows
        .iter()
        .flat_map(|row| list(row, "groupSet"))
        .map(|group| text(group, "groupId").to_owned());
    Ok(ids.collect())
}

async fn repositories(client: &Client) -> anyhow::Result<Vec<Repository>> {
    let rows = paged(
        client,
        ECR,
        "DescribeRepositories",
        json!({}),
        "repositories",
        &JSON_PAGES,
    )
    .await?;
    let mut repositories = Vec::new();
    for raw in rows {
        let input = json!({ "repositoryName": text(&raw, "repositoryName") });
        let policy = client.call(ECR, "GetRepositoryPolicy", input.clone()).await;
        let lifecycle = client.call(ECR, "GetLifecyclePolicy", input).await;
        repositories.push(Repository {
            policy: document(policy, "policyText", "RepositoryPolicyNotFoundException")?,
            lifecycle: document(lifecycle, "lifecyclePolicyText", "LifecyclePolicyNotFoundException")?,
            raw,
        });
    }
    Ok(repositories)
}

/// A policy that may not be there, as JSON.
fn document(answer: anyhow::Result<Value>, member: &str, missing: &str) -> anyhow::Result<Seen<Option<Value>>> {
    if answer.as_ref().is_err_and(|error| code_of(error) == Some(missing)) {
        return Ok(Ok(None));
    }
    Ok(seen(answer)?.and_then(|answer| {
        let policy = serde_json::from_str(text(&answer, member));
        policy
            .map(Some)
            .map_err(|error| format!("`{member}` is no JSON: {error}"))
    }))
}

async fn trail(client: &Client) -> anyhow::Result<Vec<Value>> {
    let answer = client
        .call(CLOUDTRAIL, "LookupEvents", json!({ "MaxResults": 5 }))
        .await?;
    Ok(list(&answer, "Events").cloned().collect())
}

async fn identity(client: &Client) -> anyhow::Result<Identity> {
    let mut identity = Identity {
        credentials: report(client).await?,
        ..Identity::default()
    };
    let mut input = json!({ "Filter": ["User", "Role", "Group", "LocalManagedPolicy"], "MaxItems": 1000 });
    for _ in 0..PAGES_MAX {
        let answer = client
            .call(IAM, "GetAccountAuthorizationDetails", input.clone())
            .await?;
        for (member, rows) in [
            ("UserDetailList", &mut identity.users),
            ("RoleDetailList", &mut identity.roles),
            ("GroupDetailList", &mut identity.groups),
            ("Policies", &mut identity.policies),
        ] {
            rows.extend(list(&answer, member).cloned().map(plain));
        }
        let Some(marker) = answer["Marker"].as_str().filter(|_| answer["IsTruncated"] == "true") else {
            break;
        };
        input["Marker"] = Value::String(marker.to_owned());
    }
    Ok(identity)
}

/// Answers of IAM have policies as encoded texts, and truth as a text.
fn plain(value: Value) -> Value {
    let member = |(name, value): (String, Value)| {
        let value = match (name.as_str(), &value) {
            ("AssumeRolePolicyDocument" | "PolicyDocument" | "Document", Value::String(encoded)) => {
                let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy();
                serde_json::from_str(&decoded).unwrap_or(Value::Null)
            }
            ("IsDefaultVersion", Value::String(truth)) => Value::Bool(truth == "true"),
            _ => plain(value),
        };
        (name, value)
    };
    match value {
        Value::Object(members) => Value::Object(members.into_iter().map(member).collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
        other => other,
    }
}

async fn report(client: &Client) -> anyhow::Result<Vec<Value>> {
    client.call(IAM, "GenerateCredentialReport", json!({})).await?;
    let mut attempt = 0;
    let answer = loop {
        match client.call(IAM, "GetCredentialReport", json!({})).await {
            Err(error) if attempt < REPORT_ATTEMPTS_MAX && code_of(&error) == Some("ReportInProgress") => {
                attempt += 1;
                tokio::time::sleep(REPORT_PAUSE).await;
            }
            answer => break answer?,
        }
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(text(&answer, "Content"))?;
    Ok(rows(&String::from_utf8_lossy(&bytes)))
}

/// A credential report's rows. Names of users may have commas, which the report writes as they are, in the name and in the
/// ARN alike.
fn rows(csv: &str) -> Vec<Value> {
    let mut lines = csv.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let commas = fields.len().saturating_sub(head.len()) / 2;
        let (user, rest) = fields.split_at((commas + 1).min(fields.len()));
        let (arn, rest) = rest.split_at((commas + 1).min(rest.len()));
        let values = [user.join(","), arn.join(",")]
            .into_iter()
            .chain(rest.iter().map(|field| (*field).to_owned()));
        let names = head.iter().map(|name| (*name).to_owned());
        Value::Object(names.zip(values.map(Value::String)).collect::<Map<_, _>>())
    };
    lines.filter(|line| !line.is_empty()).map(row).collect()
}

/// The status that somebody without keys gets.
async fn stranger(client: &Client, path: &str) -> Seen<u16> {
    let headers = [("host".to_owned(), client.host().to_owned())];
    match send(
        &client.endpoint,
        client.ca.as_deref(),
        "GET",
        path,
        &headers,
        Vec::new(),
    )
    .await
    {
        Ok(answer) => Ok(answer.status),
        Err(error) => Err(format!("no answer came: {error:#}")),
    }
}

/// This machine, if the cloud that is asked is the one in the state directory.
async fn machine(client: &Client, state: &Path) -> anyhow::Result<(Seen<Machine>, Seen<Host>)> {
    let dirs = Dirs::new(state);
    if !dirs.state().join("run").is_dir() {
        let reason = format!(
            "`{}` is no directory of a cloud on this machine",
            dirs.state().display()
        );
        return Ok((Err(reason.clone()), Err(reason)));
    }
    if !is_here(client) {
        let reason = format!("{} is not on this machine", client.endpoint);
        return Ok((Err(reason.clone()), Err(reason)));
    }
    let look = move || {
        let state = dirs.state();
        let table = InstanceId::of(state).table();
        let cloud = Cloud { state, table: &table };
        (honmaru_inspect::machine(&cloud), Ok(honmaru_inspect::host(state)))
    };
    Ok(tokio::task::spawn_blocking(look).await?)
}

/// Whether the endpoint's name leads to this machine itself.
fn is_here(client: &Client) -> bool {
    let host = client.host();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_report_is_read() {
        let csv = "user,arn,mfa_active\n<root_account>,arn:root,false\na,b,arn:user/a,b,true\n";
        assert_eq!(
            rows(csv),
            [
                json!({ "user": "<root_account>", "arn": "arn:root", "mfa_active": "false" }),
                json!({ "user": "a,b", "arn": "arn:user/a,b", "mfa_active": "true" }),
            ]
        );
    }

    #[test]
    fn policies_of_iam_are_decoded() {
        let row = json!({ "PolicyVersionList": [{ "IsDefaultVersion": "true", "Document": "%7B%22Statement%22%3A%5B%5D%7D" }] });
        assert_eq!(
            plain(row),
            json!({ "PolicyVersionList": [{ "IsDefaultVersion": true, "Document": { "Statement": [] } }] })
        );
    }
}
