//! Each statement and each component, from outside: JSON rules in, decisions out.

mod common;

use common::{Sent, acl, base64, blocks, blocks_sent, byte, chain, compile, rule};
use honmaru_firewall::{CompileErrorKind, Firewall};
use serde_json::{Value, json};

fn refused(statement: Value) -> (CompileErrorKind, &'static str) {
    match Firewall::compile(&acl(json!([rule("r", 0, statement)]))) {
        Ok(_) => panic!("the rule compiles"),
        Err(error) => (error.kind, error.field),
    }
}

#[test]
fn byte_match_positions() {
    let path = || json!({"UriPath": {}});
    assert!(blocks(byte(path(), "EXACTLY", "/a", &[]), "GET /a"));
    assert!(!blocks(byte(path(), "EXACTLY", "/a", &[]), "GET /ab"));
    assert!(blocks(byte(path(), "STARTS_WITH", "/a", &[]), "GET /ab"));
    assert!(!blocks(byte(path(), "STARTS_WITH", "/b", &[]), "GET /ab"));
    assert!(blocks(byte(path(), "ENDS_WITH", "b", &[]), "GET /ab"));
    assert!(!blocks(byte(path(), "ENDS_WITH", "a", &[]), "GET /ab"));
    assert!(blocks(byte(path(), "CONTAINS", "xx", &[]), "GET /axxb"));
    assert!(!blocks(byte(path(), "CONTAINS", "xx", &[]), "GET /axbx"));
    assert!(blocks(byte(path(), "CONTAINS_WORD", "bad", &[]), "GET /the-bad/one"));
    assert!(blocks(byte(path(), "CONTAINS_WORD", "bad", &[]), "GET bad"));
    assert!(!blocks(byte(path(), "CONTAINS_WORD", "bad", &[]), "GET /badly"));
    assert!(!blocks(byte(path(), "CONTAINS_WORD", "bad", &[]), "GET /bad_"));
    assert_eq!(
        refused(byte(path(), "CONTAINS_WORD", "a-b", &[])),
        (CompileErrorKind::Invalid, "BYTE_MATCH_STATEMENT")
    );
}

#[test]
fn transformations_apply_in_the_order_of_their_priorities() {
    let statement = |first: &str, second: &str| {
        json!({"ByteMatchStatement": {
            "FieldToMatch": {"QueryString": {}},
            "PositionalConstraint": "EXACTLY",
            "SearchString": base64("q=abc"),
            "TextTransformations": [{"Priority": 7, "Type": second}, {"Priority": 2, "Type": first}],
        }})
    };
    // "cT1BQkM=" is Base64 of "q=ABC"; lower-cased first it is something else.
    assert!(blocks(statement("BASE64_DECODE", "LOWERCASE"), "GET /?cT1BQkM="));
    assert!(!blocks(statement("LOWERCASE", "BASE64_DECODE"), "GET /?cT1BQkM="));
}

#[test]
fn components() {
    let check = |field: Value, request: &str| blocks(byte(field, "CONTAINS", "evil", &[]), request);
    assert!(check(json!({"SingleHeader": {"Name": "X-A"}}), "GET /\nx-a: evil"));
    assert!(!check(json!({"SingleHeader": {"Name": "X-A"}}), "GET /\nx-b: evil"));
    assert!(check(
        json!({"SingleQueryArgument": {"Name": "Q"}}),
        "GET /?a=1&q=fine&q=evil"
    ));
    assert!(!check(json!({"SingleQueryArgument": {"Name": "q"}}), "GET /?a=evil"));
    assert!(check(json!({"AllQueryArguments": {}}), "GET /?a=1&b=evil"));
    assert!(!check(json!({"AllQueryArguments": {}}), "GET /?evil=1"));
    assert!(check(json!({"QueryString": {}}), "GET /?evil=1"));
    assert!(check(json!({"UriPath": {}}), "GET /evil"));
    assert!(check(json!({"Method": {}}), "evil /"));
    assert!(check(json!({"Body": {}}), "POST /\n\nsome evil"));
    assert!(!check(json!({"Body": {}}), "POST /evil\n\nfine"));
    assert!(check(json!({"UriFragment": {}}), "GET /a#evil"));
    assert!(!check(json!({"UriFragment": {}}), "GET /evil"));
    assert!(check(json!({"UriFragment": {"FallbackBehavior": "MATCH"}}), "GET /a"));
    assert!(check(json!({"HeaderOrder": {}}), "GET /\nEvil: 1"));
}

#[test]
fn pre_parse_transformations_change_the_whole_query_string() {
    let field = json!({"SingleQueryArgument": {
        "Name": "a", "PreParseTextTransformations": [{"Priority": 0, "Type": "URL_DECODE"}],
    }});
    assert!(blocks(byte(field, "EXACTLY", "evil", &[]), "GET /?b=1%26a%3devil"));
    assert!(!blocks(
        byte(json!({"SingleQueryArgument": {"Name": "a"}}), "EXACTLY", "evil", &[]),
        "GET /?b=1%26a%3devil"
    ));
}

#[test]
fn headers_and_cookies_by_pattern_and_scope() {
    let headers = |pattern: Value, scope: &str| json!({"Headers": {"MatchPattern": pattern, "MatchScope": scope, "OversizeHandling": "CONTINUE"}});
    let check = |field: Value, request: &str| blocks(byte(field, "CONTAINS", "evil", &[]), request);
    assert!(check(headers(json!({"All": {}}), "KEY"), "GET /\nx-evil: 1"));
    assert!(!check(headers(json!({"All": {}}), "VALUE"), "GET /\nx-evil: 1"));
    assert!(check(
        headers(json!({"IncludedHeaders": ["X-A"]}), "ALL"),
        "GET /\nx-a: evil"
    ));
    assert!(!check(
        headers(json!({"IncludedHeaders": ["X-A"]}), "ALL"),
        "GET /\nx-b: evil"
    ));
    assert!(!check(
        headers(json!({"ExcludedHeaders": ["X-A"]}), "ALL"),
        "GET /\nx-a: evil"
    ));
    let cookies = |pattern: Value| json!({"Cookies": {"MatchPattern": pattern, "MatchScope": "VALUE", "OversizeHandling": "CONTINUE"}});
    assert!(check(
        cookies(json!({"IncludedCookies": ["s"]})),
        "GET /\ncookie: a=1; s=evil"
    ));
    assert!(
        !check(cookies(json!({"IncludedCookies": ["S"]})), "GET /\ncookie: a=1; s=evil"),
        "cookie names keep case"
    );
    assert!(!check(
        cookies(json!({"ExcludedCookies": ["s"]})),
        "GET /\ncookie: a=1; s=evil"
    ));
}

#[test]
fn json_bodies() {
    let field = |pattern: Value, scope: &str, invalid: Option<&str>| {
        let mut body = json!({"MatchPattern": pattern, "MatchScope": scope});
        if let Some(invalid) = invalid {
            body["InvalidFallbackBehavior"] = invalid.into();
        }
        json!({"JsonBody": body})
    };
    let exactly = |field: Value, text: &str, body: &str| {
        blocks(
            byte(field, "EXACTLY", text, &[]),
            &format!("POST /\ncontent-type: application/json\n\n{body}"),
        )
    };
    let all = || json!({"All": {}});
    let nested = r#"{"a":{"c":"d","b":{"e":{"f":"g"}}}}"#;
    assert!(exactly(field(all(), "VALUE", None), "d", nested));
    assert!(!exactly(field(all(), "KEY", None), "d", nested));
    assert!(exactly(field(all(), "KEY", None), "f", nested));
    let below = || json!({"IncludedPaths": ["/a/b"]});
    assert!(exactly(field(below(), "ALL", None), "g", nested));
    assert!(exactly(field(below(), "ALL", None), "e", nested));
    assert!(
        !exactly(field(below(), "ALL", None), "b", nested),
        "the key itself is part of the path"
    );
    assert!(!exactly(field(below(), "ALL", None), "d", nested));
    let broken = r#"{"a":"b","c":"#;
    assert!(
        exactly(field(all(), "ALL", None), "b", broken),
        "what came before the error is inspected"
    );
    assert!(exactly(field(all(), "ALL", Some("MATCH")), "zzz", broken));
    assert!(!exactly(field(all(), "ALL", Some("NO_MATCH")), "b", broken));
    assert!(exactly(field(all(), "ALL", Some("EVALUATE_AS_STRING")), broken, broken));
}

#[test]
fn fingerprints() {
    let field = |fallback: &str| json!({"JA3Fingerprint": {"FallbackBehavior": fallback}});
    let mut sent = Sent::parse("GET /");
    assert!(!blocks_sent(byte(field("NO_MATCH"), "EXACTLY", "abc", &[]), &sent));
    assert!(blocks_sent(byte(field("MATCH"), "EXACTLY", "abc", &[]), &sent));
    sent.ja3 = Some("abc".to_owned());
    assert!(blocks_sent(byte(field("NO_MATCH"), "EXACTLY", "abc", &[]), &sent));
    assert_eq!(
        refused(byte(field("MATCH"), "CONTAINS", "a", &[])),
        (CompileErrorKind::Invalid, "FIELD_TO_MATCH")
    );
}

#[test]
fn size_constraints_measure_after_transformations() {
    let size = |operator: &str, size: u64, transformation: &str| {
        json!({"SizeConstraintStatement": {
            "FieldToMatch": {"UriPath": {}}, "ComparisonOperator": operator, "Size": size,
            "TextTransformations": chain(&[transformation]),
        }})
    };
    for (operator, limit, expected) in [
        ("EQ", 4, true),
        ("NE", 4, false),
        ("LE", 3, false),
        ("LT", 5, true),
        ("GE", 4, true),
        ("GT", 4, false),
    ] {
        assert_eq!(
            blocks(size(operator, limit, "NONE"), "GET /abc"),
            expected,
            "{operator} {limit}"
        );
    }
    assert!(blocks(size("EQ", 2, "URL_DECODE"), "GET /%41"));
}

#[test]
fn regexes_and_pattern_sets() {
    let regex = |pattern: &str| {
        json!({"RegexMatchStatement": {
            "RegexString": pattern, "FieldToMatch": {"UriPath": {}}, "TextTransformations": chain(&[]),
        }})
    };
    assert!(blocks(regex(r"^/v\d+/admin"), "GET /v12/admin/x"));
    assert!(!blocks(regex(r"^/v\d+/admin"), "GET /vx/admin"));
    for unsupported in ["(?=a)b", r"(a)\1", "a(", "a)(b"] {
        assert_eq!(
            refused(regex(unsupported)),
            (CompileErrorKind::Invalid, "REGEX_PATTERN_REFERENCE_STATEMENT")
        );
    }
    let reference = json!({"RegexPatternSetReferenceStatement": {
        "ARN": "arn:set", "FieldToMatch": {"UriPath": {}}, "TextTransformations": chain(&["LOWERCASE"]),
    }});
    assert_eq!(
        refused(reference.clone()),
        (CompileErrorKind::Missing, "REGEX_PATTERN_REFERENCE_STATEMENT")
    );
    let mut with_set = acl(json!([rule("r", 0, reference)]));
    with_set
        .regex_pattern_sets
        .insert("arn:set".to_owned(), vec!["^/a$".to_owned(), "b+".to_owned()]);
    let firewall = compile(&with_set);
    assert_eq!(Sent::parse("GET /A").inspect(&firewall).decision.name(), "BLOCK");
    assert_eq!(Sent::parse("GET /xBBx").inspect(&firewall).decision.name(), "BLOCK");
    assert_eq!(Sent::parse("GET /c").inspect(&firewall).decision.name(), "ALLOW");
}

#[test]
fn ip_sets_by_peer_and_by_header() {
    let check = |config: Value, request: Sent| {
        let mut statement = json!({"IPSetReferenceStatement": {"ARN": "arn:ip"}});
        if !config.is_null() {
            statement["IPSetReferenceStatement"]["IPSetForwardedIPConfig"] = config;
        }
        let mut with_set = acl(json!([rule("r", 0, statement)]));
        with_set.ip_sets.insert(
            "arn:ip".to_owned(),
            vec!["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()],
        );
        request.inspect(&compile(&with_set)).decision.name() == "BLOCK"
    };
    let config = |position: &str, fallback: &str| json!({"HeaderName": "X-Forwarded-For", "FallbackBehavior": fallback, "Position": position});
    assert!(check(Value::Null, Sent::parse("GET /").from("192.0.2.77")));
    assert!(check(Value::Null, Sent::parse("GET /").from("::ffff:192.0.2.77")));
    assert!(!check(Value::Null, Sent::parse("GET /").from("192.0.3.1")));
    let chain = || Sent::parse("GET /\nx-forwarded-for: 192.0.2.1, 198.51.100.2, 203.0.113.3");
    assert!(check(config("FIRST", "NO_MATCH"), chain()));
    assert!(!check(config("LAST", "NO_MATCH"), chain()));
    assert!(check(config("ANY", "NO_MATCH"), chain()));
    let broken = || Sent::parse("GET /\nx-forwarded-for: nobody");
    assert!(check(config("FIRST", "MATCH"), broken()));
    assert!(!check(config("FIRST", "NO_MATCH"), broken()));
    assert!(
        !check(config("FIRST", "MATCH"), Sent::parse("GET /")),
        "without the header the rule does not look"
    );
}

#[test]
fn and_or_not() {
    let path = |text: &str| byte(json!({"UriPath": {}}), "CONTAINS", text, &[]);
    let and = json!({"AndStatement": {"Statements": [path("a"), path("b")]}});
    assert!(blocks(and.clone(), "GET /ab"));
    assert!(!blocks(and, "GET /a"));
    let or = json!({"OrStatement": {"Statements": [path("a"), path("b")]}});
    assert!(blocks(or.clone(), "GET /b"));
    assert!(!blocks(or, "GET /c"));
    let not = json!({"NotStatement": {"Statement": path("a")}});
    assert!(blocks(not.clone(), "GET /c"));
    assert!(!blocks(not, "GET /a"));
    let one = json!({"OrStatement": {"Statements": [path("a")]}});
    assert_eq!(refused(one), (CompileErrorKind::Invalid, "OR_STATEMENT"));
    let both = json!({"XssMatchStatement": {}, "SqliMatchStatement": {}});
    assert_eq!(refused(both), (CompileErrorKind::Invalid, "STATEMENT"));
}

#[test]
fn a_missing_header_is_not_turned_around_by_not() {
    let inner = json!({"IPSetReferenceStatement": {"ARN": "arn:ip", "IPSetForwardedIPConfig": {
        "HeaderName": "X-Forwarded-For", "FallbackBehavior": "NO_MATCH", "Position": "FIRST"}}});
    let mut with_set = acl(json!([rule("r", 0, json!({"NotStatement": {"Statement": inner}}))]));
    with_set
        .ip_sets
        .insert("arn:ip".to_owned(), vec!["192.0.2.0/24".to_owned()]);
    let firewall = compile(&with_set);
    assert_eq!(Sent::parse("GET /").inspect(&firewall).decision.name(), "ALLOW");
    assert_eq!(
        Sent::parse("GET /\nx-forwarded-for: 1.2.3.4")
            .inspect(&firewall)
            .decision
            .name(),
        "BLOCK"
    );
}

#[test]
fn sqli_and_xss_statements() {
    let sqli = |level: &str| {
        json!({"SqliMatchStatement": {
            "FieldToMatch": {"AllQueryArguments": {}}, "TextTransformations": chain(&["URL_DECODE"]), "SensitivityLevel": level,
        }})
    };
    assert!(blocks(sqli("LOW"), "GET /?id=1'%20OR%20'1'='1"));
    assert!(blocks(
        sqli("LOW"),
        "GET /?id=1+UNION+SELECT+user,password+FROM+users--"
    ));
    assert!(!blocks(sqli("LOW"), "GET /?q=rock+and+roll"));
    assert!(!blocks(sqli("HIGH"), "GET /?q=rock+and+roll"));
    let xss = json!({"XssMatchStatement": {
        "FieldToMatch": {"AllQueryArguments": {}}, "TextTransformations": chain(&["URL_DECODE", "HTML_ENTITY_DECODE"]),
    }});
    assert!(blocks(xss.clone(), "GET /?q=%3Cscript%3Ealert(1)%3C/script%3E"));
    assert!(!blocks(xss, "GET /?q=1+%3C+2"));
}

#[test]
fn places_are_unknown_and_only_unknown_can_be_asked_for() {
    assert_eq!(
        refused(json!({"GeoMatchStatement": {"CountryCodes": ["US"]}})),
        (CompileErrorKind::Unsupported, "GEO_MATCH_STATEMENT")
    );
    assert_eq!(
        refused(json!({"AsnMatchStatement": {"AsnList": [64496]}})).0,
        CompileErrorKind::Unsupported
    );
    assert!(blocks(json!({"GeoMatchStatement": {"CountryCodes": ["XX"]}}), "GET /"));
    let geo = json!([rule("r", 0, json!({"GeoMatchStatement": {"CountryCodes": ["XX"]}}))]);
    let labels = Sent::parse("GET /").inspect(&compile(&acl(geo))).labels;
    assert_eq!(
        labels,
        ["awswaf:clientip:geo:country:XX", "awswaf:clientip:geo:region:XX-XX"]
    );
}

#[test]
fn oversize_bodies() {
    let field = |handling: &str| json!({"Body": {"OversizeHandling": handling}});
    let mut sent = Sent::parse("POST /");
    sent.body = [vec![b'a'; 8_192], b"evil".to_vec()].concat();
    let check = |handling: &str, sent: &Sent| blocks_sent(byte(field(handling), "CONTAINS", "evil", &[]), sent);
    assert!(!check("CONTINUE", &sent), "beyond 8 KB nothing is inspected");
    assert!(check("MATCH", &sent));
    assert!(!check("NO_MATCH", &sent));
    sent.body.truncate(8_192);
    assert!(!check("MATCH", &sent), "8 KB are not oversize");
    sent.body = b"evil".to_vec();
    assert!(check("CONTINUE", &sent));
    assert!(check("NO_MATCH", &sent));
    sent.truncated = true;
    assert!(!check("NO_MATCH", &sent), "the edge says that there is more");
}

#[test]
fn oversize_headers() {
    let field = |handling: &str| json!({"Headers": {"MatchPattern": {"All": {}}, "MatchScope": "VALUE", "OversizeHandling": handling}});
    let check = |handling: &str, sent: &Sent| blocks_sent(byte(field(handling), "CONTAINS", "evil", &[]), sent);
    let mut many = Sent::parse("GET /");
    many.headers = (0..200).map(|at| (format!("h{at}"), b"x".to_vec())).collect();
    assert!(!check("MATCH", &many));
    many.headers.push(("last".to_owned(), b"evil".to_vec()));
    assert!(check("MATCH", &many));
    assert!(!check("CONTINUE", &many), "the 201st header is not inspected");
    let mut long = Sent::parse("GET /");
    long.headers = vec![("a".to_owned(), vec![b'x'; 9_000])];
    assert!(check("MATCH", &long));
    assert!(!check("CONTINUE", &long));
}

#[test]
fn bodies_are_wanted_only_by_rules_that_look_at_them() {
    let path = compile(&acl(json!([rule(
        "r",
        0,
        byte(json!({"UriPath": {}}), "CONTAINS", "x", &[])
    )])));
    assert_eq!(path.body_bytes_wanted(), 0);
    let body = compile(&acl(json!([rule(
        "r",
        0,
        byte(json!({"Body": {}}), "CONTAINS", "x", &[])
    )])));
    assert_eq!(body.body_bytes_wanted(), 8_192);
}
