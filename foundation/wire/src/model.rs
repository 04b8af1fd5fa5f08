//! A service's model as the engine reads it: an arena of shapes, with every reference resolved to an index.
//!
//! Not here: reading botocore's JSON (`model/load.rs`).
//! Invariant: a [`ShapeId`] made by the loader is within its service's arena.

mod load;
mod uri;

pub use load::ModelError;
pub(crate) use uri::UriTemplate;

use crate::pattern::Pattern;
use std::collections::HashMap;
use std::fmt;

/// A protocol of AWS's APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// JSON in the body, the operation in `X-Amz-Target`; 1.0 and 1.1 differ in the content type only.
    AwsJson,
    /// Form in, XML out, the operation in `Action`.
    AwsQuery,
    /// Like awsQuery, with its own names and error document.
    Ec2Query,
    /// JSON bodies on HTTP paths.
    RestJson,
    /// XML bodies on HTTP paths.
    RestXml,
    /// Smithy RPC v2: CBOR bodies on `/service/S/operation/O`.
    RpcV2Cbor,
}

impl Protocol {
    /// The protocol of botocore's name for it.
    pub fn from_botocore(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::AwsJson,
            "query" => Self::AwsQuery,
            "ec2" => Self::Ec2Query,
            "rest-json" => Self::RestJson,
            "rest-xml" => Self::RestXml,
            "smithy-rpc-v2-cbor" => Self::RpcV2Cbor,
            _ => return None,
        })
    }

    /// Whether requests are routed by method and path.
    pub(crate) fn is_rest(self) -> bool {
        matches!(self, Self::RestJson | Self::RestXml)
    }
}

/// The index of a shape in its service's arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShapeId(u32);

impl ShapeId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a member travels in HTTP. Only REST protocols bind anything elsewhere than to the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    Body,
    Header,
    HeaderMap,
    Uri,
    Query,
    Status,
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimestampFormat {
    Iso8601,
    HttpDate,
    EpochSeconds,
}

/// An XML namespace, with the prefix that it is declared for.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub prefix: Option<Box<str>>,
    pub uri: Box<str>,
}

/// A reference from a structure, list or map to another shape, and its traits there.
#[derive(Debug)]
pub(crate) struct Member {
    pub name: Box<str>,
    pub target: ShapeId,
    pub location: Location,
    /// `locationName`, where it differs from the name.
    pub wire: Option<Box<str>>,
    /// The name in forms, where it differs from the name.
    pub form: Option<Box<str>>,
    pub flattened: bool,
    pub xml_attribute: bool,
    pub required: bool,
    pub json_value: bool,
    /// Whether an event's message has this member as its whole payload.
    pub event_payload: bool,
    pub timestamp: Option<TimestampFormat>,
    pub namespace: Option<Box<Namespace>>,
}

impl Member {
    pub fn wire(&self) -> &str {
        self.wire.as_deref().unwrap_or(&self.name)
    }

    pub fn form(&self) -> &str {
        self.form.as_deref().unwrap_or(&self.name)
    }

    /// Whether a request has the member in its body.
    pub fn in_request_body(&self) -> bool {
        self.location == Location::Body
    }

    /// Whether an answer has the member in its body: also when requests bind it to the path or the query.
    pub fn in_response_body(&self) -> bool {
        matches!(self.location, Location::Body | Location::Uri | Location::Query)
    }
}

/// Finds members by one of their names: a table of places, open and at most half full. Every member of every tree is
/// looked up several times in a call.
#[derive(Debug)]
pub(crate) struct Index {
    /// A member's number from 1 on, or 0.
    slots: Box<[u16]>,
    shift: u32,
}

impl Index {
    /// An index of names; each one's place is its number. Of equal names the first is found.
    pub fn new<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Self {
        let bits = (2 * names.len()).max(2).next_power_of_two().trailing_zeros();
        let mut index = Self {
            slots: vec![0; 1 << bits].into(),
            shift: u64::BITS - bits,
        };
        for (name, number) in names.zip(1..) {
            let free = index.probes(name).find(|at| index.slots.get(*at) == Some(&0));
            if let Some(slot) = free.and_then(|at| index.slots.get_mut(at)) {
                *slot = number;
            }
        }
        index
    }

    /// The slots where a name may be, in the order in which they are taken.
    fn probes(&self, name: &str) -> impl Iterator<Item = usize> + use<> {
        // Ref: Knuth, The Art of Computer Programming 3, 6.4: multiplicative hashing with the golden ratio.
        let first = digest(name).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift;
        let mask = self.slots.len() - 1;
        (first as usize..).take(self.slots.len()).map(move |at| at & mask)
    }

    /// The places of the names that this may be.
    fn candidates(&self, name: &str) -> impl Iterator<Item = usize> {
        let taken = self.probes(name).map_while(|at| match self.slots.get(at) {
            Some(0) | None => None,
            Some(number) => Some(usize::from(*number)),
        });
        taken.map(|number| number - 1)
    }
}

/// Of the length and the last eight bytes: members that begin alike are many, such that end alike are few.
fn digest(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let end = match bytes.last_chunk() {
        Some(end) => u64::from_le_bytes(*end),
        None => bytes.iter().fold(0, |end, byte| end << 8 | u64::from(*byte)),
    };
    end ^ (bytes.len() as u64) << 56
}

/// The members of a structure, with an index for each way to name them.
#[derive(Debug)]
pub(crate) struct Structure {
    pub members: Box<[Member]>,
    by_name: Index,
    by_wire: Index,
    by_form: Index,
    /// The members that must be there.
    required: Box<[u16]>,
    /// The member that is the whole body of a REST message.
    pub payload: Option<u16>,
    pub union: bool,
    /// Whether the members are the events of a stream.
    pub event_stream: bool,
}

impl Structure {
    pub fn by_name(&self, name: &str) -> Option<&Member> {
        self.find(&self.by_name, name, |member| &member.name)
    }

    pub fn by_wire(&self, name: &str) -> Option<&Member> {
        self.find(&self.by_wire, name, Member::wire)
    }

    pub fn by_form(&self, name: &str) -> Option<&Member> {
        self.find(&self.by_form, name, Member::form)
    }

    fn find<'s>(&'s self, index: &Index, name: &str, of: impl Fn(&'s Member) -> &'s str) -> Option<&'s Member> {
        index
            .candidates(name)
            .filter_map(|at| self.members.get(at))
            .find(|member| of(member) == name)
    }

    /// The members that must be there.
    pub fn required(&self) -> impl Iterator<Item = &Member> {
        self.required.iter().filter_map(|at| self.members.get(usize::from(*at)))
    }

    /// Whether any member is one of those.
    pub fn has(&self, of: fn(&Member) -> bool) -> bool {
        self.members.iter().any(of)
    }

    pub fn payload(&self) -> Option<&Member> {
        self.members.get(usize::from(self.payload?))
    }
}

/// What a shape is.
#[derive(Debug)]
pub(crate) enum Kind {
    Structure(Structure),
    List(Box<Member>),
    Map(Box<(Member, Member)>),
    String,
    Boolean,
    Byte,
    Short,
    Integer,
    Long,
    Float,
    Blob,
    Timestamp,
    /// Any JSON.
    Document,
}

impl Kind {
    /// Whether it is a whole number, and one that has the value. Ref: Smithy 2.0, "Simple types".
    pub fn is_whole(&self, value: i64) -> bool {
        match self {
            Self::Byte => i8::try_from(value).is_ok(),
            Self::Short => i16::try_from(value).is_ok(),
            Self::Integer => i32::try_from(value).is_ok(),
            Self::Long => true,
            _ => false,
        }
    }
}

/// What the model demands of a value.
#[derive(Debug, Default)]
pub(crate) struct Constraints {
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub pattern: Option<Pattern>,
    pub values: Box<[Box<str>]>,
    /// Whether no item of a list may be there twice.
    pub unique: bool,
}

/// What makes a structure an error.
#[derive(Debug, Default)]
pub(crate) struct ErrorTrait {
    pub code: Option<Box<str>>,
    pub status: Option<u16>,
    pub fault: bool,
}

/// One shape of a model.
#[derive(Debug)]
pub(crate) struct Shape {
    pub name: Box<str>,
    pub kind: Kind,
    pub constraints: Option<Box<Constraints>>,
    pub error: Option<Box<ErrorTrait>>,
    pub flattened: bool,
    pub sensitive: bool,
    pub timestamp: Option<TimestampFormat>,
    /// The type of a payload, where the model names one.
    pub media_type: Option<Box<str>>,
    pub wire: Option<Box<str>>,
    pub namespace: Option<Box<Namespace>>,
}

impl Shape {
    pub fn structure(&self) -> Option<&Structure> {
        match &self.kind {
            Kind::Structure(structure) => Some(structure),
            _ => None,
        }
    }
}

/// One operation of a service.
#[derive(Debug)]
pub struct Op {
    pub(crate) name: Box<str>,
    /// The name on the wire, where it differs (`CreateDistribution2020_05_31`).
    pub(crate) wire: Box<str>,
    pub(crate) method: Box<str>,
    pub(crate) uri: UriTemplate,
    pub(crate) status: u16,
    pub(crate) input: Option<ShapeId>,
    pub(crate) output: Option<ShapeId>,
    pub(crate) result_wrapper: Option<Box<str>>,
    pub(crate) unsigned: bool,
    pub(crate) deprecated: bool,
    /// The members with the pagination token in input and output.
    pub(crate) paging: Option<(Box<str>, Box<str>)>,
    /// The member that makes a repeated call one call.
    pub(crate) idempotency_token: Option<Box<str>>,
}

impl Op {
    /// The operation's name in the model, for example `RunTask`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The members that hold the pagination token in input and output, when the operation has pages.
    pub fn paging(&self) -> Option<(&str, &str)> {
        self.paging.as_ref().map(|(input, output)| (&**input, &**output))
    }

    /// The input's member with the idempotency token, when the model names one.
    pub fn idempotency_token(&self) -> Option<&str> {
        self.idempotency_token.as_deref()
    }

    /// Whether a call needs no signature (`authtype: none`), as AssumeRoleWithWebIdentity.
    pub fn unsigned(&self) -> bool {
        self.unsigned
    }
}

/// A service: its protocols, operations and shapes.
pub struct Service {
    pub(crate) name: Box<str>,
    pub(crate) signing_name: Box<str>,
    pub(crate) version: Box<str>,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) json_version: Box<str>,
    pub(crate) target_prefix: Box<str>,
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) query_compatible: bool,
    shapes: Vec<Shape>,
    ops: Vec<Op>,
    op_by_name: HashMap<Box<str>, u32>,
    error_by_code: HashMap<Box<str>, ShapeId>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// botocore's name of the service, for example `elbv2`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name in a signature's credential scope and in IAM actions' requests, for example `elasticloadbalancing`.
    pub fn signing_name(&self) -> &str {
        &self.signing_name
    }

    /// What stands before the dot in `X-Amz-Target`; empty for services without awsJson.
    pub fn target_prefix(&self) -> &str {
        &self.target_prefix
    }

    /// The protocols that the service speaks, the preferred one first.
    pub fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// All modelled operations.
    pub fn operations(&self) -> impl Iterator<Item = &Op> {
        self.ops.iter()
    }

    /// The operation of that name.
    pub fn operation(&self, name: &str) -> Option<&Op> {
        self.ops.get(usize::try_from(*self.op_by_name.get(name)?).ok()?)
    }

    #[cfg(test)]
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&str, &Pattern)> {
        self.shapes
            .iter()
            .filter_map(|shape| Some((&*shape.name, shape.constraints.as_ref()?.pattern.as_ref()?)))
    }

    pub(crate) fn shape(&self, id: ShapeId) -> &Shape {
        // The loader made the id from this arena.
        &self.shapes[id.index()]
    }

    pub(crate) fn target(&self, member: &Member) -> &Shape {
        self.shape(member.target)
    }

    /// The error shape of a shape name or of an error code.
    pub(crate) fn error_shape(&self, code: &str) -> Option<(ShapeId, &Shape)> {
        self.error_by_code.get(code).map(|id| (*id, self.shape(*id)))
    }

    /// The element name of a member in XML.
    pub(crate) fn xml_name<'s>(&'s self, member: &'s Member) -> &'s str {
        let shape = self.target(member);
        member.wire.as_deref().or(shape.wire.as_deref()).unwrap_or(&member.name)
    }
}
