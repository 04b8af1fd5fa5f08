//! The matrix: for each layer who secures it, and what that means. The words are for people who know no AWS.

use crate::control::Owner;

/// A layer of what runs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The room and the machine.
    Facility,
    /// The operating system.
    Kernel,
    /// What keeps tasks apart.
    Isolation,
    /// The APIs.
    ControlPlane,
    /// What starts containers.
    Runtime,
    /// Load balancers, TLS, the firewall for requests.
    Edge,
    /// Who may talk to whom.
    Network,
    /// What images are made of.
    BaseImage,
    /// The app itself.
    Code,
    /// Who may do what.
    Access,
    /// Passwords, keys, tokens.
    Secrets,
    /// What must not be lost.
    Data,
    /// What was said and done.
    Logs,
}

/// A row of the matrix.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Which.
    pub layer: Layer,
    /// Its name.
    pub name: &'static str,
    /// Whose it is, in the main.
    pub owner: Owner,
    /// What Honmaru does.
    pub platform: &'static str,
    /// What is left to the owner.
    pub yours: &'static str,
}

/// What must be said first. Ref: the research's honesty rule.
pub const ONE_KERNEL: &str = "All containers share the kernel of this machine. A task that asks for the launch type FARGATE \
runs with container isolation here, not in a virtual machine of its own as on AWS. A hole in the kernel is a way out of \
every container: keep the machine updated, and do not run programs of strangers on it.";

/// The matrix, from the ground up.
pub const LAYERS: [Row; 13] = [
    Row {
        layer: Layer::Facility,
        name: "room, machine, disks",
        owner: Owner::You,
        platform: "nothing: it runs on what it is given",
        yours: "who can touch the machine, power, encryption of the disks",
    },
    Row {
        layer: Layer::Kernel,
        name: "operating system and kernel",
        owner: Owner::You,
        platform: "tells you when a restart is pending",
        yours: "install updates, restart the machine after a new kernel",
    },
    Row {
        layer: Layer::Isolation,
        name: "isolation between tasks",
        owner: Owner::Shared,
        platform: "namespaces, a user range of its own, a system call filter, few capabilities and limits for each task",
        yours: "decide whose programs run here; give them a user that is not root and no more rights than they need",
    },
    Row {
        layer: Layer::ControlPlane,
        name: "the APIs and their state",
        owner: Owner::Platform,
        platform: "checks every call's signature and rights, runs without root, keeps its files from others",
        yours: "upgrade the binary; keep the endpoint off networks that you do not trust",
    },
    Row {
        layer: Layer::Runtime,
        name: "container runtime",
        owner: Owner::Platform,
        platform: "brings its own runtime, and starts exactly the image that was deployed",
        yours: "nothing",
    },
    Row {
        layer: Layer::Edge,
        name: "load balancer, TLS, request firewall",
        owner: Owner::Shared,
        platform: "balances, ends TLS, inspects requests with the rules that are set",
        yours: "a certificate for your names, the rules, which ports are open",
    },
    Row {
        layer: Layer::Network,
        name: "who may talk to whom",
        owner: Owner::Shared,
        platform: "drops what no security group allows; `deploy` opens the app to its load balancer only",
        yours: "every rule that you add",
    },
    Row {
        layer: Layer::BaseImage,
        name: "base images and their packages",
        owner: Owner::You,
        platform: "keeps images unchanged and behind a login",
        yours: "rebuild with updated base images; look for known holes: no scanner is built in yet",
    },
    Row {
        layer: Layer::Code,
        name: "your app and its libraries",
        owner: Owner::You,
        platform: "rolls back a version that does not become healthy",
        yours: "the code, its libraries, its logins",
    },
    Row {
        layer: Layer::Access,
        name: "keys, roles and policies",
        owner: Owner::You,
        platform: "evaluates policies at every call; gives each app a role that may do nothing",
        yours: "who has keys, how old they are, what they may do",
    },
    Row {
        layer: Layer::Secrets,
        name: "passwords and tokens of your apps",
        owner: Owner::You,
        platform: "keeps them out of the audit trail; its own keys lie in files that only it can read",
        yours: "keep them out of images and variables, change them; the disk's encryption",
    },
    Row {
        layer: Layer::Data,
        name: "data and backups",
        owner: Owner::You,
        platform: "loses no acknowledged write when a process dies; tells you when the disk gets full",
        yours: "backups of the state directory and of your apps' data, and trying to restore them",
    },
    Row {
        layer: Layer::Logs,
        name: "logs and the audit trail",
        owner: Owner::Shared,
        platform: "collects what apps say, records every call",
        yours: "read them, decide how long they are kept",
    },
];
