//! Which node a task goes to. Memory is never promised twice. CPU is: a task's quota still limits it, so the price of
//! a full machine is waiting, not failure.

use crate::model::{LastStatus, Node, Task, node_scope};
use honmaru_machine::State;
use std::collections::BTreeMap;

/// How often a node's CPU units may be promised. A machine for development has few processors and many idle tasks;
/// 16 leaves room for 128 tasks of 0.25 vCPU on two processors.
pub const CPU_OVERSUBSCRIPTION: u64 = 16;

/// What no node has enough of. Ref: ECS `Failure.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// `RESOURCE:CPU`.
    Cpu,
    /// `RESOURCE:MEMORY`.
    Memory,
}

impl Shortage {
    /// The reason in a `failures[]` entry.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Cpu => "RESOURCE:CPU",
            Self::Memory => "RESOURCE:MEMORY",
        }
    }

    /// The word in a service's event.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cpu => "CPU units",
            Self::Memory => "memory",
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Load {
    cpu_max: u64,
    memory_max: u64,
    cpu: u64,
    memory: u64,
    tasks: u64,
}

/// What is reserved on each node.
#[derive(Debug, Clone, Default)]
pub struct Usage(BTreeMap<String, Load>);

impl Usage {
    /// The reservations of all tasks that are not over.
    pub fn of(state: &State) -> Self {
        let mut loads: BTreeMap<String, Load> = state
            .list::<Node>(&node_scope())
            .map(|(name, node)| {
                let load = Load {
                    cpu_max: u64::from(node.cpu_units) * CPU_OVERSUBSCRIPTION,
                    memory_max: u64::from(node.memory_mib),
                    ..Load::default()
                };
                (name.to_owned(), load)
            })
            .collect();
        for (_, _, task) in state.all::<Task>() {
            let holds = task.last_status < LastStatus::Deprovisioning;
            if let Some(load) = task
                .node
                .as_ref()
                .filter(|_| holds)
                .and_then(|node| loads.get_mut(node))
            {
                load.add(task.reserved);
            }
        }
        Self(loads)
    }

    /// Whether any node is known.
    pub fn has_nodes(&self) -> bool {
        !self.0.is_empty()
    }

    /// Reserves CPU units and MiB on the node with the fewest tasks that has room. Nothing when no node is known yet:
    /// the task waits for the first one.
    pub fn place(&mut self, reserved: (u32, u32)) -> Result<Option<String>, Shortage> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (cpu, memory) = (u64::from(reserved.0), u64::from(reserved.1));
        let fits = |load: &Load| load.memory + memory <= load.memory_max && load.cpu + cpu <= load.cpu_max;
        let best = self
            .0
            .iter_mut()
            .filter(|(_, load)| fits(load))
            .min_by_key(|(_, load)| load.tasks);
        if let Some((name, load)) = best {
            load.add(reserved);
            return Ok(Some(name.clone()));
        }
        let has_memory = self.0.values().any(|load| load.memory + memory <= load.memory_max);
        Err(if has_memory { Shortage::Cpu } else { Shortage::Memory })
    }

    /// Reserves CPU units and MiB on one node.
    pub fn place_on(&mut self, node: &str, reserved: (u32, u32)) -> Result<(), Shortage> {
        let load = self.0.get_mut(node).ok_or(Shortage::Memory)?;
        if load.memory + u64::from(reserved.1) > load.memory_max {
            return Err(Shortage::Memory);
        }
        if load.cpu + u64::from(reserved.0) > load.cpu_max {
            return Err(Shortage::Cpu);
        }
        load.add(reserved);
        Ok(())
    }
}

impl Load {
    fn add(&mut self, reserved: (u32, u32)) {
        self.cpu += u64::from(reserved.0);
        self.memory += u64::from(reserved.1);
        self.tasks += 1;
    }
}
