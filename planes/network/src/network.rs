//! The network of one node: applies desired state, attaches and detaches tasks, adopts what is there, removes it all.

use crate::dns::{Names, Resolver, Zone};
use crate::elements::{self, BATCH_ELEMENTS_MAX, Element};
use crate::files::Files;
use crate::links::{self, GATEWAY};
use crate::model::{Model, Port};
use crate::names::{TABLE_PREFIX, check_task_id};
use crate::ruleset::{Ruleset, ruleset};
use crate::{
    InstanceId, NetworkDesired, NetworkError, flows, interface_name, listing, namespace, neighbours, nft, sysctl,
};
use honmaru_base::chain;
use honmaru_contract::node::TaskNetwork;
use rtnetlink::Handle;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// Where tasks find metadata and credentials. Ref: "Task metadata endpoint version 4", ECS developer guide.
pub const METADATA_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);

/// The port of [`METADATA_ADDRESS`]. Behind it is a port of our own on the gateway's address, so that instances do not
/// fight for one socket.
pub const METADATA_PORT: u16 = 80;

/// Where a network lives.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// The instance's state directory; it must exist. Ours is `node/network` and `node/netns` in it.
    pub state_dir: PathBuf,
}

/// The network of one node.
pub struct Network {
    id: InstanceId,
    files: Files,
    handle: Handle,
    connection: JoinHandle<()>,
    state: Mutex<State>,
    names: watch::Sender<Names>,
    metadata: std::sync::Mutex<Option<TcpListener>>,
}

struct State {
    model: Model,
    /// What the kernel has, as far as we know; nothing: load it all.
    loaded: Option<Ruleset>,
    resolvers: BTreeMap<Ipv4Addr, Resolver>,
    whole_loads: u64,
    replacements: u64,
    /// Nothing is put back any more.
    closed: bool,
}

impl Drop for Network {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Network {
    /// Opens the network of a state directory; changes nothing on the host yet. Must be called within a tokio runtime.
    pub fn new(config: NetworkConfig) -> Result<Self, NetworkError> {
        let files = Files::new(&config.state_dir);
        files.create()?;
        let former = files.metadata_port()?;
        let (listener, metadata_port) = listen_for_metadata(former)?;
        // On a full disk a restart that changes nothing needs no room.
        if former != Some(metadata_port) {
            files.put_metadata_port(metadata_port)?;
        }
        let model = Model {
            metadata_port,
            ..Model::default()
        };
        Self::open(config, files, model, Some(listener))
    }

    /// The network of a state directory that is to go, for [`Network::destroy`] alone: writes nothing, so that a full disk
    /// does not keep it.
    pub fn to_destroy(config: NetworkConfig) -> Result<Self, NetworkError> {
        let files = Files::new(&config.state_dir);
        Self::open(config, files, Model::default(), None)
    }

    fn open(
        config: NetworkConfig,
        files: Files,
        model: Model,
        listener: Option<TcpListener>,
    ) -> Result<Self, NetworkError> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|e| NetworkError::system("open an rtnetlink socket", e))?;
        Ok(Self {
            id: InstanceId::of(&config.state_dir),
            files,
            handle,
            connection: tokio::spawn(connection),
            state: Mutex::new(State {
                model,
                loaded: None,
                resolvers: BTreeMap::new(),
                whole_loads: 0,
                replacements: 0,
                closed: false,
            }),
            names: watch::Sender::default(),
            metadata: std::sync::Mutex::new(listener),
        })
    }

    /// The instance's id.
    pub fn id(&self) -> &InstanceId {
        &self.id
    }

    /// The non-blocking listener behind 169.254.170.2:80; the first caller gets it. The peer's address is the task's,
    /// and the anti-spoofing rule makes it trustworthy.
    pub fn take_metadata_listener(&self) -> Option<TcpListener> {
        self.metadata.lock().ok()?.take()
    }

    /// Figures for metrics. First, how often rules were changed by `nft`, where set elements were not enough: it grows
    /// with changes of groups and with each new combination of groups, not with tasks. Second, how often that failed
    /// and the whole table had to be replaced, which can lose a packet.
    pub async fn loads(&self) -> (u64, u64) {
        let state = self.state.lock().await;
        (state.whole_loads, state.replacements)
    }

    /// The path of a task's namespace.
    pub fn namespace(&self, task_id: &str) -> PathBuf {
        self.files.namespace(task_id)
    }

    /// Takes over what a former process left: tasks whose namespace and interface still exist keep their rules; what is
    /// left of others is removed. Gives the ids of the tasks that are attached. To be called once, before anything else.
    pub async fn adopt(&self) -> Result<Vec<String>, NetworkError> {
        let links = links::all(&self.handle).await?;
        let tasks = self.files.tasks()?;
        let (mut ports, mut given_back) = (BTreeMap::new(), BTreeSet::new());
        for (task_id, network) in tasks {
            let interface = interface_name(&self.id, &task_id);
            if links.contains_key(&interface) && namespace::exists(&self.files.namespace(&task_id)) {
                ports.insert(task_id, Port { interface, network });
            } else {
                given_back.insert(network.address);
                self.files.forget_task(&task_id)?;
            }
        }
        let mut state = self.state.lock().await;
        state.model.desired = self.files.desired()?.unwrap_or_default();
        state.model.ports = ports;
        sysctl::forward_on()?;
        self.load(&mut state).await?;
        if let Err(error) = self.reconcile(&mut state).await {
            // The tasks' rules stand, which is what matters now; `apply` tries the rest again and says so.
            warn!(err = %chain(&error), "failed to restore addresses, routes or resolvers");
        }
        forget_flows(given_back).await;
        let attached: Vec<String> = state.model.ports.keys().cloned().collect();
        for name in links
            .keys()
            .filter(|name| name.starts_with(&self.id.interface_prefix()))
        {
            if !state.model.ports.values().any(|port| port.interface == *name) {
                links::remove(&self.handle, name).await?;
            }
        }
        for task_id in self.files.namespaces()? {
            if !state.model.ports.contains_key(&task_id) {
                namespace::remove(&self.files.namespace(&task_id))?;
            }
        }
        Ok(attached)
    }

    /// Makes the host agree with the desired state. Repeating it changes nothing. Where one address or range fails, the
    /// rest is still applied, and the first failure is given back.
    pub async fn apply(&self, desired: &NetworkDesired) -> Result<(), NetworkError> {
        let mut state = self.state.lock().await;
        if state.model.desired != *desired {
            self.files.put_desired(desired)?;
            state.model.desired = desired.clone();
        }
        self.reconcile(&mut state).await
    }

    /// Gives a task its namespace, interface and rules, and the namespace's path. For a task that has them already, its
    /// security groups and the like are brought up to date. One caller at a time for each task.
    pub async fn attach(&self, task_id: &str, network: &TaskNetwork) -> Result<PathBuf, NetworkError> {
        check_task_id(task_id)?;
        let mac = links::parse_mac(&network.mac)?;
        let path = self.files.namespace(task_id);
        let interface = interface_name(&self.id, task_id);
        {
            // The rules stand before the interface does: there is no moment in which anything passes unchecked.
            let mut state = self.state.lock().await;
            check_free(&state.model, task_id, network)?;
            self.files.put_task(task_id, network)?;
            let port = Port {
                interface: interface.clone(),
                network: network.clone(),
            };
            state.model.ports.insert(task_id.to_owned(), port);
            self.load(&mut state).await?;
        }
        let present = namespace::exists(&path) && links::index(&self.handle, &interface).await?.is_some();
        if !present && let Err(error) = self.connect(&path, &interface, mac, network).await {
            if let Err(error) = self.detach(task_id).await {
                warn!(task_id, err = %chain(&error), "failed to clean up a task's network");
            }
            return Err(error);
        }
        if present {
            self.complete(&path, &interface, network).await?;
        }
        Ok(path)
    }

    /// Repeats the steps that a former process may not have come to.
    async fn complete(&self, path: &Path, interface: &str, network: &TaskNetwork) -> Result<(), NetworkError> {
        let index = links::index(&self.handle, interface)
            .await?
            .ok_or_else(|| NetworkError::NoLink(interface.to_owned()))?;
        if !network.published.is_empty() {
            sysctl::interface(interface, "route_localnet", "1")?;
        }
        let inside = namespace::enter(path).await?;
        links::configure_task_side(&inside.handle, network.address).await?;
        links::configure_host_side(&self.handle, index, network.address).await
    }

    async fn connect(
        &self,
        path: &Path,
        interface: &str,
        mac: [u8; 6],
        network: &TaskNetwork,
    ) -> Result<(), NetworkError> {
        links::remove(&self.handle, interface).await?;
        let (namespace, inside) = namespace::create(path).await?;
        let index = links::create_veth(&self.handle, interface, &namespace, mac).await?;
        sysctl::no_ipv6(interface);
        if !network.published.is_empty() {
            // Answers to connections from 127.0.0.1 come back through here; `spoof_hook` drops any other use of it.
            sysctl::interface(interface, "route_localnet", "1")?;
        }
        // The route to the task is the last: who called before somebody answers for the address would have to wait until
        // the kernel asks for it again, a second later. Ref: arp(7), retrans_time.
        links::configure_task_side(&inside.handle, network.address).await?;
        links::configure_host_side(&self.handle, index, network.address).await
    }

    /// Takes a task's interface, namespace and rules away. A task that has none is no error.
    pub async fn detach(&self, task_id: &str) -> Result<(), NetworkError> {
        check_task_id(task_id)?;
        links::remove(&self.handle, &interface_name(&self.id, task_id)).await?;
        namespace::remove(&self.files.namespace(task_id))?;
        let port = {
            let mut state = self.state.lock().await;
            let port = state.model.ports.remove(task_id);
            self.load(&mut state).await?;
            port
        };
        // After the rules: no packet can begin a flow with the address again.
        forget_flows(port.into_iter().map(|port| port.network.address).collect()).await;
        // Last of all: `adopt` finishes what was not finished.
        self.files.forget_task(task_id)
    }

    /// The task that has an address.
    pub async fn task_of(&self, address: Ipv4Addr) -> Option<String> {
        let state = self.state.lock().await;
        state
            .model
            .ports
            .iter()
            .find(|(_, port)| port.network.address == address)
            .map(|(id, _)| id.clone())
    }

    /// Loads the table, whatever the kernel has of it.
    pub(crate) async fn restore(&self) -> Result<(), NetworkError> {
        let mut state = self.state.lock().await;
        if state.closed {
            return Ok(());
        }
        state.loaded = None;
        self.load(&mut state).await
    }

    /// Excepts tasks from what other firewalls drop by default.
    pub(crate) async fn except(&self) -> Result<(), NetworkError> {
        let state = self.state.lock().await;
        if state.closed {
            return Ok(());
        }
        neighbours::except(&self.id).await
    }

    /// Puts back forwarding, addresses and routes where they are missing.
    pub(crate) async fn look_after(&self) -> Result<(), NetworkError> {
        let mut state = self.state.lock().await;
        if state.closed {
            return Ok(());
        }
        self.reconcile_host(&mut state).await?.result()
    }

    /// Stops serving DNS, so that a next process can, and putting things back. All else stays as it is on the host.
    pub async fn close(&self) {
        {
            let mut state = self.state.lock().await;
            state.resolvers.clear();
            state.closed = true;
        }
        drop(self.take_metadata_listener());
    }

    /// Removes everything that this instance has on the host: interfaces, namespaces, addresses, routes, the table, the
    /// kernel parameter (when no other instance is left), our files. Goes on after a failure and gives the first one.
    pub async fn destroy(&self) -> Result<(), NetworkError> {
        let mut state = self.state.lock().await;
        state.resolvers.clear();
        state.closed = true;
        let mut given_back: BTreeSet<Ipv4Addr> = state.model.desired.host_addresses.keys().copied().collect();
        given_back.extend(state.model.ports.values().map(|port| port.network.address));
        state.model.ports.clear();
        state.model.desired = NetworkDesired::default();
        state.loaded = None;
        let mut first = First::default();
        match links::all(&self.handle).await {
            Ok(links) => {
                for name in links
                    .keys()
                    .filter(|name| name.starts_with(&self.id.interface_prefix()))
                {
                    first.keep(links::remove(&self.handle, name).await);
                }
            }
            Err(error) => first.keep(Err(error)),
        }
        match self.files.namespaces() {
            Ok(names) => names
                .iter()
                .for_each(|name| first.keep(namespace::remove(&self.files.namespace(name)))),
            Err(error) => first.keep(Err(error)),
        }
        first.keep(self.reconcile_addresses(&state.model).await);
        first.keep(self.reconcile_routes(&state.model).await);
        first.keep(nft::delete_table(&self.id.table()).await);
        first.keep(neighbours::withdraw(&self.id).await);
        forget_flows(given_back).await;
        match nft::tables().await {
            Ok(tables) if tables.iter().any(|name| name.starts_with(TABLE_PREFIX)) => {}
            Ok(_) => first.keep(sysctl::forward_restore()),
            Err(error) => first.keep(Err(error)),
        }
        first.keep(self.files.remove_all());
        first.result()
    }

    async fn reconcile(&self, state: &mut State) -> Result<(), NetworkError> {
        let mut first = self.reconcile_host(state).await?;
        let wanted = state.model.desired.resolvers();
        self.names.send_replace(Names {
            zone: Arc::new(Zone(state.model.desired.dns.clone())),
            resolvers: Arc::new(wanted.clone()),
        });
        state.resolvers.retain(|address, _| wanted.contains(address));
        for address in wanted {
            if let Entry::Vacant(place) = state.resolvers.entry(address) {
                match Resolver::start(address, self.names.subscribe()) {
                    Ok(resolver) => {
                        place.insert(resolver);
                    }
                    Err(error) => first.keep(Err(error)),
                }
            }
        }
        first.result()
    }

    async fn reconcile_host(&self, state: &mut State) -> Result<First, NetworkError> {
        sysctl::forward_on()?;
        // The rules first: an address or route must not be reachable before it is protected.
        self.load(state).await?;
        let mut first = First::default();
        first.keep(self.reconcile_routes(&state.model).await);
        first.keep(self.reconcile_addresses(&state.model).await);
        Ok(first)
    }

    /// Brings the kernel's ruleset to the model: by elements where that is enough, else by `nft`; in one transaction.
    async fn load(&self, state: &mut State) -> Result<(), NetworkError> {
        let wanted = ruleset(&self.id, &state.model);
        if let Some(loaded) = &state.loaded
            && loaded.same_structure(&wanted)
        {
            let delete: Vec<&Element> = loaded.elements.difference(&wanted.elements).collect();
            let add: Vec<&Element> = wanted.elements.difference(&loaded.elements).collect();
            if delete.is_empty() && add.is_empty() {
                return Ok(());
            }
            if delete.len() + add.len() <= BATCH_ELEMENTS_MAX {
                match elements::change(&self.id.table(), &delete, &add) {
                    Ok(()) => {
                        state.loaded = Some(wanted);
                        return Ok(());
                    }
                    Err(error) => warn!(err = %error, "failed to change set elements, loading the whole ruleset"),
                }
            }
        }
        let before = match state.loaded.take() {
            Some(loaded) => Some(loaded),
            None => self.listed().await?,
        };
        state.whole_loads += 1;
        if let Err(error) = nft::load(&wanted.script_from(&before.unwrap_or_default())).await {
            warn!(err = %chain(&error), "failed to change the ruleset, replacing the table");
            state.replacements += 1;
            nft::load(&wanted.script()).await?;
        }
        info!(table = %self.id.table(), elements = wanted.elements.len(), "changed the ruleset");
        state.loaded = Some(wanted);
        Ok(())
    }

    /// What is in the kernel, if a former process left something. A table with something foreign in it is removed.
    async fn listed(&self) -> Result<Option<Ruleset>, NetworkError> {
        let table = self.id.table();
        let Some(listing) = nft::list_table(&table).await? else {
            return Ok(None);
        };
        let found = listing::parse(&table, &listing);
        if found.is_none() {
            warn!(table, "the nft table is not as we make it; replacing it");
            nft::delete_table(&table).await?;
        }
        Ok(found)
    }

    async fn reconcile_routes(&self, model: &Model) -> Result<(), NetworkError> {
        let wanted = model.desired.ranges();
        let present = links::unreachable_routes(&self.handle, &self.id).await?;
        let mut first = First::default();
        for net in wanted.iter().filter(|net| !present.contains_key(net)) {
            first.keep(links::add_unreachable(&self.handle, &self.id, *net).await);
        }
        for (net, route) in present {
            if !wanted.contains(&net) {
                first.keep(links::remove_route(&self.handle, route).await);
            }
        }
        first.result()
    }

    async fn reconcile_addresses(&self, model: &Model) -> Result<(), NetworkError> {
        let mut wanted = model.desired.resolvers();
        wanted.extend(model.desired.host_addresses.keys());
        let present = links::host_addresses(&self.handle, &self.id).await?;
        let (mut first, mut given_back) = (First::default(), BTreeSet::new());
        for address in wanted.iter().filter(|address| !present.contains_key(address)) {
            first.keep(links::add_host_address(&self.handle, &self.id, *address).await);
        }
        for (address, message) in present {
            if !wanted.contains(&address) {
                first.keep(links::remove_host_address(&self.handle, message).await);
                given_back.insert(address);
            }
        }
        forget_flows(given_back).await;
        first.result()
    }
}

/// Forgets the flows of addresses that are given back. Where that fails, the next owner of an address may meet packets
/// of its former owner's connections, for which the kernel's time-outs are the limit: told, and no reason to keep a task.
async fn forget_flows(addresses: BTreeSet<Ipv4Addr>) {
    if addresses.is_empty() {
        return;
    }
    let forgotten = tokio::task::spawn_blocking(move || flows::forget(&addresses)).await;
    match forgotten.map_err(io::Error::other).and_then(|result| result) {
        Ok(count) => tracing::debug!(count, "forgot the flows of addresses that were given back"),
        Err(error) => warn!(%error, "failed to forget the flows of addresses that were given back"),
    }
}

/// The first of several failures.
#[derive(Default)]
struct First(Option<NetworkError>);

impl First {
    fn keep(&mut self, result: Result<(), NetworkError>) {
        if let Err(error) = result {
            warn!(err = %chain(&error), "a step of the network failed");
            self.0.get_or_insert(error);
        }
    }

    fn result(self) -> Result<(), NetworkError> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Refuses an address or a published port that another task has.
fn check_free(model: &Model, task_id: &str, network: &TaskNetwork) -> Result<(), NetworkError> {
    for (other, port) in model.ports.iter().filter(|(other, _)| *other != task_id) {
        if port.network.address == network.address {
            return Err(NetworkError::AddressTaken {
                address: network.address,
                task_id: other.clone(),
            });
        }
        let taken = network.published.iter().find(|p| {
            port.network
                .published
                .iter()
                .any(|q| p.host_port == q.host_port && p.protocol == q.protocol)
        });
        if let Some(published) = taken {
            return Err(NetworkError::PortTaken {
                port: published.host_port,
                task_id: other.clone(),
            });
        }
    }
    Ok(())
}

/// Listens on the gateway's address, on the former port when it is free, so that a restart changes no rule. The address
/// need not exist yet (IP_FREEBIND): it comes with the first task.
fn listen_for_metadata(former: Option<u16>) -> Result<(TcpListener, u16), NetworkError> {
    let listen = |port: u16| -> io::Result<(TcpListener, u16)> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_freebind_v4(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddrV4::new(GATEWAY, port).into())?;
        socket.listen(256)?;
        let listener = TcpListener::from(socket);
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    };
    former
        .and_then(|port| listen(port).ok())
        .map_or_else(|| listen(0), Ok)
        .map_err(|e| NetworkError::system(format!("listen on {GATEWAY} for task metadata"), e))
}
