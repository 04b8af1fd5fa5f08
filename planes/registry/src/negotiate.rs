//! In which form a client that pulls by tag wants a manifest: as it was pushed where the client takes that, else in the
//! image's other form where it takes that one. Who asks by digest gets what has that digest.
//! Ref: RFC 9110 section 12.5.1.

use honmaru_images::{media_type, other_form};
use http::{HeaderMap, header};

/// Manifests that were before schema 2. Nothing is stored or converted so; clients that name them name what they take.
const SCHEMA_1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// What to send of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// What was pushed.
    Stored,
    /// The image's other form, if this manifest has one.
    Other,
    /// Nothing: the client takes neither.
    Neither,
}

/// Reads `Accept`, all of them. One that is not there, or has no word about manifests, asks for nothing.
pub(crate) fn form(headers: &HeaderMap, stored: &str) -> Form {
    let other = other_form(stored);
    let (mut as_stored, mut as_other) = (Said::default(), Said::default());
    let mut is_said = false;
    let values = headers.get_all(header::ACCEPT).iter();
    let entries = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for entry in entries {
        let mut parts = entry.split(';');
        let range = parts.next().unwrap_or_default().trim();
        let is_taken = parts.all(|parameter| !is_zero_weight(parameter));
        if is_taken && range.eq_ignore_ascii_case(stored) {
            return Form::Stored;
        }
        as_stored.hear(range, stored, is_taken);
        if let Some(other) = other {
            as_other.hear(range, other, is_taken);
        }
        is_said = is_said || range_of(range, media_type::OCI_MANIFEST).is_some() || is_manifest(range);
    }
    match other {
        _ if !is_said || as_stored.is_taken => Form::Stored,
        Some(_) if as_other.is_taken => Form::Other,
        _ => Form::Neither,
    }
}

fn is_manifest(range: &str) -> bool {
    let range = range.to_ascii_lowercase();
    media_type::is_manifest(&range) || SCHEMA_1.contains(&range.as_str())
}

/// `q=0`: not acceptable. Ref: RFC 9110 section 12.4.2.
fn is_zero_weight(parameter: &str) -> bool {
    let weight = parameter
        .split_once('=')
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, weight)| weight.trim().parse::<f32>() == Ok(0.0))
}

/// How closely a media range means a type; nothing when it does not mean it.
fn range_of(range: &str, media_type: &str) -> Option<u8> {
    match range.split_once('/') {
        Some(("*", "*")) => Some(1),
        Some((kind, "*")) => media_type
            .split_once('/')
            .filter(|(of, _)| of.eq_ignore_ascii_case(kind))
            .map(|_| 2),
        _ => range.eq_ignore_ascii_case(media_type).then_some(3),
    }
}

/// What the header says of one type: the closest range counts.
#[derive(Default)]
struct Said {
    closeness: u8,
    is_taken: bool,
}

impl Said {
    fn hear(&mut self, range: &str, media_type: &str, is_taken: bool) {
        let Some(closeness) = range_of(range, media_type).filter(|closeness| *closeness >= self.closeness) else {
            return;
        };
        // Said twice, it counts whichever way round: one that takes it is enough.
        let is_taken = is_taken || (closeness == self.closeness && self.is_taken);
        *self = Self { closeness, is_taken };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use honmaru_images::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
    use http::HeaderValue;

    fn check(accept: &[&str], stored: &str, expected: Form) {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(form(&headers, stored), expected, "{accept:?} for {stored}");
    }

    #[test]
    fn what_is_stored_comes_first() {
        let both = format!("{DOCKER_MANIFEST};q=1, {OCI_MANIFEST};q=0.1");
        for accept in [
            &[][..],
            &["*/*"],
            &["application/*"],
            &["application/json"],
            &["text/html", "application/json;q=0.5"],
            &[OCI_MANIFEST],
            &["Application/VND.oci.image.manifest.v1+JSON"],
            &[&both],
            &[DOCKER_MANIFEST, OCI_MANIFEST],
            &[DOCKER_MANIFEST, "*/*;q=0.1"],
            &[""],
        ] {
            check(accept, OCI_MANIFEST, Form::Stored);
        }
        check(&["*/*"], OCI_INDEX, Form::Stored);
    }

    #[test]
    fn the_other_form_is_for_who_takes_only_that() {
        check(&[DOCKER_MANIFEST], OCI_MANIFEST, Form::Other);
        check(&[OCI_INDEX, OCI_MANIFEST], DOCKER_MANIFEST, Form::Other);
        let lists = format!("{DOCKER_LIST} ,{DOCKER_MANIFEST}; charset=utf-8");
        check(&["application/json", &lists], OCI_MANIFEST, Form::Other);
        let refused = format!("*/*, {OCI_MANIFEST}; Q=0.000");
        check(&[&refused], OCI_MANIFEST, Form::Other);
    }

    #[test]
    fn who_takes_neither_gets_nothing() {
        check(&[SCHEMA_1[0]], OCI_MANIFEST, Form::Neither);
        check(&[SCHEMA_1[1]], DOCKER_MANIFEST, Form::Neither);
        check(&[OCI_INDEX], OCI_MANIFEST, Form::Neither);
        check(&[OCI_MANIFEST], OCI_INDEX, Form::Neither);
        check(&[DOCKER_LIST, DOCKER_MANIFEST], OCI_INDEX, Form::Neither);
        check(&["*/*;q=0"], OCI_MANIFEST, Form::Neither);
        check(&["application/*;q=0", "*/*"], DOCKER_MANIFEST, Form::Neither);
        check(&["*/*;q=0", "*/*;q=0.1"], OCI_MANIFEST, Form::Stored);
        check(&["*/*;q=0.1", "*/*;q=0"], OCI_MANIFEST, Form::Stored);
        let neither = format!("{DOCKER_MANIFEST};q=0");
        check(&[&neither], OCI_MANIFEST, Form::Neither);
    }
}
