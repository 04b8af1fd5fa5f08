//! Patterns from the user guide and what they match.

use super::Filter;

fn check(cases: &[(&str, &str, bool)]) {
    for (pattern, message, expected) in cases {
        let filter = Filter::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(filter.passes(message), *expected, "{pattern} on {message}");
    }
}

#[test]
fn terms() {
    check(&[
        ("", "anything", true),
        ("ERROR", "an ERROR here", true),
        ("ERROR", "an error here", false),
        ("GET 200", "200 for GET", true),
        ("GET 404", "200 for GET", false),
        ("?WARN ?ERROR", "WARN only", true),
        ("?WARN ?ERROR", "INFO only", false),
        ("ERROR -timeout", "ERROR: timeout", false),
        ("-\"two words\"", "these two words", false),
        ("\"two words\"", "these two words", true),
        ("\"a \\\"b\\\"\"", "say a \"b\"", true),
        // Beside other terms, those with a question mark are ignored.
        ("REQUEST ?ERROR ?WARN", "REQUEST fine", true),
        ("REQUEST ?ERROR ?WARN", "ERROR", false),
    ]);
}

#[test]
fn regular_expressions() {
    check(&[
        ("%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", true),
        ("%^[hc]at%", "cat here", true),
        ("%^[hc]at%", "a cat", false),
        ("%colou?r% -%gr[ae]y%", "color grey", false),
        ("%\\d{1,3}\\.\\d{1,3}%", "at 10.20", true),
        ("%[0-9]\\%%", "at 5%", true),
        ("{ $.ip = %^10\\.% }", r#"{"ip": "10.1.2.3"}"#, true),
        ("{ $.ip != %^10\\.% }", r#"{"ip": "10.1.2.3"}"#, false),
        ("[ip = %^127\\.0\\.0\\.[12]$%, rest]", "127.0.0.1 x", true),
        ("[ip = %^127\\.0\\.0\\.[12]$%, rest]", "127.0.0.3 x", false),
    ]);
    for bad in ["%a(b)%", "%something!%", "%é%", "%open", "%[a%", "%%", "%a% %b% %c%"] {
        assert!(Filter::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn json() {
    let event = r#"{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "cluster.name": "c",
        "ThisFlag": true, "status": 404, "latency": 1.5e3, "text": "404", "deep": {"x": {"y": [1, 2]}}}"#;
    let cases = [
        (r#"{ $.eventType = "UpdateTrail" }"#, true),
        (r#"{$.eventType="UpdateTrail"}"#, true),
        (r#"{ $.eventType = UpdateTrail }"#, true),
        (r#"{ $.sourceIPAddress != 123.123.* }"#, true),
        (r#"{ $.sourceIPAddress = 111.*.111 }"#, true),
        (r#"{ $.sourceIPAddress = "*" }"#, true),
        (r#"{ $.arrayKey[0] = "value" }"#, true),
        (r#"{ $.arrayKey[1] = "value" }"#, false),
        (r#"{ $.objectList[1].id = 2 }"#, true),
        (r#"{ $.objectList[*].id = 2 }"#, true),
        (r#"{ $.objectList[*].id = 3 }"#, false),
        (r#"{ $.SomeObject IS NULL }"#, true),
        (r#"{ $.eventType IS NULL }"#, false),
        (r#"{ $.SomeOtherObject NOT EXISTS }"#, true),
        (r#"{ $.eventType NOT EXISTS }"#, false),
        (r#"{ $.ThisFlag IS TRUE }"#, true),
        (r#"{ $.ThisFlag IS FALSE }"#, false),
        (r#"{ $.status = 404 }"#, true),
        (r#"{ $.status = 404.0 }"#, true),
        (r#"{ $.status >= 500 }"#, false),
        (r#"{ $.status < 500 }"#, true),
        (r#"{ $.status = 4* }"#, true),
        (r#"{ $.status != 404 }"#, false),
        (r#"{ $.latency > 1e3 }"#, true),
        (r#"{ $.['cluster.name'] = "c" }"#, true),
        (r#"{ $['cluster.name'] = "c" }"#, true),
        (r#"{ ($.status = 404) && ($.eventType = "Update*") }"#, true),
        (r#"{ $.status = 500 || $.eventType = "Other" || $.text = "404" }"#, true),
        (r#"{ ($.status = 500 || $.status = 404) && $.ThisFlag IS TRUE }"#, true),
        (
            r#"{ $.status = 404 && ($.eventType = "Other" || $.ThisFlag IS FALSE) }"#,
            false,
        ),
        (r#"{ $.status = 404 || $.status = 1 && $.status = 2 }"#, true),
        (r#"{ $.missing = "x" }"#, false),
        (r#"{ $.missing != "x" }"#, false),
        (r#"{ $.deep.x.y[1] = 2 }"#, true),
    ];
    for (pattern, expected) in cases {
        check(&[(pattern, event, expected)]);
    }
    check(&[
        ("{ $.x = 1 }", "no json", false),
        ("{ $.x NOT EXISTS }", "no json", false),
    ]);
    let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(40), ")".repeat(40));
    let long = format!("{{ {} }}", vec!["$.a = 1"; 70].join(" && "));
    for bad in [
        "{ $.a",
        "{ a = 1 }",
        "{ $.a = }",
        "{ $.a > text }",
        "{ $.a = 1 && }",
        "{ $.a = 1 $.b = 2 }",
        "{ $ = 1 }",
        "{ $.a[ = 1 }",
        "{ ($.a = 1 }",
        "{}",
        "{ $.a IS MAYBE }",
        deep.as_str(),
        long.as_str(),
    ] {
        assert!(Filter::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn space_delimited() {
    let event = r#"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;
    let cases = [
        ("[ip, server, username, timestamp, request, status_code, bytes]", true),
        ("[ip, server, username, timestamp, request, status_code]", false),
        ("[ip, ..., bytes]", true),
        ("[..., status_code = 4*, bytes]", true),
        ("[..., status_code = 5*, bytes]", false),
        (
            "[ip=%127\\.0\\.0\\.[1-9]%, server, username, timestamp, request =*.html*, status_code = 4*, bytes]",
            true,
        ),
        (
            "[ip, server, username, timestamp, request, status_code = 404 || status_code = 410, bytes]",
            true,
        ),
        ("[ip, server, username = frank && username != bob, ...]", true),
        (
            "[ip, server, username, timestamp, request, status_code, bytes > 1000]",
            true,
        ),
        (
            "[ip, server, username, timestamp, request, status_code, bytes > 2000]",
            false,
        ),
        ("[ip != 127.0.0.1, ...]", false),
        ("[w1, w2, w3, w4 = \"10/Oct/2000*\", ...]", true),
        ("[w1=127.0.0.1, w2, ...]", true),
        ("[...]", true),
    ];
    for (pattern, expected) in cases {
        check(&[(pattern, event, expected)]);
    }
    for bad in [
        "[a, b",
        "[..., a, ...]",
        "[a b]",
        "[a = ]",
        "[a > x]",
        "[]",
        "[a = 1 && b = 2]",
        "\"open",
    ] {
        assert!(Filter::parse(bad).is_err(), "{bad}");
    }
}
