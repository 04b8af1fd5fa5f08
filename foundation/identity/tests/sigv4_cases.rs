//! Verifies signed requests from a file that `tests/identity/sigv4.py` makes: AWS's SigV4 suite, and requests that
//! botocore signed. Without `HONMARU_SIGV4_CASES` (the file's path) there is nothing to verify, and it says so.

use base64::Engine;
use honmaru_base::Time;
use honmaru_identity::{KeyCache, Signed, parse, verify};
use serde_json::Value;

#[test]
fn signed_by_others() {
    let Ok(path) = std::env::var("HONMARU_SIGV4_CASES") else {
        eprintln!("skipped: run `python3 tests/identity/sigv4.py`, which sets HONMARU_SIGV4_CASES");
        return;
    };
    let (mut ok, mut failed) = (0, Vec::new());
    for line in std::fs::read_to_string(path)
        .expect("the cases' file is readable")
        .lines()
    {
        let case: Value = serde_json::from_str(line).expect("one JSON object a line");
        let text = |name: &str| case[name].as_str().expect("a text member").to_owned();
        let headers: Vec<(String, Vec<u8>)> = case["headers"]
            .as_array()
            .expect("a list of headers")
            .iter()
            .map(|h| {
                (
                    h[0].as_str().unwrap().to_owned(),
                    h[1].as_str().unwrap().as_bytes().to_vec(),
                )
            })
            .collect();
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
        let body = base64::engine::general_purpose::STANDARD
            .decode(text("body"))
            .expect("a base64 body");
        let (method, raw_path, raw_query) = (text("method"), text("path"), text("query"));
        let request = Signed {
            method: &method,
            raw_path: &raw_path,
            raw_query: &raw_query,
            headers: &headers,
            body: &body,
        };
        let now = Time::from_ms(case["now_ms"].as_i64().expect("a moment"));
        let result = parse(&request)
            .and_then(|presented| verify(&presented.expect("a signature"), &text("secret"), now, &KeyCache::new()));
        let expected = case["ok"].as_bool().expect("what must come out");
        if result.is_ok() == expected {
            ok += 1;
        } else {
            failed.push(format!("{}: {result:?}", text("name")));
        }
    }
    println!("{ok} of {} as expected", ok + failed.len());
    assert!(failed.is_empty() && ok > 0, "{}", failed.join("\n"));
}
