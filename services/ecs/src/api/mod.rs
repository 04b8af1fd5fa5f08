//! The operations of the ECS API, one file per family.

mod access;
mod cluster;
mod container_instance;
mod definition_rules;
mod definition_view;
mod deployment;
mod execute;
mod fargate;
mod fargate_rules;
mod find;
mod launch_rules;
mod protection;
mod register;
mod register_rules;
mod request_conditions;
mod run_task;
mod service;
mod service_rules;
mod service_update;
mod service_view;
mod session_logging;
mod settings;
mod tag_conditions;
mod tags;
mod task;
mod task_definition;
mod task_view;

use honmaru_machine::{Handler, Operation};

pub use register::register_task_definition;
pub use run_task::{run_task, start_task};
pub use service::{create_service, delete_service};
pub use service_update::update_service;

pub(crate) use launch_rules::{choose_provider, task_tags};
pub(crate) use task_definition::is_used as is_definition_used;

/// Every operation that is implemented. The wire answers the others with an error that names them.
pub fn operations() -> Vec<Operation> {
    use Handler::{Read, Write, WriteJson};
    vec![
        access::operation("CreateCluster", Write(cluster::create)),
        access::operation("DeleteCluster", Write(cluster::delete)),
        access::operation("DescribeClusters", Read(cluster::describe)),
        access::operation("ListClusters", Read(cluster::list)),
        access::operation("UpdateCluster", Write(cluster::update)),
        access::operation("UpdateClusterSettings", Write(cluster::update_settings)),
        access::operation("PutClusterCapacityProviders", Write(cluster::put_capacity_providers)),
        access::operation("DescribeCapacityProviders", Read(cluster::describe_capacity_providers)),
        access::operation("RegisterTaskDefinition", WriteJson(register::register_task_definition)),
        access::operation("DeregisterTaskDefinition", Write(task_definition::deregister)),
        access::operation("DescribeTaskDefinition", Read(task_definition::describe)),
        access::operation("ListTaskDefinitions", Read(task_definition::list)),
        access::operation("ListTaskDefinitionFamilies", Read(task_definition::families)),
        access::operation("DeleteTaskDefinitions", Write(task_definition::delete)),
        access::operation("RunTask", Write(run_task::run_task)),
        access::operation("StartTask", Write(run_task::start_task)),
        access::operation("StopTask", Write(task::stop)),
        access::operation("DescribeTasks", Read(task::describe)),
        access::operation("ListTasks", Read(task::list)),
        access::operation("GetTaskProtection", Read(protection::get)),
        access::operation("UpdateTaskProtection", Write(protection::update)),
        access::operation("CreateService", Write(service::create_service)),
        access::operation("UpdateService", Write(service_update::update_service)),
        access::operation("DeleteService", Write(service::delete_service)),
        access::operation("DescribeServices", Read(service_view::describe)),
        access::operation("ListServices", Read(service_view::list)),
        access::operation("ListServiceDeployments", Read(deployment::list)),
        access::operation("DescribeServiceDeployments", Read(deployment::describe)),
        access::operation("DescribeServiceRevisions", Read(deployment::revisions)),
        access::operation("StopServiceDeployment", Write(deployment::stop)),
        access::operation("ExecuteCommand", Write(execute::execute)),
        access::operation("ListContainerInstances", Read(container_instance::list)),
        access::operation("DescribeContainerInstances", Read(container_instance::describe)),
        access::operation("TagResource", Write(tags::tag)),
        access::operation("UntagResource", Write(tags::untag)),
        access::operation("ListTagsForResource", Read(tags::list)),
        access::operation("PutAccountSetting", Write(settings::put)),
        access::operation("PutAccountSettingDefault", Write(settings::put_default)),
        access::operation("DeleteAccountSetting", Write(settings::delete)),
        access::operation("ListAccountSettings", Read(settings::list)),
    ]
}
