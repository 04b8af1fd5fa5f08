//! Interfaces, addresses and routes over rtnetlink.

use crate::NetworkError;
use crate::names::InstanceId;
use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;

/// Every task's gateway: an address on the host side of its veth pair. It answers ARP itself, so no proxy is needed.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The interface's name inside the task.
const INSIDE: &str = "eth0";

/// The loopback interface's index, in every namespace.
const LO: u32 = 1;

/// The protocol number of our routes, an unassigned one (`H`). Ref: linux/rtnetlink.h.
const ROUTE_PROTOCOL: RouteProtocol = RouteProtocol::Other(72);

const EEXIST: i32 = libc::EEXIST;

fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.code.map(|code| -code.get()),
        _ => None,
    }
}

fn is(error: &rtnetlink::Error, codes: &[i32]) -> bool {
    errno(error).is_some_and(|code| codes.contains(&code))
}

/// All interfaces of the namespace by name.
pub(crate) async fn all(handle: &Handle) -> Result<BTreeMap<String, u32>, NetworkError> {
    let mut links = handle.link().get().execute();
    let mut found = BTreeMap::new();
    while let Some(link) = links
        .try_next()
        .await
        .map_err(|e| NetworkError::netlink("list interfaces", e))?
    {
        let name = link.attributes.iter().find_map(|a| match a {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        });
        found.extend(name.map(|name| (name, link.header.index)));
    }
    Ok(found)
}

/// The index of an interface, if there is one.
pub(crate) async fn index(handle: &Handle, name: &str) -> Result<Option<u32>, NetworkError> {
    match handle
        .link()
        .get()
        .match_name(name.to_owned())
        .execute()
        .try_next()
        .await
    {
        Ok(link) => Ok(link.map(|link| link.header.index)),
        Err(error) if is(&error, &[libc::ENODEV]) => Ok(None),
        Err(error) => Err(NetworkError::netlink(format!("look for interface {name}"), error)),
    }
}

/// Makes the pair, the task's end born in its namespace; both are still down. Gives the host side's index.
pub(crate) async fn create_veth(
    handle: &Handle,
    name: &str,
    namespace: &File,
    mac: [u8; 6],
) -> Result<u32, NetworkError> {
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(INSIDE.to_owned())
        .address(mac.to_vec())
        .setns_by_fd(namespace.as_raw_fd())
        .build();
    let message = LinkVeth::new(name, INSIDE)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    handle
        .link()
        .add(message)
        .execute()
        .await
        .map_err(|e| NetworkError::netlink(format!("make interface {name}"), e))?;
    index(handle, name)
        .await?
        .ok_or_else(|| NetworkError::NoLink(name.to_owned()))
}

/// Removes an interface; none is no error.
pub(crate) async fn remove(handle: &Handle, name: &str) -> Result<(), NetworkError> {
    let Some(index) = index(handle, name).await? else {
        return Ok(());
    };
    match handle.link().del(index).execute().await {
        Ok(()) => Ok(()),
        Err(error) if is(&error, &[libc::ENODEV]) => Ok(()),
        Err(error) => Err(NetworkError::netlink(format!("remove interface {name}"), error)),
    }
}

async fn up(handle: &Handle, index: u32) -> Result<(), NetworkError> {
    let message = LinkUnspec::new_with_index(index).up().build();
    handle
        .link()
        .set(message)
        .execute()
        .await
        .map_err(|e| NetworkError::netlink("bring an interface up", e))
}

async fn add_address(handle: &Handle, index: u32, address: Ipv4Addr) -> Result<(), NetworkError> {
    let added = handle.address().add(index, IpAddr::V4(address), 32).execute().await;
    ignore(added, &[EEXIST], || format!("add address {address}"))
}

async fn add_route(handle: &Handle, what: &str, route: RouteMessage) -> Result<(), NetworkError> {
    let added = handle.route().add(route).execute().await;
    ignore(added, &[EEXIST], || format!("add {what}"))
}

fn ignore(
    result: Result<(), rtnetlink::Error>,
    codes: &[i32],
    what: impl FnOnce() -> String,
) -> Result<(), NetworkError> {
    match result {
        Err(error) if is(&error, codes) => Ok(()),
        other => other.map_err(|e| NetworkError::netlink(what(), e)),
    }
}

fn link_route(address: Ipv4Addr, index: u32) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(address, 32)
        .output_interface(index)
        .scope(RouteScope::Link)
        .build()
}

/// Brings the host side up, with the gateway's address and the route to the task.
pub(crate) async fn configure_host_side(handle: &Handle, index: u32, task: Ipv4Addr) -> Result<(), NetworkError> {
    add_address(handle, index, GATEWAY).await?;
    up(handle, index).await?;
    add_route(handle, "the route to the task", link_route(task, index)).await
}

/// Brings the task's side up: loopback, its address, the way out.
pub(crate) async fn configure_task_side(handle: &Handle, task: Ipv4Addr) -> Result<(), NetworkError> {
    up(handle, LO).await?;
    let index = index(handle, INSIDE)
        .await?
        .ok_or_else(|| NetworkError::NoLink(INSIDE.to_owned()))?;
    add_address(handle, index, task).await?;
    up(handle, index).await?;
    add_route(handle, "the route to the gateway", link_route(GATEWAY, index)).await?;
    let default = RouteMessageBuilder::<Ipv4Addr>::new()
        .gateway(GATEWAY)
        .output_interface(index)
        .pref_source(task)
        .build();
    add_route(handle, "the default route", default).await
}

/// The addresses on `lo` that carry our label.
pub(crate) async fn host_addresses(
    handle: &Handle,
    id: &InstanceId,
) -> Result<BTreeMap<Ipv4Addr, AddressMessage>, NetworkError> {
    let label = id.address_label();
    let mut addresses = handle.address().get().set_link_index_filter(LO).execute();
    let mut found = BTreeMap::new();
    while let Some(message) = addresses
        .try_next()
        .await
        .map_err(|e| NetworkError::netlink("list addresses", e))?
    {
        let ours = message
            .attributes
            .iter()
            .any(|a| matches!(a, AddressAttribute::Label(l) if *l == label));
        let address = message.attributes.iter().find_map(|a| match a {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
            _ => None,
        });
        if let (true, Some(address)) = (ours, address) {
            found.insert(address, message);
        }
    }
    Ok(found)
}

/// Adds an address to `lo` under our label; one that something else put there is an error.
pub(crate) async fn add_host_address(handle: &Handle, id: &InstanceId, address: Ipv4Addr) -> Result<(), NetworkError> {
    let mut request = handle.address().add(LO, IpAddr::V4(address), 32);
    request
        .message_mut()
        .attributes
        .push(AddressAttribute::Label(id.address_label()));
    match request.execute().await {
        Err(error) if is(&error, &[EEXIST]) => Err(NetworkError::HostAddressTaken(address)),
        other => other.map_err(|e| NetworkError::netlink(format!("add address {address} to lo"), e)),
    }
}

/// Removes an address of ours from `lo`.
pub(crate) async fn remove_host_address(handle: &Handle, message: AddressMessage) -> Result<(), NetworkError> {
    let removed = handle.address().del(message).execute().await;
    ignore(removed, &[libc::EADDRNOTAVAIL], || {
        "remove an address from lo".to_owned()
    })
}

/// Our unreachable routes: they mark the VPCs' ranges as taken and keep packets to absent tasks on this host.
pub(crate) async fn unreachable_routes(
    handle: &Handle,
    id: &InstanceId,
) -> Result<BTreeMap<Ipv4Net, RouteMessage>, NetworkError> {
    let metric = id.route_metric();
    let mut filter = RouteMessage::default();
    filter.header.address_family = AddressFamily::Inet;
    let mut routes = handle.route().get(filter).execute();
    let mut found = BTreeMap::new();
    while let Some(route) = routes
        .try_next()
        .await
        .map_err(|e| NetworkError::netlink("list routes", e))?
    {
        let ours = route.header.protocol == ROUTE_PROTOCOL
            && route
                .attributes
                .iter()
                .any(|a| matches!(a, RouteAttribute::Priority(p) if *p == metric));
        let net = route.attributes.iter().find_map(|a| match a {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                Ipv4Net::new(*address, route.header.destination_prefix_length).ok()
            }
            _ => None,
        });
        if let (true, Some(net)) = (ours, net) {
            found.insert(net, route);
        }
    }
    Ok(found)
}

/// Adds an unreachable route for a VPC's range.
pub(crate) async fn add_unreachable(handle: &Handle, id: &InstanceId, net: Ipv4Net) -> Result<(), NetworkError> {
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(net.network(), net.prefix_len())
        .protocol(ROUTE_PROTOCOL)
        .kind(RouteType::Unreachable)
        .priority(id.route_metric())
        .build();
    add_route(handle, "a VPC's route", route).await
}

/// Removes one of our unreachable routes.
pub(crate) async fn remove_route(handle: &Handle, route: RouteMessage) -> Result<(), NetworkError> {
    let removed = handle.route().del(route).execute().await;
    ignore(removed, &[libc::ESRCH], || "remove a VPC's route".to_owned())
}

/// Six bytes from `02:00:5e:10:00:01`.
pub(crate) fn parse_mac(text: &str) -> Result<[u8; 6], NetworkError> {
    let wrong = || NetworkError::Mac(text.to_owned());
    let bytes: Vec<u8> = text
        .split(':')
        .map(|part| {
            if part.len() == 2 {
                u8::from_str_radix(part, 16).ok()
            } else {
                None
            }
        })
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    bytes.try_into().map_err(|_| wrong())
}
