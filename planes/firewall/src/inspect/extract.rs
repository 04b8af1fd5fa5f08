//! Takes the component that a statement looks at out of a request.

use super::body;
use super::json::{JsonPart, walk};
use super::text::Text;
use crate::RequestView;
use crate::rule::{Fallback, Field, JsonField, JsonInvalid, JsonWanted, MapField, MapWanted, Oversize, Part};
use crate::transform::Transformation;

/// How much of a body is inspected. Ref: AWS WAF developer guide, oversize components: 8 KB behind an ALB.
pub(crate) const BODY_BYTES_MAX: usize = 8_192;
/// How much of headers and cookies is inspected. Ref: the same page.
const MAP_BYTES_MAX: usize = 8_192;
/// How many headers and cookies are inspected. Ref: the same page.
const MAP_ITEMS_MAX: usize = 200;

/// A component: its texts, or that the statement is decided without looking at them.
#[derive(Debug, Default)]
pub(crate) struct Extracted<'r> {
    pub(crate) texts: Vec<Text<'r>>,
    pub(crate) decided: Option<bool>,
}

impl<'r> Extracted<'r> {
    fn texts(texts: Vec<Text<'r>>) -> Self {
        Self { texts, decided: None }
    }

    fn one(text: impl Into<Option<Text<'r>>>) -> Self {
        Self::texts(text.into().into_iter().collect())
    }

    fn oversize(mut self, is_oversize: bool, handling: Oversize) -> Self {
        if is_oversize {
            self.decided = match handling {
                Oversize::Continue => self.decided,
                Oversize::Match => Some(true),
                Oversize::NoMatch => Some(false),
            };
        }
        self
    }

    fn or(mut self, fallback: Fallback) -> Self {
        if self.texts.is_empty() {
            self.decided = Some(fallback == Fallback::Match);
        }
        self
    }
}

/// The inspected part of the body, and whether there is more.
pub(crate) fn inspected_body<'r>(request: &RequestView<'r>) -> (&'r [u8], bool) {
    match request.body.get(..BODY_BYTES_MAX) {
        Some(begin) => (begin, request.body_truncated || request.body.len() > BODY_BYTES_MAX),
        None => (request.body, request.body_truncated),
    }
}

pub(crate) fn extract<'r>(field: &Field, request: &RequestView<'r>) -> Extracted<'r> {
    let raw = |text: &'r str| Text::Raw(text.as_bytes());
    match field {
        Field::SingleHeader(name) => Extracted::one(single_header(request, name)),
        Field::SingleQueryArgument(name, pre) => Extracted::texts(
            arguments(request, pre)
                .into_iter()
                .filter(|(key, _)| is_named(key, name))
                .map(|(_, value)| value.unwrap_or(Text::Raw(&[])))
                .collect(),
        ),
        Field::AllQueryArguments(pre) => Extracted::texts(
            arguments(request, pre)
                .into_iter()
                .filter_map(|(_, value)| value)
                .collect(),
        ),
        Field::ArgumentTexts => Extracted::texts(
            arguments(request, &[])
                .into_iter()
                .flat_map(|(key, value)| match value {
                    // A name as programs use them needs no look.
                    Some(value) if body::is_plain(&key) => [Some(value), None],
                    Some(value) => [Some(value), Some(key)],
                    None => [Some(key), None],
                })
                .flatten()
                .collect(),
        ),
        Field::UriPath => Extracted::one(raw(request.path)),
        Field::UriFragment(fallback) => {
            let fragment = [request.query, request.path]
                .into_iter()
                .find_map(|text| text.split_once('#'));
            Extracted::one(fragment.map(|(_, fragment)| raw(fragment))).or(*fallback)
        }
        Field::QueryString => Extracted::one((!request.query.is_empty()).then(|| raw(request.query))),
        Field::Method => Extracted::one(raw(request.method)),
        Field::Body(handling) => {
            let (body, more) = inspected_body(request);
            Extracted::one((!body.is_empty()).then_some(Text::Raw(body))).oversize(more, *handling)
        }
        Field::JsonBody(wanted) => json_body(wanted, request),
        Field::Headers(wanted) => headers(wanted, request),
        Field::Cookies(wanted) => cookies(wanted, request),
        Field::HeaderOrder(handling) => header_order(*handling, request),
        Field::Ja3(fallback) => Extracted::one(request.ja3.map(raw)).or(*fallback),
        Field::Ja4(fallback) => Extracted::one(request.ja4.map(raw)).or(*fallback),
        Field::BodyTexts => Extracted::texts(body::texts(request)),
    }
}

/// A header's value; several of the same name are joined with a comma. Ref: RFC 9110, section 5.3.
fn single_header<'r>(request: &RequestView<'r>, name: &str) -> Option<Text<'r>> {
    let mut found = request
        .headers
        .iter()
        .filter(|(have, _)| have.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value);
    let Some(first) = found.next() else {
        return request.header(name).map(Text::Raw);
    };
    let mut joined: Option<Vec<u8>> = None;
    // Cookies are joined with a semicolon. Ref: RFC 9113, section 8.2.3.
    let separator: &[u8] = if name == "cookie" { b"; " } else { b"," };
    for next in found {
        let joined = joined.get_or_insert_with(|| first.to_vec());
        joined.extend(separator);
        joined.extend(next);
    }
    Some(joined.map_or(Text::Raw(first), Text::from))
}

/// Whether an argument has that name, as it came or decoded: backends see no difference.
fn is_named(key: &[u8], name: &str) -> bool {
    key.eq_ignore_ascii_case(name.as_bytes())
        || Transformation::UrlDecode
            .apply(key)
            .is_some_and(|decoded| decoded.eq_ignore_ascii_case(name.as_bytes()))
}

type Argument<'r> = (Text<'r>, Option<Text<'r>>);

/// The query string's arguments, not decoded: name, and value when there is a `=`.
fn arguments<'r>(request: &RequestView<'r>, pre: &[Transformation]) -> Vec<Argument<'r>> {
    let mut changed: Option<Vec<u8>> = None;
    for transformation in pre {
        let text = changed.as_deref().unwrap_or(request.query.as_bytes());
        if let Some(next) = transformation.apply(text) {
            changed = Some(next);
        }
    }
    match changed {
        None => pairs(request.query.as_bytes(), b'&', &|slice| Text::Raw(slice)),
        Some(query) => pairs(&query, b'&', &|slice| Text::from(slice.to_vec())),
    }
}

fn pairs<'q, 'r>(query: &'q [u8], separator: u8, text: &dyn Fn(&'q [u8]) -> Text<'r>) -> Vec<Argument<'r>> {
    query
        .split(|b| *b == separator)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.iter().position(|b| *b == b'=') {
            Some(at) => {
                let (name, value) = pair.split_at(at);
                (text(name), Some(text(value.get(1..).unwrap_or_default())))
            }
            None => (text(pair), None),
        })
        .collect()
}

/// A name and its value.
type Pair<'r> = (&'r [u8], &'r [u8]);

/// Name, value, cut at the limits; and whether something was cut.
fn limited<'r>(items: impl Iterator<Item = Pair<'r>>) -> (Vec<Pair<'r>>, bool) {
    let (mut kept, mut left) = (Vec::new(), MAP_BYTES_MAX);
    for (name, value) in items {
        if kept.len() == MAP_ITEMS_MAX || left == 0 || name.len() > left {
            return (kept, true);
        }
        left -= name.len();
        if let Some(begin) = value.get(..left).filter(|_| value.len() > left) {
            kept.push((name, begin));
            return (kept, true);
        }
        left -= value.len();
        kept.push((name, value));
    }
    (kept, false)
}

fn map<'r>(
    wanted: &MapField,
    items: impl Iterator<Item = (&'r [u8], &'r [u8])>,
    same: fn(&[u8], &[u8]) -> bool,
) -> Extracted<'r> {
    let (items, cut) = limited(items);
    let mut texts = Vec::new();
    for (name, value) in items {
        let wanted_here = match &wanted.wanted {
            MapWanted::All => true,
            MapWanted::Included(names) => names.iter().any(|wanted| same(wanted.as_bytes(), name)),
            MapWanted::Excluded(names) => !names.iter().any(|unwanted| same(unwanted.as_bytes(), name)),
        };
        if wanted_here {
            if wanted.part != Part::Value {
                texts.push(Text::Raw(name));
            }
            if wanted.part != Part::Key {
                texts.push(Text::Raw(value));
            }
        }
    }
    Extracted::texts(texts).oversize(cut, wanted.oversize)
}

fn headers<'r>(wanted: &MapField, request: &RequestView<'r>) -> Extracted<'r> {
    map(
        wanted,
        request.headers.iter().map(|(name, value)| (name.as_bytes(), *value)),
        |a, b| a.eq_ignore_ascii_case(b),
    )
}

/// The cookies: name and value.
pub(crate) fn cookie_pairs<'r>(request: &RequestView<'r>) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
    let headers: &'r [(&'r str, &'r [u8])] = request.headers;
    headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"))
        .flat_map(|(_, value)| value.split(|b| *b == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.iter().position(|b| *b == b'=') {
            Some(at) => {
                let (name, value) = pair.split_at(at);
                (name, value.get(1..).unwrap_or_default())
            }
            None => (pair, &[] as &[u8]),
        })
}

fn cookies<'r>(wanted: &MapField, request: &RequestView<'r>) -> Extracted<'r> {
    map(wanted, cookie_pairs(request), |a, b| a == b)
}

fn header_order<'r>(handling: Oversize, request: &RequestView<'r>) -> Extracted<'r> {
    let names = request.headers.iter().map(|(name, _)| (name.as_bytes(), &[] as &[u8]));
    let (names, cut) = limited(names);
    let joined = names
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(&b':')
        .to_ascii_lowercase();
    Extracted::one((!joined.is_empty()).then(|| Text::from(joined))).oversize(cut, handling)
}

fn json_body<'r>(wanted: &JsonField, request: &RequestView<'r>) -> Extracted<'r> {
    let (body, more) = inspected_body(request);
    if body.is_empty() {
        return Extracted::default();
    }
    let mut texts = Vec::new();
    let whole = walk(body, &mut |path, part, text| {
        let asked = match wanted.part {
            Part::All => true,
            Part::Key => part == JsonPart::Key,
            Part::Value => part == JsonPart::Value,
        };
        if asked && is_included(&wanted.wanted, path) {
            texts.push(text);
        }
    });
    let mut extracted = Extracted::texts(texts);
    if whole.is_err() {
        match wanted.invalid {
            JsonInvalid::Prefix => {}
            JsonInvalid::Match => extracted.decided = Some(true),
            JsonInvalid::NoMatch => extracted.decided = Some(false),
            JsonInvalid::AsText => extracted.texts = vec![Text::Raw(body)],
        }
    }
    extracted.oversize(more, wanted.oversize)
}

/// Whether `path` is at or below one of the wanted JSON pointers. Ref: RFC 6901.
fn is_included(wanted: &JsonWanted, path: &[String]) -> bool {
    let JsonWanted::Included(pointers) = wanted else {
        return true;
    };
    pointers.iter().any(|pointer| {
        let mut below = path.iter();
        pointer.split('/').skip(1).all(|token| {
            let token = token.replace("~1", "/").replace("~0", "~");
            below.next().is_some_and(|segment| *segment == token)
        })
    })
}
