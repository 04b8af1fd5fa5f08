//! The event queue: what happens when, in one order.

use super::check::{self, Memory};
use super::control::{Control, scope};
use super::edge::{CHECK_INTERVAL_MS, Edge, Request};
use super::node::{Node, Step};
use honmaru_base::{Rng, SeededRng, Time};
use honmaru_contract::edge::{Applied, EdgeConfig, FromEdge};
use honmaru_contract::node::{FromNode, ToNode};
use honmaru_ecs::Service;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Between two requests of the simulated users.
const REQUEST_EVERY_MS: i64 = 100;
/// How long a request is on its way at most.
const REQUEST_MS_MAX: u64 = 700;
/// How long a broken connection takes to come back at most.
const RECONNECT_MS_MAX: u64 = 3_000;

/// Something that will happen.
#[derive(Debug)]
enum Event {
    Wake,
    ToNode(u64, ToNode),
    FromNode(u64, FromNode),
    ToEdge(u64, Box<EdgeConfig>),
    EdgeApplied(u64, Box<EdgeConfig>),
    FromEdge(u64, FromEdge),
    NodeStep(u64, Step),
    NodeConnects,
    EdgeConnects,
    Checks,
    Request,
    RequestEnds(Request),
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Wake => "a timer",
            Self::ToNode(..) => "a message to the node",
            Self::FromNode(..) => "a message of the node",
            Self::ToEdge(..) => "a message to the edge",
            Self::EdgeApplied(..) => "the edge applied its configuration",
            Self::FromEdge(..) => "a message of the edge",
            Self::NodeStep(..) => "a step of a task",
            Self::NodeConnects => "the node connected",
            Self::EdgeConnects => "the edge connected",
            Self::Checks => "health checks",
            Self::Request => "a request",
            Self::RequestEnds(_) => "the end of a request",
        }
    }

    /// Whether control may have changed its state.
    fn reaches_control(&self) -> bool {
        match self {
            Self::Wake | Self::FromNode(..) | Self::FromEdge(..) | Self::NodeConnects | Self::EdgeConnects => true,
            Self::ToNode(..)
            | Self::ToEdge(..)
            | Self::EdgeApplied(..)
            | Self::NodeStep(..)
            | Self::Checks
            | Self::Request
            | Self::RequestEnds(_) => false,
        }
    }
}

/// Everything.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) control: Control,
    pub(super) node: Node,
    pub(super) edge: Edge,
    pub(super) rng: SeededRng,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    events: BTreeMap<u64, Event>,
    next_event: u64,
    woken_for: Option<Time>,
    /// The number of the connection to each plane; messages of an older one are lost. Nothing: it is down.
    node_link: Option<u64>,
    edge_link: Option<u64>,
    links: u64,
    /// When the last message of each direction arrives: streams keep their order.
    arrives: [Time; 5],
    memory: Memory,
    /// Whether requests are counted at this moment.
    pub(super) counting: bool,
    /// How many healthy tasks the service must never have less of, while that is checked.
    pub(super) floor: Option<usize>,
    pub(super) requests: u64,
    pub(super) failed_requests: u64,
    /// When and why the last request failed.
    pub(super) last_failure: String,
    pub(super) steps: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            now: Time::from_ms(1_700_000_000_000),
            control: Control::new(seed),
            node: Node::new(),
            edge: Edge::default(),
            rng: SeededRng::from_u64(seed),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            woken_for: None,
            node_link: None,
            edge_link: None,
            links: 0,
            arrives: [Time::default(); 5],
            memory: Memory::default(),
            counting: false,
            floor: None,
            requests: 0,
            failed_requests: 0,
            last_failure: String::new(),
            steps: 0,
        };
        world.after(1, Event::NodeConnects);
        world.after(1, Event::EdgeConnects);
        world.after(CHECK_INTERVAL_MS, Event::Checks);
        world.after(REQUEST_EVERY_MS, Event::Request);
        world
    }

    /// The one service.
    pub(super) fn service(&self) -> Option<&Service> {
        self.control.state.get::<Service>(&scope(), "default/app")
    }

    fn after(&mut self, ms: i64, event: Event) {
        self.at(self.now + ms, event);
    }

    fn at(&mut self, at: Time, event: Event) {
        let number = self.next_event;
        self.next_event += 1;
        self.queue.push(Reverse((at, number)));
        self.events.insert(number, event);
    }

    /// When a message sent now arrives: later than the one before it.
    fn arrival(&mut self, direction: usize) -> Time {
        let at = self.now + 1 + self.rng.below(30) as i64;
        let at = at.max(self.arrives[direction]);
        self.arrives[direction] = at;
        at
    }

    /// Lets `ms` pass; stops at the first thing that must not be, or when `until` holds.
    pub(super) fn run(&mut self, ms: i64, until: impl Fn(&World) -> bool) -> Result<bool, String> {
        let end = self.now + ms;
        while let Some(Reverse((at, number))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            let Some(event) = self.events.remove(&number) else {
                continue;
            };
            self.now = self.now.max(at);
            self.steps += 1;
            let (name, decides) = (event.name(), event.reaches_control());
            self.happen(event).map_err(|err| format!("{err}\n  after {name}"))?;
            if decides {
                self.check().map_err(|err| format!("{err}\n  after {name}"))?;
            }
            if until(self) {
                return Ok(true);
            }
        }
        self.now = end;
        Ok(until(self))
    }

    fn check(&mut self) -> Result<(), String> {
        let mut memory = std::mem::take(&mut self.memory);
        let result = check::check(self, &mut memory);
        self.memory = memory;
        result
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Wake => {
                self.woken_for = None;
                self.settle()?;
            }
            Event::ToNode(link, message) => {
                if self.node_link == Some(link) {
                    let steps = self.node.hear(&message, &mut self.rng)?;
                    self.plan(steps);
                }
            }
            Event::FromNode(link, message) => {
                if self.node_link == Some(link) {
                    self.control.hear_node(self.now, &message);
                    self.settle()?;
                }
            }
            Event::NodeStep(boot, step) => {
                if self.node.boot_id == boot {
                    let (report, next) = self.node.step(self.now, &step, &mut self.rng);
                    self.plan(next);
                    if report {
                        self.report(&step.task);
                    }
                }
            }
            Event::ToEdge(link, config) => {
                if self.edge_link == Some(link) {
                    let at = self.arrival(3);
                    self.at(at, Event::EdgeApplied(link, config));
                }
            }
            Event::EdgeApplied(link, config) => {
                let generation = config.generation;
                self.edge.apply(*config);
                self.tell_control(
                    link,
                    FromEdge::Applied(Applied {
                        generation,
                        failed: Vec::new(),
                    }),
                );
            }
            Event::FromEdge(link, message) => {
                if self.edge_link == Some(link) {
                    self.control.hear_edge(self.now, &message);
                    self.settle()?;
                }
            }
            Event::NodeConnects => {
                self.links += 1;
                self.node_link = Some(self.links);
                self.control.node_sent = None;
                let observed = self.node.observed();
                let at = self.arrival(1);
                self.at(at, Event::FromNode(self.links, observed));
                self.settle()?;
            }
            Event::EdgeConnects => {
                self.links += 1;
                self.edge_link = Some(self.links);
                self.control.edge_sent = None;
                let all = self.edge.all();
                self.tell_control(self.links, FromEdge::Health(all));
                self.settle()?;
            }
            Event::Checks => {
                let changed = self.edge.check(&self.node);
                if let Some(link) = self.edge_link.filter(|_| !changed.is_empty()) {
                    self.tell_control(link, FromEdge::HealthChanged(changed));
                }
                self.after(CHECK_INTERVAL_MS, Event::Checks);
            }
            Event::Request => {
                let sent = self.edge.send(&self.node);
                match sent {
                    Some(request) => {
                        let ms = 1 + self.rng.below(REQUEST_MS_MAX) as i64;
                        self.after(ms, Event::RequestEnds(request));
                    }
                    None => self.failed("nobody took it"),
                }
                self.requests += u64::from(self.counting);
                self.after(REQUEST_EVERY_MS, Event::Request);
            }
            Event::RequestEnds(request) => {
                let answered = self
                    .node
                    .at(request.address)
                    .is_some_and(|task| task.spec.task_id == request.task);
                if !answered {
                    let what = format!("task {} at {} was gone", request.task, request.address);
                    self.failed(&what);
                }
            }
        }
        Ok(())
    }

    fn failed(&mut self, why: &str) {
        if self.counting {
            self.failed_requests += 1;
            self.last_failure = format!("{} {why}", self.now.as_ms() % 10_000_000);
        }
    }

    fn plan(&mut self, steps: impl IntoIterator<Item = (i64, Step)>) {
        let boot = self.node.boot_id;
        for (ms, step) in steps {
            self.after(ms, Event::NodeStep(boot, step));
        }
    }

    fn report(&mut self, task: &str) {
        if let (Some(link), Some(seen)) = (self.node_link, self.node.task(task)) {
            let at = self.arrival(1);
            self.at(at, Event::FromNode(link, FromNode::Task(Box::new(seen))));
        }
    }

    fn tell_control(&mut self, link: u64, message: FromEdge) {
        let at = self.arrival(2);
        self.at(at, Event::FromEdge(link, message));
    }

    /// Control does all that is to be done now, and tells the planes.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.control.settle(self.now)?;
        if let Some(link) = self.node_link
            && let Some(message) = self.control.for_node()
        {
            let at = self.arrival(0);
            self.at(at, Event::ToNode(link, message));
        }
        if let Some(link) = self.edge_link
            && let Some(config) = self.control.for_edge()
        {
            let at = self.arrival(4);
            self.at(at, Event::ToEdge(link, Box::new(config)));
        }
        if let Some(at) = self.control.next_wake()
            && self.woken_for.is_none_or(|known| known > at || known <= self.now)
        {
            self.woken_for = Some(at);
            self.at(at.max(self.now), Event::Wake);
        }
        Ok(())
    }

    /// Control dies and comes back from its records; both connections break.
    pub(super) fn restart_control(&mut self) -> Result<(), String> {
        self.control.restart()?;
        self.woken_for = None;
        self.break_node_link();
        self.break_edge_link();
        self.settle()
    }

    /// The node's connection breaks; what was on its way is lost.
    pub(super) fn break_node_link(&mut self) {
        if self.node_link.take().is_some() {
            let ms = 10 + self.rng.below(RECONNECT_MS_MAX) as i64;
            self.after(ms, Event::NodeConnects);
        }
    }

    /// The edge's connection breaks; what was on its way is lost.
    pub(super) fn break_edge_link(&mut self) {
        if self.edge_link.take().is_some() {
            let ms = 10 + self.rng.below(RECONNECT_MS_MAX) as i64;
            self.after(ms, Event::EdgeConnects);
        }
    }

    /// The machine reboots.
    pub(super) fn reboot(&mut self) {
        let remembers = self.rng.below(2) == 0;
        self.node.reboot(remembers);
        self.break_node_link();
    }

    /// A running container ends by itself.
    pub(super) fn crash_one(&mut self) {
        let ids: Vec<String> = self.node.tasks.keys().cloned().collect();
        if ids.is_empty() {
            return;
        }
        let id = &ids[self.rng.below(ids.len() as u64) as usize];
        if self.node.crash(id) {
            self.report(&id.clone());
        }
    }
}
