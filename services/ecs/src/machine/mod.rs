//! Changes to the state that the API, the reconcilers and the glue between services share.

mod events;
pub(crate) mod idempotency;
mod launch;
mod life;
mod observe;
mod placement;
pub(crate) mod rollout;
mod spec;

pub use events::service_event;
pub use idempotency::{TOKEN_RULES, TokenRule};
pub use launch::{Launch, launch, reservation};
pub use life::{
    activated, deprovisioned, drained, fail_provisioning, provisioned, stop_task, target_deregistered,
    target_registered,
};
pub use observe::{observe_node, observe_task};
pub use placement::{CPU_OVERSUBSCRIPTION, Usage};
pub(crate) use spec::awslogs_group;
pub use spec::{LogGroupWanted, log_groups, node_task_versions, node_tasks, task_spec};

pub(crate) use events::push_event;
