//! What must hold after every event.

use super::control::scope;
use super::world::World;
use honmaru_ecs::{LastStatus, Service, ServiceStatus, Task};
use honmaru_elbv2::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// What is remembered from one event to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    status: BTreeMap<String, LastStatus>,
    wanted: usize,
}

/// Fails with what is wrong.
pub(super) fn check(world: &World, memory: &mut Memory) -> Result<(), String> {
    lives_go_forward(world, memory)?;
    at_most_the_maximum(world, memory)?;
    enough_are_healthy(world)?;
    nothing_leaks(world)?;
    nothing_is_over_committed(world)
}

fn tasks(world: &World) -> impl Iterator<Item = &Task> {
    world.control.state.all::<Task>().map(|(_, _, task)| task)
}

fn lives_go_forward(world: &World, memory: &mut Memory) -> Result<(), String> {
    for task in tasks(world) {
        let before = memory.status.insert(task.id.clone(), task.last_status);
        if before.is_some_and(|before| before > task.last_status) {
            return Err(format!(
                "task {} went back from {before:?} to {:?}",
                task.id, task.last_status
            ));
        }
        if task.last_status > LastStatus::Running && task.is_wanted() {
            return Err(format!("task {} is {:?} and yet wanted", task.id, task.last_status));
        }
    }
    Ok(())
}

/// The scheduler never starts a task above the maximum percent.
fn at_most_the_maximum(world: &World, memory: &mut Memory) -> Result<(), String> {
    let wanted = tasks(world).filter(|task| task.is_wanted()).count();
    let before = std::mem::replace(&mut memory.wanted, wanted);
    let Some(service) = world.service() else { return Ok(()) };
    if wanted > before && wanted > service.tasks_max() as usize {
        return Err(format!("{wanted} tasks shall run, {} may", service.tasks_max()));
    }
    Ok(())
}

/// While nothing is broken, the load balancer has at least the minimum of healthy targets: of the desired count, or of
/// what it was when the service was last steady, if that was less.
fn enough_are_healthy(world: &World) -> Result<(), String> {
    let (Some(floor), Some(service)) = (world.floor, world.service()) else {
        return Ok(());
    };
    let needed = (service.healthy_min() as usize).min(floor);
    let is_healthy = |address, group: &str, port| {
        honmaru_elbv2::target_health(&world.control.state, &scope(), group, address, port)
            .is_some_and(|health| health.state == "healthy")
    };
    let healthy = tasks(world)
        .filter(|task| task.is_wanted())
        .filter_map(|task| Some((task.interface.as_ref()?.private_ip, task.targets.first()?)))
        .filter(|(address, target)| is_healthy(*address, &target.target_group_arn, target.port))
        .count();
    if healthy < needed {
        Err(format!("{healthy} healthy tasks serve, {needed} must"))
    } else {
        Ok(())
    }
}

/// Interfaces belong to tasks that live, targets to tasks that serve.
fn nothing_leaks(world: &World) -> Result<(), String> {
    let live: BTreeSet<&str> = tasks(world)
        .filter(|task| task.last_status != LastStatus::Stopped)
        .filter_map(|task| task.interface.as_ref().map(|interface| interface.id.as_str()))
        .collect();
    let held: BTreeSet<&str> = world
        .control
        .state
        .all::<honmaru_ec2::Interface>()
        .filter(|(_, _, interface)| interface.description.contains(":attachment/"))
        .map(|(_, id, _)| id)
        .collect();
    if live != held {
        return Err(format!("interfaces differ: of tasks {live:?}, in EC2 {held:?}"));
    }
    let serving: BTreeSet<Ipv4Addr> = tasks(world)
        .filter(|task| task.targets.iter().any(|target| target.registered))
        .filter_map(|task| task.interface.as_ref().map(|interface| interface.private_ip))
        .collect();
    let targets: BTreeSet<Ipv4Addr> = world
        .control
        .state
        .all::<Target>()
        .filter(|(_, _, target)| target.draining_since.is_none())
        .map(|(_, _, target)| target.address)
        .collect();
    if serving != targets {
        return Err(format!("targets differ: of tasks {serving:?}, registered {targets:?}"));
    }
    Ok(())
}

fn nothing_is_over_committed(world: &World) -> Result<(), String> {
    let memory: u64 = tasks(world)
        .filter(|task| task.node.is_some() && task.last_status < LastStatus::Deprovisioning)
        .map(|task| u64::from(task.reserved.1))
        .sum();
    if memory > 16 * 1_024 {
        Err(format!("{memory} MiB are promised of 16384"))
    } else {
        Ok(())
    }
}

/// Whether the service is where it shall be, with nothing in motion.
pub(super) fn is_steady(world: &World) -> bool {
    let Some(service) = world.service() else { return false };
    let running = tasks(world)
        .filter(|t| t.is_wanted() && t.last_status == LastStatus::Running)
        .count();
    service.steady && service.deployments.len() == 1 && running == service.desired_count as usize
}

/// Whether nothing of the service is left.
pub(super) fn is_gone(world: &World) -> Result<(), String> {
    let status = world.service().map(|service: &Service| service.status);
    if status.is_some_and(|status| status != ServiceStatus::Inactive) {
        return Err(format!("the service is {status:?}"));
    }
    if let Some(task) = tasks(world).find(|task| task.last_status != LastStatus::Stopped) {
        return Err(format!("task {} is still {:?}", task.id, task.last_status));
    }
    if !world.node.tasks.is_empty() {
        return Err(format!("the node still has {:?}", world.node.tasks.keys()));
    }
    if world.control.state.list::<Target>(&scope()).next().is_some() {
        return Err("a target is left".to_owned());
    }
    Ok(())
}
