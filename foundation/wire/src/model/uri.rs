//! The path and query that an operation of a REST protocol is bound to, for example `/v2/apis/{apiId}?x-id=Get`.

/// One segment of a path.
#[derive(Debug, PartialEq)]
pub(crate) enum Segment {
    Literal(Box<str>),
    /// `{name}`: one segment.
    Label(Box<str>),
    /// `{name+}`: one segment or more.
    Greedy(Box<str>),
}

/// A parsed `requestUri`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct UriTemplate {
    pub segments: Vec<Segment>,
    /// Keys that the query must have, with their value where one is given.
    pub query: Vec<(Box<str>, Option<Box<str>>)>,
}

impl UriTemplate {
    pub fn parse(text: &str) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let segments = path
            .strip_prefix('/')
            .unwrap_or(path)
            .split('/')
            .map(
                |segment| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                    Some(label) => match label.strip_suffix('+') {
                        Some(label) => Segment::Greedy(label.into()),
                        None => Segment::Label(label.into()),
                    },
                    None => Segment::Literal(segment.into()),
                },
            )
            .collect();
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| match pair.split_once('=') {
                Some((key, value)) if !value.is_empty() => (key.into(), Some(value.into())),
                Some((key, _)) => (key.into(), None),
                None => (pair.into(), None),
            })
            .collect();
        Self { segments, query }
    }

    /// The labels with their raw (still encoded) texts, when the path matches.
    pub fn matches<'t, 'p>(&'t self, path: &'p str) -> Option<Vec<(&'t str, &'p str)>> {
        let mut rest = Some(path.strip_prefix('/').unwrap_or(path));
        let mut labels = Vec::new();
        for (at, segment) in self.segments.iter().enumerate() {
            let here = rest?;
            let (first, after) = match here.split_once('/') {
                Some((first, after)) => (first, Some(after)),
                None => (here, None),
            };
            match segment {
                Segment::Literal(literal) if **literal == *first => rest = after,
                Segment::Literal(_) => return None,
                Segment::Label(_) if first.is_empty() => return None,
                Segment::Label(name) => {
                    labels.push((&**name, first));
                    rest = after;
                }
                Segment::Greedy(name) => {
                    let (taken, after) = split_last_segments(here, self.segments.len() - at - 1)?;
                    if taken.is_empty() {
                        return None;
                    }
                    labels.push((&**name, taken));
                    rest = after;
                }
            }
        }
        match rest {
            None => Some(labels),
            // A trailing slash is tolerated: Lambda's older paths end with one, and clients leave it out.
            Some("") => Some(labels),
            Some(_) => None,
        }
    }

    /// Literal segments, by which the more exact of two matching templates is told.
    pub fn literals(&self) -> usize {
        self.segments
            .iter()
            .filter(|s| matches!(s, Segment::Literal(text) if !text.is_empty()))
            .count()
    }
}

/// Everything before the last `count` segments, and those segments.
fn split_last_segments(path: &str, count: usize) -> Option<(&str, Option<&str>)> {
    let mut end = path.len();
    for _ in 0..count {
        end = path.get(..end)?.rfind('/')?;
    }
    let taken = path.get(..end)?;
    Some((taken, if count == 0 { None } else { path.get(end + 1..) }))
}

#[cfg(test)]
mod tests {
    use super::UriTemplate;

    fn check(template: &str, path: &str, expected: Option<&[(&str, &str)]>) {
        let template = UriTemplate::parse(template);
        assert_eq!(template.matches(path).as_deref(), expected, "{template:?} {path}");
    }

    #[test]
    fn paths_match_their_templates() {
        check("/", "/", Some(&[]));
        check("/v2/apis", "/v2/apis", Some(&[]));
        check("/v2/apis", "/v2/apis/x", None);
        check("/v2/apis/{id}", "/v2/apis/a%2Fb", Some(&[("id", "a%2Fb")]));
        check("/v2/apis/{id}", "/v2/apis/", None);
        check(
            "/{Bucket}/{Key+}",
            "/b/k/l/m",
            Some(&[("Bucket", "b"), ("Key", "k/l/m")]),
        );
        check("/{Bucket}/{Key+}", "/b/", None);
        check("/a/{x+}/z", "/a/b/c/z", Some(&[("x", "b/c")]));
        check("/a/{x+}/z", "/a/z", None);
        check("/2015-03-31/functions/", "/2015-03-31/functions", None);
        check("/2015-03-31/functions", "/2015-03-31/functions/", Some(&[]));
    }
}
