//! What was served, as numbers that only grow. Read them with [`crate::Edge::counters`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of one load balancer, named like CloudWatch's metrics.
#[derive(Debug, Default)]
pub(crate) struct LoadBalancerNumbers {
    pub(crate) requests: AtomicU64,
    pub(crate) connections: AtomicU64,
    /// Answers of our own by class: 3xx, 4xx, 5xx.
    pub(crate) own: [AtomicU64; 3],
    pub(crate) blocked: AtomicU64,
}

impl LoadBalancerNumbers {
    pub(crate) fn own_answer(&self, status: u16) {
        let class = match status {
            300..400 => 0,
            400..500 => 1,
            500..600 => 2,
            _ => return,
        };
        add(&self.own[class]);
    }
}

/// Numbers of one target group.
#[derive(Debug, Default)]
pub(crate) struct GroupNumbers {
    pub(crate) requests: AtomicU64,
    pub(crate) by_class: [AtomicU64; 4],
    pub(crate) connection_errors: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) response_ms_sum: AtomicU64,
}

impl GroupNumbers {
    pub(crate) fn answered(&self, status: u16, ms: u64) {
        if let Some(class) = self.by_class.get((status / 100).saturating_sub(2) as usize) {
            add(class);
        }
        self.response_ms_sum.fetch_add(ms, Ordering::Relaxed);
    }
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// All numbers at one moment.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// By load balancer ARN.
    pub load_balancers: BTreeMap<String, LoadBalancerCounters>,
    /// By target group ARN.
    pub target_groups: BTreeMap<String, GroupCounters>,
}

/// The numbers of a load balancer since the edge started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadBalancerCounters {
    /// `RequestCount`.
    pub requests: u64,
    /// `NewConnectionCount`.
    pub connections: u64,
    /// `HTTPCode_ELB_3XX_Count`.
    pub elb_3xx: u64,
    /// `HTTPCode_ELB_4XX_Count`.
    pub elb_4xx: u64,
    /// `HTTPCode_ELB_5XX_Count`.
    pub elb_5xx: u64,
    /// Requests that the firewall refused.
    pub blocked: u64,
}

/// The numbers of a target group since the edge started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupCounters {
    /// `RequestCountPerTarget` summed over the targets.
    pub requests: u64,
    /// `HTTPCode_Target_2XX_Count`.
    pub target_2xx: u64,
    /// `HTTPCode_Target_3XX_Count`.
    pub target_3xx: u64,
    /// `HTTPCode_Target_4XX_Count`.
    pub target_4xx: u64,
    /// `HTTPCode_Target_5XX_Count`.
    pub target_5xx: u64,
    /// `TargetConnectionErrorCount`.
    pub connection_errors: u64,
    /// Requests that were sent again to another target or on another connection.
    pub retries: u64,
    /// The sum of `TargetResponseTime`, in milliseconds.
    pub response_ms_sum: u64,
    /// `HealthyHostCount`.
    pub healthy: u64,
    /// `UnHealthyHostCount`.
    pub unhealthy: u64,
}

impl LoadBalancerNumbers {
    pub(crate) fn read(&self) -> LoadBalancerCounters {
        let [elb_3xx, elb_4xx, elb_5xx] = &self.own;
        LoadBalancerCounters {
            requests: get(&self.requests),
            connections: get(&self.connections),
            elb_3xx: get(elb_3xx),
            elb_4xx: get(elb_4xx),
            elb_5xx: get(elb_5xx),
            blocked: get(&self.blocked),
        }
    }
}

impl GroupNumbers {
    pub(crate) fn read(&self) -> GroupCounters {
        let [target_2xx, target_3xx, target_4xx, target_5xx] = &self.by_class;
        GroupCounters {
            requests: get(&self.requests),
            target_2xx: get(target_2xx),
            target_3xx: get(target_3xx),
            target_4xx: get(target_4xx),
            target_5xx: get(target_5xx),
            connection_errors: get(&self.connection_errors),
            retries: get(&self.retries),
            response_ms_sum: get(&self.response_ms_sum),
            healthy: 0,
            unhealthy: 0,
        }
    }
}

impl Counters {
    /// The numbers in Prometheus's text form.
    pub fn prometheus(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let mut series = |name: &str, label: &str, rows: &mut dyn Iterator<Item = (&String, u64)>| {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (arn, value) in rows {
                let _ = writeln!(text, "{name}{{{label}=\"{arn}\"}} {value}");
            }
        };
        type Lb = (&'static str, fn(&LoadBalancerCounters) -> u64);
        let balancers: [Lb; 6] = [
            ("honmaru_edge_requests_total", |c| c.requests),
            ("honmaru_edge_connections_total", |c| c.connections),
            ("honmaru_edge_elb_3xx_total", |c| c.elb_3xx),
            ("honmaru_edge_elb_4xx_total", |c| c.elb_4xx),
            ("honmaru_edge_elb_5xx_total", |c| c.elb_5xx),
            ("honmaru_edge_blocked_total", |c| c.blocked),
        ];
        for (name, value) in balancers {
            series(
                name,
                "load_balancer",
                &mut self.load_balancers.iter().map(|(arn, c)| (arn, value(c))),
            );
        }
        type Tg = (&'static str, fn(&GroupCounters) -> u64);
        let groups: [Tg; 10] = [
            ("honmaru_edge_target_requests_total", |c| c.requests),
            ("honmaru_edge_target_2xx_total", |c| c.target_2xx),
            ("honmaru_edge_target_3xx_total", |c| c.target_3xx),
            ("honmaru_edge_target_4xx_total", |c| c.target_4xx),
            ("honmaru_edge_target_5xx_total", |c| c.target_5xx),
            ("honmaru_edge_target_connection_errors_total", |c| c.connection_errors),
            ("honmaru_edge_target_retries_total", |c| c.retries),
            ("honmaru_edge_target_response_ms_total", |c| c.response_ms_sum),
            ("honmaru_edge_targets_healthy", |c| c.healthy),
            ("honmaru_edge_targets_unhealthy", |c| c.unhealthy),
        ];
        for (name, value) in groups {
            series(
                name,
                "target_group",
                &mut self.target_groups.iter().map(|(arn, c)| (arn, value(c))),
            );
        }
        text
    }
}
