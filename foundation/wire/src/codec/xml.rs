//! XML: bodies of restXml requests, and the answers of restXml, awsQuery and ec2Query.

use super::{Decoded, Malformed, scalar};
use crate::limits::{DEPTH_MAX, XML_ELEMENTS_MAX};
use crate::model::{Kind, Location, Member, Namespace, Service, Shape, Structure, TimestampFormat};
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::{Map, Value};

/// One element of a document; its children are indices, so that a deep document is dropped without recursion.
#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<usize>,
}

/// A parsed document: all elements, the root first.
struct Document(Vec<Element>);

fn unreadable() -> Malformed {
    Malformed::new("The XML you provided was not well-formed or did not validate against our published schema")
}

impl Document {
    /// Reads a document; none when there is no element. Document types are refused: their entities could grow it.
    fn parse(body: &[u8]) -> Decoded<Option<Self>> {
        let body = std::str::from_utf8(body).map_err(|_| unreadable())?;
        let mut reader = Reader::from_str(body);
        let mut elements: Vec<Element> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        loop {
            match reader.read_event().map_err(|_| unreadable())? {
                Event::Start(start) => {
                    if open.len() >= DEPTH_MAX {
                        return Err(Malformed::too_deep());
                    }
                    let at = Self::add(&mut elements, &open, &start)?;
                    open.push(at);
                }
                Event::Empty(start) => {
                    Self::add(&mut elements, &open, &start)?;
                }
                Event::End(_) => {
                    open.pop().ok_or_else(unreadable)?;
                }
                Event::Text(text) => Self::push(&mut elements, &open, &text.decode().map_err(|_| unreadable())?),
                Event::CData(text) => Self::push(&mut elements, &open, &text.decode().map_err(|_| unreadable())?),
                Event::GeneralRef(reference) => {
                    let c = character(&reference).ok_or_else(unreadable)?;
                    Self::push(&mut elements, &open, c.encode_utf8(&mut [0; 4]));
                }
                Event::DocType(_) => return Err(unreadable()),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        if !open.is_empty() {
            return Err(unreadable());
        }
        Ok((!elements.is_empty()).then_some(Self(elements)))
    }

    fn add(elements: &mut Vec<Element>, open: &[usize], start: &BytesStart<'_>) -> Decoded<usize> {
        let at = elements.len();
        if at >= XML_ELEMENTS_MAX {
            return Err(Malformed::new("The request has too many XML elements"));
        }
        match open.last().and_then(|parent| elements.get_mut(*parent)) {
            Some(parent) => parent.children.push(at),
            None if at > 0 => return Err(unreadable()),
            None => {}
        }
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| unreadable())?;
            let key = std::str::from_utf8(attribute.key.as_ref()).map_err(|_| unreadable())?;
            attributes.push((
                key.to_owned(),
                attribute.unescape_value().map_err(|_| unreadable())?.into_owned(),
            ));
        }
        let name = std::str::from_utf8(start.local_name().into_inner())
            .map_err(|_| unreadable())?
            .to_owned();
        elements.push(Element {
            name,
            attributes,
            ..Element::default()
        });
        Ok(at)
    }

    fn push(elements: &mut [Element], open: &[usize], text: &str) {
        if let Some(element) = open.last().and_then(|at| elements.get_mut(*at)) {
            element.text.push_str(text);
        }
    }

    fn children<'d>(&'d self, element: &'d Element, name: &'d str) -> impl Iterator<Item = &'d Element> {
        element
            .children
            .iter()
            .filter_map(|at| self.0.get(*at))
            .filter(move |child| child.name == name)
    }
}

/// The character of `&lt;` or `&#10;`.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    match &*reference.decode().ok()? {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

/// Reads a body; `member` is the payload member when the body is one. None for an empty document.
pub(crate) fn decode(service: &Service, shape: &Shape, member: Option<&Member>, body: &[u8]) -> Decoded<Option<Value>> {
    let Some(document) = Document::parse(body)? else {
        return Ok(None);
    };
    let Some(root) = document.0.first() else {
        return Ok(None);
    };
    let flattened = member.is_some_and(|member| member.flattened);
    Decoder {
        service,
        document: &document,
    }
    .value(shape, flattened, &[root])
    .map(Some)
}

struct Decoder<'d> {
    service: &'d Service,
    document: &'d Document,
}

impl Decoder<'_> {
    fn member(&self, member: &Member, elements: &[&Element]) -> Decoded<Value> {
        self.value(self.service.target(member), member.flattened, elements)
    }

    /// The value of one element, or of the several that a flattened list or map has. The document's depth is bounded,
    /// and every level of recursion goes down one element.
    fn value(&self, shape: &Shape, flattened: bool, elements: &[&Element]) -> Decoded<Value> {
        let Some(first) = elements.first() else {
            return Ok(Value::Null);
        };
        let flat = flattened || shape.flattened;
        // Only flattened lists and maps may repeat their element; only simple values have text.
        if elements.len() > 1 && !(flat && matches!(shape.kind, Kind::List(_) | Kind::Map(_))) {
            return Err(unreadable());
        }
        if matches!(shape.kind, Kind::Structure(_)) && !first.text.trim().is_empty() {
            return Err(unreadable());
        }
        match &shape.kind {
            Kind::Structure(structure) => self.structure(structure, first),
            Kind::List(element) => {
                let name = element.wire.as_deref().unwrap_or("member");
                let items: Vec<&Element> = if flat {
                    elements.to_vec()
                } else {
                    self.document.children(first, name).collect()
                };
                let list: Decoded<Vec<Value>> = items.into_iter().map(|item| self.member(element, &[item])).collect();
                Ok(Value::Array(list?))
            }
            Kind::Map(entry) => {
                let (key, value) = &**entry;
                let entries: Vec<&Element> = if flat {
                    elements.to_vec()
                } else {
                    self.document.children(first, "entry").collect()
                };
                let mut object = Map::new();
                for entry in entries {
                    let name = self.document.children(entry, key.wire()).next();
                    let below = self.document.children(entry, value.wire()).next();
                    if let (Some(name), Some(below)) = (name, below) {
                        object.insert(name.text.clone(), self.member(value, &[below])?);
                    }
                }
                Ok(Value::Object(object))
            }
            _ => scalar::from_text(shape, &first.text),
        }
    }

    fn structure(&self, structure: &Structure, element: &Element) -> Decoded<Value> {
        let mut object = Map::new();
        for member in structure
            .members
            .iter()
            .filter(|member| member.location == Location::Body)
        {
            if member.xml_attribute {
                if let Some((_, text)) = element.attributes.iter().find(|(key, _)| key == member.wire()) {
                    let value = scalar::from_text(self.service.target(member), text)?;
                    object.insert(String::from(&*member.name), value);
                }
                continue;
            }
            // Some models write the prefix into the name (`xsi:type`).
            let name = self.service.xml_name(member);
            let name = name.rsplit_once(':').map_or(name, |(_, local)| local);
            let elements: Vec<&Element> = self.document.children(element, name).collect();
            if !elements.is_empty() {
                object.insert(String::from(&*member.name), self.member(member, &elements)?);
            }
        }
        Ok(Value::Object(object))
    }
}

/// The first line of a document.
pub(crate) const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Writes answers. `item` names the elements of lists that have no name of their own.
pub(crate) struct Encoder<'s> {
    pub service: &'s Service,
    pub item: &'static str,
}

impl Encoder<'_> {
    /// Writes the value of a member (or of the whole answer, without one) as an element, or several when flattened.
    pub fn value(&self, name: &str, member: Option<&Member>, shape: &Shape, value: &Value, out: &mut String) {
        if value.is_null() {
            return;
        }
        let flat = shape.flattened || member.is_some_and(|member| member.flattened);
        let namespace = member
            .and_then(|member| member.namespace.as_deref())
            .or(shape.namespace.as_deref());
        match (&shape.kind, value) {
            (Kind::Structure(structure), Value::Object(object)) => {
                self.open(name, namespace, Some((structure, object)), out);
                self.members(structure, object, out);
                close(name, out);
            }
            (Kind::List(element), Value::Array(items)) => {
                let target = self.service.target(element);
                if flat {
                    for item in items {
                        self.value(name, Some(element), target, item, out);
                    }
                } else {
                    self.open(name, namespace, None, out);
                    for item in items {
                        self.value(
                            element.wire.as_deref().unwrap_or(self.item),
                            Some(element),
                            target,
                            item,
                            out,
                        );
                    }
                    close(name, out);
                }
            }
            (Kind::Map(pair), Value::Object(object)) => {
                let (key, value) = &**pair;
                let entry = if flat { name } else { "entry" };
                if !flat {
                    self.open(name, namespace, None, out);
                }
                for (text, below) in object {
                    self.open(entry, None, None, out);
                    self.open(key.wire(), key.namespace.as_deref(), None, out);
                    escape(text, out);
                    close(key.wire(), out);
                    self.value(value.wire(), Some(value), self.service.target(value), below, out);
                    close(entry, out);
                }
                if !flat {
                    close(name, out);
                }
            }
            (_, value) => {
                self.open(name, namespace, None, out);
                let timestamp = member.and_then(|member| member.timestamp);
                escape(&scalar::to_text(shape, timestamp, TimestampFormat::Iso8601, value), out);
                close(name, out);
            }
        }
    }

    /// Writes the members of a structure that belong in the body, in the model's order.
    pub fn members(&self, structure: &Structure, object: &Map<String, Value>, out: &mut String) {
        let written = |member: &&Member| member.in_response_body() && !member.xml_attribute;
        for member in structure.members.iter().filter(written) {
            if let Some(value) = object.get(&*member.name) {
                let name = self.service.xml_name(member);
                self.value(name, Some(member), self.service.target(member), value, out);
            }
        }
    }

    /// Writes a start tag, with the attributes of a structure.
    pub fn open(
        &self,
        name: &str,
        namespace: Option<&Namespace>,
        attributes: Option<(&Structure, &Map<String, Value>)>,
        out: &mut String,
    ) {
        out.push('<');
        out.push_str(name);
        if let Some(namespace) = namespace {
            out.push_str(" xmlns");
            if let Some(prefix) = &namespace.prefix {
                out.push(':');
                out.push_str(prefix);
            }
            out.push_str("=\"");
            escape(&namespace.uri, out);
            out.push('"');
        }
        if let Some((structure, object)) = attributes {
            for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
                if let Some(member) = structure.by_name(name).filter(|member| member.xml_attribute) {
                    out.push(' ');
                    out.push_str(member.wire());
                    out.push_str("=\"");
                    let shape = self.service.target(member);
                    escape(
                        &scalar::to_text(shape, member.timestamp, TimestampFormat::Iso8601, value),
                        out,
                    );
                    out.push('"');
                }
            }
        }
        out.push('>');
    }
}

/// Writes an end tag.
pub(crate) fn close(name: &str, out: &mut String) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// Writes text or an attribute's value. Line ends and other controls are written as references, as XML readers would
/// change them; what XML 1.0 cannot hold at all becomes U+FFFD.
pub(crate) fn escape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| {
        matches!(
            c,
            '&' | '<' | '>' | '"' | '\u{85}' | '\u{2028}' | '\u{fffe}' | '\u{ffff}'
        ) || c < ' '
    }) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = tail.chars();
        match chars.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('"') => out.push_str("&quot;"),
            Some('\n') => out.push_str("&#xA;"),
            Some('\r') => out.push_str("&#xD;"),
            Some('\t') => out.push('\t'),
            Some('\u{85}') => out.push_str("&#x85;"),
            Some('\u{2028}') => out.push_str("&#x2028;"),
            Some(_) => out.push('\u{fffd}'),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}
