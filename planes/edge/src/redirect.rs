//! Redirect actions: placeholders filled in. Ref: ELBv2 `RedirectActionConfig`.

use crate::answer;
use crate::body::Body;
use crate::plan::Redirect;
use bytes::Bytes;
use http::header::{HeaderValue, LOCATION};
use http::{Response, Uri};
use std::fmt;

/// What the placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Original<'a> {
    pub(crate) protocol: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) uri: &'a Uri,
}

/// Where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) protocol: String,
    pub(crate) host: String,
    pub(crate) port: String,
    path: String,
    query: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.query.is_empty() { "" } else { "?" };
        let (protocol, host, port) = (&self.protocol, &self.host, &self.port);
        write!(f, "{protocol}://{host}:{port}{}{mark}{}", self.path, self.query)
    }
}

/// The answer of a redirect action.
pub(crate) fn respond(status: u16, place: &Place) -> Response<Body> {
    let title = if status == 301 {
        "301 Moved Permanently"
    } else {
        "302 Found"
    };
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    let mut response = answer::with_body(status, Some("text/html"), Bytes::from(page));
    match HeaderValue::try_from(place.to_string()) {
        Ok(location) => {
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(_) => answer::Refusal::BadRequest.response(),
    }
}

/// Where a redirect action leads a request.
pub(crate) fn place(redirect: &Redirect, original: Original<'_>) -> Place {
    let path = original.uri.path();
    let port = original.port.to_string();
    let fill = |template: &str| {
        let mut text = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("#{") {
            text.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                text.push_str("#{");
                rest = after;
                continue;
            };
            text.push_str(match name {
                "protocol" => original.protocol,
                "host" => original.host,
                "port" => &port,
                "path" => path.strip_prefix('/').unwrap_or(path),
                "query" => original.uri.query().unwrap_or(""),
                _ => "",
            });
            rest = tail;
        }
        text.push_str(rest);
        text
    };
    Place {
        protocol: fill(&redirect.protocol).to_ascii_lowercase(),
        host: fill(&redirect.host),
        port: fill(&redirect.port),
        path: fill(&redirect.path),
        query: fill(&redirect.query),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: [&str; 5], expected: &str) {
        let [protocol, host, port, path, query] = parts.map(str::to_owned);
        let redirect = Redirect {
            status: 301,
            protocol,
            host,
            port,
            path,
            query,
        };
        let uri = "/a/b?x=1".parse().unwrap();
        let original = Original {
            protocol: "http",
            host: "shop.localhost",
            port: 80,
            uri: &uri,
        };
        assert_eq!(place(&redirect, original).to_string(), expected);
    }

    #[test]
    fn placeholders() {
        check(
            ["HTTPS", "#{host}", "443", "/#{path}", "#{query}"],
            "https://shop.localhost:443/a/b?x=1",
        );
        check(
            ["#{protocol}", "www.#{host}", "#{port}", "/v2/#{path}", ""],
            "http://www.shop.localhost:80/v2/a/b",
        );
        check(
            ["#{protocol}", "#{host}", "#{port}", "/new#{", "y=2"],
            "http://shop.localhost:80/new#{?y=2",
        );
    }
}
