//! What the specification's own conformance suite asks beyond `spec`, and what HTTP asks of its answers.
//! Ref: opencontainers/distribution-spec, conformance 1.1.1 and 1.1+dev, run against a cloud on 2026-11-22; nothing of it
//! is copied.

mod support;

use honmaru_images::{Algorithm, Digest};
use support::{Answer, Server, manifest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Ref: specification, "Error Codes", and ECR's `TAG_INVALID`.
const CODES: [&str; 15] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
    "TAG_INVALID",
];

fn of(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn a_name_that_cannot_be_a_tag_names_nothing() {
    let server = Server::start().await;
    let image = server.push_image("app", "v1", b"layer").await;
    let path = "/v2/app/manifests/.INVALID_MANIFEST_NAME";
    for method in ["GET", "HEAD", "DELETE"] {
        let answer = server.call(method, path, &[], b"").await;
        assert_eq!(answer.status, 404, "{method}");
    }
    assert_eq!(of(&server.call("GET", path, &[], b"").await).1, "MANIFEST_UNKNOWN");
    let put = server.call("PUT", path, &[("content-type", MANIFEST)], &image).await;
    assert_eq!(of(&put), (400, "TAG_INVALID".to_owned()));
    let digest = server
        .call("GET", "/v2/app/manifests/sha256:baddigeststring", &[], b"")
        .await;
    assert_eq!(of(&digest), (400, "DIGEST_INVALID".to_owned()));
}

#[tokio::test]
async fn tag_parameters_set_tags_of_a_manifest_that_is_pushed_by_digest() {
    let server = Server::start().await;
    let image = server.push_image("app", "v1", b"layer").await;
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, &image);
        let tags: Vec<String> = (0..12).map(|n| format!("t{n}-{}", algorithm.name())).collect();
        let query = tags
            .iter()
            .map(|tag| format!("tag={tag}"))
            .collect::<Vec<_>>()
            .join("&");
        let put = server
            .put_manifest("app", &format!("{digest}?{query}&tag={}", tags[0]), &image)
            .await;
        assert_eq!(put.status, 201, "{}", put.text());
        assert_eq!(put.header("docker-content-digest"), digest.as_str());
        let told: Vec<&str> = put
            .headers
            .get_all("oci-tag")
            .iter()
            .map(|tag| tag.to_str().unwrap())
            .collect();
        assert_eq!(told, tags);
        for tag in &tags {
            let got = server.call("GET", &format!("/v2/app/manifests/{tag}"), &[], b"").await;
            assert_eq!(got.header("docker-content-digest"), digest.as_str());
            assert_eq!(got.body, image);
        }
    }
    let digest = Digest::sha256(&image);
    let bad = server
        .put_manifest("app", &format!("{digest}?tag=good&tag=.bad"), &image)
        .await;
    assert_eq!(of(&bad), (400, "TAG_INVALID".to_owned()));
    assert_eq!(server.call("GET", "/v2/app/manifests/good", &[], b"").await.status, 404);
    let many = (0..101).map(|n| format!("tag=m{n}")).collect::<Vec<_>>().join("&");
    let many = server.put_manifest("app", &format!("{digest}?{many}"), &image).await;
    assert_eq!(many.status, 414);
    // By tag, parameters mean nothing.
    let by_tag = server.put_manifest("app", "v2?tag=v3", &image).await;
    assert_eq!((by_tag.status.as_u16(), by_tag.headers.get("oci-tag")), (201, None));
    assert_eq!(server.call("GET", "/v2/app/manifests/v3", &[], b"").await.status, 404);
}

#[tokio::test]
async fn ranges_of_a_blob() {
    let server = Server::start().await;
    let digest = server.push_blob("app", b"0123456789").await;
    let path = format!("/v2/app/blobs/{digest}");
    let get = async |range: &str| server.call("GET", &path, &[("range", range)], b"").await;
    for (range, status, body, told) in [
        ("bytes=2-5", 206, "2345", "bytes 2-5/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=8-99", 206, "89", "bytes 8-9/10"),
        ("bytes=5-0", 416, "", "bytes */10"),
        ("bytes=10-20", 416, "", "bytes */10"),
        ("bytes=-0", 416, "", "bytes */10"),
    ] {
        let answer = get(range).await;
        assert_eq!((answer.status.as_u16(), &*answer.text()), (status, body), "{range}");
        assert_eq!(answer.header("content-range"), told, "{range}");
        assert_eq!(answer.header("content-length"), body.len().to_string(), "{range}");
    }
    // Several ranges, and units that are none: the whole, which is always allowed.
    for range in ["bytes=0-1,4-5", "lines=1-2", "bytes=x"] {
        let answer = get(range).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.text()),
            (200, "0123456789"),
            "{range}"
        );
    }
    let part = server.call("HEAD", &path, &[("range", "bytes=2-5")], b"").await;
    assert_eq!((part.header("content-length"), part.body.len()), ("4", 0));
    let other = [("range", "bytes=2-5"), ("if-range", "\"other\"")];
    assert_eq!(server.call("GET", &path, &other, b"").await.status, 200);
}

#[tokio::test]
async fn errors_have_codes_of_the_specification_only() {
    let server = Server::start().await;
    let image = server.push_image("app", "v1", b"layer").await;
    let digest = Digest::sha256(&image);
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let upload = begun.header("location").to_owned();
    let missing = "sha256:".to_owned() + &"0".repeat(64);
    for (method, path, headers, expected) in [
        ("GET", "/v2/app/tags/list?n=x".to_owned(), vec![], 400),
        ("GET", "/v2/app/tags/list?n=-1".to_owned(), vec![], 400),
        ("PATCH", upload.clone(), vec![("content-range", "5-6")], 416),
        ("PATCH", upload.clone(), vec![("content-range", "nonsense")], 416),
        ("PATCH", upload.clone(), vec![("content-range", "0-9")], 400),
        ("PUT", upload.clone(), vec![], 400),
        ("PUT", format!("{upload}?digest=md5:abc"), vec![], 400),
        ("GET", "/v2/app/blobs/uploads/none".to_owned(), vec![], 404),
        ("POST", format!("/v2/app/blobs/uploads/?digest={missing}"), vec![], 400),
        (
            "POST",
            "/v2/app/blobs/uploads/?digest-algorithm=md5".to_owned(),
            vec![],
            400,
        ),
        ("GET", format!("/v2/app/blobs/{missing}"), vec![], 404),
        ("GET", format!("/v2/app/manifests/{missing}"), vec![], 404),
        ("DELETE", format!("/v2/app/manifests/{missing}"), vec![], 404),
        ("DELETE", format!("/v2/app/blobs/{missing}"), vec![], 404),
        ("GET", "/v2/app/referrers/nonsense".to_owned(), vec![], 400),
        (
            "PUT",
            format!("/v2/app/manifests/{digest}"),
            vec![("content-type", MANIFEST)],
            400,
        ),
        (
            "PUT",
            "/v2/app/manifests/v9".to_owned(),
            vec![("content-type", "text/plain")],
            400,
        ),
        ("GET", "/v2/missing/app/tags/list".to_owned(), vec![], 404),
        ("GET", "/v2/denied/app/tags/list".to_owned(), vec![], 403),
    ] {
        let answer = server.call(method, &path, &headers, b"xx").await;
        let (status, code) = of(&answer);
        assert_eq!(status, expected, "{method} {path}: {}", answer.text());
        assert!(CODES.contains(&code.as_str()), "{method} {path}: {code}");
    }
}

#[tokio::test]
async fn methods_that_are_not_there_are_answered_with_those_that_are() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer").await;
    for (method, path, allow) in [
        ("POST", "/v2/", "GET, HEAD"),
        ("POST", "/v2/app/manifests/v1", "GET, HEAD, PUT, DELETE"),
        ("PUT", "/v2/app/tags/list", "GET, HEAD"),
        ("GET", "/v2/app/blobs/uploads/", "POST"),
        ("POST", "/v2/app/blobs/sha256:x", "GET, HEAD, DELETE"),
    ] {
        let answer = server.call(method, path, &[], b"").await;
        assert_eq!(of(&answer), (405, "UNSUPPORTED".to_owned()), "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn what_a_client_has_already_is_named_but_not_sent() {
    let server = Server::start().await;
    let image = server.push_image("app", "v1", b"layer").await;
    let (image, layer) = (Digest::sha256(&image), Digest::sha256(b"layer"));
    for (path, digest) in [
        ("/v2/app/manifests/v1".to_owned(), &image),
        (format!("/v2/app/blobs/{layer}"), &layer),
    ] {
        let etag = format!("\"{digest}\"");
        let answer = server.call("GET", &path, &[("if-none-match", &etag)], b"").await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
        assert_eq!(
            (answer.header("etag"), answer.header("docker-content-digest")),
            (&*etag, digest.as_str())
        );
    }
}

#[tokio::test]
async fn uploads_end_with_sha512_whatever_they_began_with() {
    let server = Server::start().await;
    let content = b"a blob whose algorithm only its end tells";
    let digest = Digest::of(Algorithm::Sha512, content);
    let begun = server.call("POST", "/v2/app/blobs/uploads/", &[], b"").await;
    let first = server
        .call(
            "PATCH",
            begun.header("location"),
            &[("content-range", "0-9")],
            &content[..10],
        )
        .await;
    assert_eq!((first.status.as_u16(), first.header("range")), (202, "0-9"));
    let end = format!("{}?digest={digest}", first.header("location"));
    let done = server.call("PUT", &end, &[], &content[10..]).await;
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!(done.header("docker-content-digest"), digest.as_str());
    let got = server.call("GET", done.header("location"), &[], b"").await;
    assert_eq!(
        (got.header("docker-content-digest"), &got.body[..]),
        (digest.as_str(), &content[..])
    );
    let mounted = server
        .call(
            "POST",
            &format!("/v2/two/blobs/uploads/?mount={digest}&from=app"),
            &[],
            b"",
        )
        .await;
    assert_eq!(
        (mounted.status.as_u16(), mounted.header("docker-content-digest")),
        (201, digest.as_str())
    );
}

#[tokio::test]
async fn a_registry_that_does_not_mount_lets_the_client_upload() {
    let server = Server::start().await;
    let digest = server.push_blob("one", b"content").await;
    *server.memory.no_mounts.lock().unwrap() = true;
    let path = format!("/v2/two/blobs/uploads/?mount={digest}&from=one");
    let begun = server.call("POST", &path, &[], b"").await;
    assert_eq!(begun.status, 202);
    let there = server.call("HEAD", &format!("/v2/two/blobs/{digest}"), &[], b"").await;
    assert_eq!(there.status, 404);
    let end = format!("{}?digest={digest}", begun.header("location"));
    assert_eq!(server.call("PUT", &end, &[], b"content").await.status, 201);
}

#[tokio::test]
async fn unusual_manifests_are_kept_to_the_byte() {
    let server = Server::start().await;
    server.push_image("app", "base", b"layer").await;
    let nowhere = "sha256:".to_owned() + &"1".repeat(64);
    let subject = format!(r#","subject":{{"mediaType":"{MANIFEST}","digest":"{nowhere}","size":123}}"#);
    let foreign = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip","digest":"{nowhere}","size":99,"urls":["https://example.com/x"]}}]}}"#,
        Digest::sha256(b"{}")
    );
    let large = format!(r#","annotations":{{"large":"{}"}}"#, "A".repeat(4_000_000));
    for (kind, bytes) in [
        (MANIFEST, manifest(b"layer", &subject)),
        (MANIFEST, manifest(b"layer", r#","org.example.extra":{"a":[1,2]}"#)),
        (MANIFEST, manifest(b"layer", &large)),
        (MANIFEST, foreign.into_bytes()),
        (
            INDEX,
            format!(r#"{{ "schemaVersion":2, "mediaType":"{INDEX}","manifests":[] }}"#).into_bytes(),
        ),
    ] {
        let digest = Digest::sha256(&bytes);
        let path = format!("/v2/app/manifests/{digest}");
        // A parameter of the type is not part of it.
        let declared = format!("{kind}; charset=utf-8");
        let put = server.call("PUT", &path, &[("content-type", &declared)], &bytes).await;
        assert_eq!(put.status, 201, "{}", put.text());
        assert_eq!(put.header("docker-content-digest"), digest.as_str());
        let got = server
            .call("GET", put.header("location"), &[("accept", "text/plain")], b"")
            .await;
        assert_eq!((got.header("content-type"), got.body == bytes), (kind, true));
        let head = server.call("HEAD", &path, &[], b"").await;
        assert_eq!(head.header("content-length"), bytes.len().to_string());
    }
    let page = server
        .call("GET", &format!("/v2/app/referrers/{nowhere}"), &[], b"")
        .await;
    assert_eq!(page.json()["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_plus_of_a_media_type_may_be_encoded_or_not() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer").await;
    let subject = Digest::sha256(b"anything");
    let extra = format!(
        r#","artifactType":"application/vnd.example.sbom.v1+json","subject":{{"mediaType":"{MANIFEST}","digest":"{subject}","size":8}}"#
    );
    let artifact = manifest(b"layer", &extra);
    let put = server
        .put_manifest("app", Digest::sha256(&artifact).as_str(), &artifact)
        .await;
    assert_eq!(
        (put.status.as_u16(), put.header("oci-subject")),
        (201, subject.as_str())
    );
    for (kind, count) in [
        ("application/vnd.example.sbom.v1%2Bjson", 1),
        ("application/vnd.example.sbom.v1+json", 1),
        ("application/vnd.example.sbom.v1", 0),
    ] {
        let path = format!("/v2/app/referrers/{subject}?artifactType={kind}");
        let page = server.call("GET", &path, &[], b"").await;
        assert_eq!(page.json()["manifests"].as_array().unwrap().len(), count, "{kind}");
        assert_eq!(page.header("oci-filters-applied"), "artifactType");
    }
}

#[tokio::test]
async fn a_client_that_sends_too_long_a_manifest_gets_its_answer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::start().await;
    // Sent to the end before anything is read, as simple clients do.
    for bytes in [4_194_304, 4_194_305, 12 << 20] {
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "PUT /v2/app/manifests/v1 HTTP/1.1\r\nhost: x\r\ncontent-type: {MANIFEST}\r\ncontent-length: {bytes}\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; bytes]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let expected = if bytes > 4_194_304 {
            "HTTP/1.1 413 "
        } else {
            "HTTP/1.1 400 "
        };
        assert!(answer.starts_with(expected), "{bytes}: {answer}");
    }
}

#[tokio::test]
async fn head_says_how_long_the_answer_to_get_would_be() {
    let server = Server::start().await;
    server.push_image("app", "v1", b"layer").await;
    let digest = Digest::sha256(b"nothing");
    for path in [
        "/v2/".to_owned(),
        "/v2/_catalog".to_owned(),
        "/v2/app/tags/list".to_owned(),
        format!("/v2/app/referrers/{digest}"),
        "/v2/app/manifests/v1".to_owned(),
        "/v2/app/manifests/nope".to_owned(),
        format!("/v2/app/blobs/{digest}"),
        "/v2/missing/app/tags/list".to_owned(),
    ] {
        let (get, head) = (
            server.call("GET", &path, &[], b"").await,
            server.call("HEAD", &path, &[], b"").await,
        );
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn the_catalog_of_who_may_list_few_of_many_comes_in_pages_that_name_nothing_else() {
    let server = Server::start().await;
    {
        let mut repos = server.memory.repos.lock().unwrap();
        let hidden = (0..2_500).map(|n| format!("denied/{n:05}"));
        let names = hidden.chain(["aa/app", "denied", "zz/app"].map(str::to_owned));
        repos.extend(names.map(|name| (name, Default::default())));
    }
    let (mut path, mut found, mut pages) = ("/v2/_catalog?n=2".to_owned(), Vec::new(), 0);
    loop {
        let page = server.call("GET", &path, &[], b"").await;
        assert_eq!(page.status, 200);
        let body: serde_json::Value = serde_json::from_str(&page.text()).unwrap();
        let names = body["repositories"].as_array().unwrap().clone();
        found.extend(names.iter().map(|name| name.as_str().unwrap().to_owned()));
        pages += 1;
        let link = page.headers.get("link").map_or("", |link| link.to_str().unwrap());
        assert!(!link.contains("denied%2F"), "{link}");
        let Some(next) = link.strip_prefix('<').and_then(|link| link.split_once('>')) else {
            break;
        };
        path = next.0.to_owned();
    }
    assert_eq!(found, ["aa/app", "denied", "zz/app"]);
    assert!((3..=5).contains(&pages), "{pages}");
}

#[tokio::test]
async fn repositories_are_listed_in_pages_and_only_those_whose_tags_the_caller_may_list() {
    let server = Server::start().await;
    for name in ["c/d", "a", "b", "e"] {
        server.push_image(name, "v1", b"layer").await;
    }
    server
        .memory
        .repos
        .lock()
        .unwrap()
        .entry("denied/x".to_owned())
        .or_default();
    let names = |answer: &Answer| answer.json()["repositories"].to_string();
    let all = server.call("GET", "/v2/_catalog", &[], b"").await;
    assert_eq!(names(&all), r#"["a","b","c/d","e"]"#);
    assert_eq!((all.status.as_u16(), all.headers.get("link")), (200, None));
    let first = server.call("GET", "/v2/_catalog?n=3", &[], b"").await;
    assert_eq!(names(&first), r#"["a","b","c/d"]"#);
    assert_eq!(first.header("link"), r#"</v2/_catalog?n=3&last=c%2Fd>; rel="next""#);
    let rest = server.call("GET", "/v2/_catalog?n=3&last=c%2Fd", &[], b"").await;
    assert_eq!((names(&rest).as_str(), rest.headers.get("link")), (r#"["e"]"#, None));
    let none = server.call("GET", "/v2/_catalog?n=0", &[], b"").await;
    assert_eq!((names(&none).as_str(), none.headers.get("link")), ("[]", None));
    for n in ["", "1000000", "99999999999999999999"] {
        let answer = server.call("GET", &format!("/v2/_catalog?n={n}"), &[], b"").await;
        assert_eq!(names(&answer), r#"["a","b","c/d","e"]"#, "{n}");
    }
    for n in ["-1", "x", "%2b1", "1.5"] {
        let answer = server.call("GET", &format!("/v2/_catalog?n={n}"), &[], b"").await;
        assert_eq!(of(&answer), (400, "UNSUPPORTED".to_owned()), "{n}");
        let answer = server.call("GET", &format!("/v2/a/tags/list?n={n}"), &[], b"").await;
        assert_eq!(of(&answer), (400, "UNSUPPORTED".to_owned()), "{n}");
    }
    let put = server.call("PUT", "/v2/_catalog", &[], b"").await;
    assert_eq!((put.status.as_u16(), put.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn who_was_told_that_a_blob_is_there_may_name_it_though_its_image_is_deleted_meanwhile() {
    let server = Server::start().await;
    let image = server.push_image("app", "v1", b"layer").await;
    let other = manifest(b"layer", r#","annotations":{"n":"2"}"#);
    let delete = async || {
        let path = format!("/v2/app/manifests/{}", Digest::sha256(&image));
        assert_eq!(server.call("DELETE", &path, &[], b"").await.status, 202);
        // As ECR's rows have it: what only that image named is no longer the repository's.
        server
            .memory
            .repos
            .lock()
            .unwrap()
            .get_mut("app")
            .unwrap()
            .blobs
            .clear();
    };
    let blobs = [Digest::sha256(b"{}"), Digest::sha256(b"layer")];
    let look = async |name: &str| {
        for blob in &blobs {
            let path = format!("/v2/{name}/blobs/{blob}");
            assert_eq!(server.call("HEAD", &path, &[], b"").await.status, 200);
        }
    };
    look("app").await;
    delete().await;
    // Only where they were seen.
    let put = server.put_manifest("elsewhere", "v2", &other).await;
    assert_eq!(of(&put), (404, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    let put = server.put_manifest("app", "v2", &other).await;
    assert_eq!(put.status, 201, "{}", put.text());
    look("app").await;
    let (_, findings) = server.verify().await;
    assert_eq!(findings, []);
    // What was collected is not there, and what was deleted by its digest is the repository's no more.
    let path = format!("/v2/app/manifests/{}", Digest::sha256(&other));
    assert_eq!(server.call("DELETE", &path, &[], b"").await.status, 202);
    for blob in &blobs {
        let deleted = server.call("DELETE", &format!("/v2/app/blobs/{blob}"), &[], b"").await;
        assert_eq!(deleted.status, 202);
    }
    let put = server.put_manifest("app", "v2", &other).await;
    assert_eq!(of(&put), (404, "MANIFEST_BLOB_UNKNOWN".to_owned()));
}
