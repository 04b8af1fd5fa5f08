//! HTTPS and TLS listeners: their certificates, their security policies, and what the edge gets of them.

use crate::support::*;
use serde_json::{Value, json};

macro_rules! pem {
    ($file:literal) => {
        include_str!(concat!("../../../iam/src/tests/pem/", $file))
    };
}

fn arn(name: &str) -> String {
    format!("arn:aws:iam::000000000000:server-certificate/{name}")
}

fn upload(cloud: &mut Cloud, name: &str, body: &str, key: &str) -> String {
    let input = json!({"ServerCertificateName": name, "CertificateBody": body, "PrivateKey": key});
    cloud.iam("UploadServerCertificate", input);
    arn(name)
}

/// A certificate that listeners serve with.
pub(crate) fn some(cloud: &mut Cloud) -> String {
    upload(cloud, "some", pem!("rsa.pem"), pem!("rsa.key"))
}

fn secure(balancer: &str, group: &str, certificates: &[&str]) -> Value {
    let mut input = listener_input(balancer, 443, group);
    let certificates: Vec<Value> = certificates.iter().map(|arn| json!({"CertificateArn": arn})).collect();
    input["Protocol"] = json!("HTTPS");
    input["Certificates"] = json!(certificates);
    input
}

fn listed(cloud: &mut Cloud, listener: &str) -> Vec<(String, bool)> {
    let shown = cloud.ok("DescribeListenerCertificates", json!({"ListenerArn": listener}));
    let rows = shown["Certificates"].as_array().unwrap().iter();
    rows.map(|row| {
        let arn = row["CertificateArn"].as_str().unwrap().to_owned();
        (arn, row["IsDefault"].as_bool().unwrap())
    })
    .collect()
}

fn of(listener: &str, certificate: &str) -> Value {
    json!({"ListenerArn": listener, "Certificates": [{"CertificateArn": certificate}]})
}

#[test]
fn a_listener_has_a_default_certificate_and_a_list() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let shop = upload(&mut cloud, "shop", pem!("rsa.pem"), pem!("rsa.key"));
    let strong = upload(&mut cloud, "strong", pem!("p384.pem"), pem!("p384.key"));
    let api = upload(&mut cloud, "api", pem!("leaf.pem"), pem!("leaf.key"));
    let made = cloud.ok("CreateListener", secure(&balancer, &group, &[&shop]))["Listeners"][0].clone();
    assert_eq!(made["Certificates"], json!([{"CertificateArn": shop}]));
    assert_eq!(made["SslPolicy"], "ELBSecurityPolicy-2016-08");
    let listener = made["ListenerArn"].as_str().unwrap().to_owned();
    cloud.ok("CreateListener", secure(&balancer, &group, &[&shop]));
    cloud.fails(
        "CreateListener",
        secure(&balancer, &group, &[&api]),
        "DuplicateListener",
    );

    let added = cloud.ok("AddListenerCertificates", of(&listener, &strong));
    assert_eq!(
        added["Certificates"],
        json!([{"CertificateArn": strong, "IsDefault": false}])
    );
    // What is listed is not added again; the default one may be listed, too.
    cloud.ok("AddListenerCertificates", of(&listener, &strong));
    cloud.ok("AddListenerCertificates", of(&listener, &shop));
    let rows = |rows: &[(&String, bool)]| -> Vec<(String, bool)> {
        rows.iter()
            .map(|(arn, is_default)| ((*arn).clone(), *is_default))
            .collect()
    };
    let expected = rows(&[(&shop, true), (&strong, false), (&shop, false)]);
    assert_eq!(listed(&mut cloud, &listener), expected);
    let first = json!({"ListenerArn": listener, "PageSize": 1});
    let first = cloud.ok("DescribeListenerCertificates", first);
    let rest = json!({"ListenerArn": listener, "Marker": first["NextMarker"]});
    let rest = cloud.ok("DescribeListenerCertificates", rest);
    assert_eq!(rest["Certificates"].as_array().unwrap().len(), 2);

    // A renewed certificate: the list stays, and the edge gets the new one first.
    let renewed = json!([{"CertificateArn": api}]);
    cloud.ok(
        "ModifyListener",
        json!({"ListenerArn": listener, "Certificates": renewed}),
    );
    let expected = rows(&[(&api, true), (&strong, false), (&shop, false)]);
    assert_eq!(listed(&mut cloud, &listener), expected);
    let part = honmaru_elbv2::edge_config(&cloud.state);
    let served = &part.load_balancers[&balancer].listeners[0];
    let arns: Vec<&str> = served.certificates.iter().map(|it| it.arn.as_str()).collect();
    assert_eq!(arns, [api.as_str(), strong.as_str(), shop.as_str()]);
    assert_eq!(served.certificates[0].chain_pem.trim(), pem!("leaf.pem").trim());
    assert_eq!(served.certificates[0].names, ["api.example.com"]);
    assert_eq!(served.certificates[0].key_pem, pem!("leaf.key").trim());
    assert!(!format!("{part:?}").contains("PRIVATE"));

    cloud.fails(
        "RemoveListenerCertificates",
        of(&listener, &api),
        "OperationNotPermitted",
    );
    cloud.ok("RemoveListenerCertificates", of(&listener, &shop));
    assert_eq!(listed(&mut cloud, &listener), rows(&[(&api, true), (&strong, false)]));
    assert_eq!(honmaru_elbv2::certificate_user(&cloud.state, &strong), Some(balancer));
    assert_eq!(honmaru_elbv2::certificate_user(&cloud.state, &shop), None);
    // A plain listener has none of it.
    cloud.ok("ModifyListener", json!({"ListenerArn": listener, "Protocol": "HTTP"}));
    assert_eq!(listed(&mut cloud, &listener), []);
    cloud.fails("AddListenerCertificates", of(&listener, &shop), "ValidationError");
}

#[test]
fn a_certificate_without_a_subject_alternative_name_is_chosen_by_its_common_name() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let shop = upload(&mut cloud, "shop", pem!("rsa.pem"), pem!("rsa.key"));
    let old = upload(&mut cloud, "old", pem!("unlisted.pem"), pem!("unlisted.key"));
    let made = cloud.ok("CreateListener", secure(&balancer, &group, &[&shop]))["Listeners"][0].clone();
    let listener = made["ListenerArn"].as_str().unwrap();
    cloud.ok("AddListenerCertificates", of(listener, &old));
    let part = honmaru_elbv2::edge_config(&cloud.state);
    let names = part.load_balancers[&balancer].listeners[0]
        .certificates
        .iter()
        .map(|it| it.names.join(" "));
    let names: Vec<String> = names.collect();
    assert_eq!(names, ["shop.example.com *.shop.example.com", "old.example.com"]);
}

#[test]
fn certificates_that_cannot_be_served_are_refused() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let shop = upload(&mut cloud, "shop", pem!("rsa.pem"), pem!("rsa.key"));
    for (name, body, key) in [
        ("weak", pem!("rsa-1024.pem"), pem!("rsa-1024.key")),
        ("odd", pem!("p521.pem"), pem!("p521.key")),
        ("nowhere", pem!("nowhere.pem"), pem!("nowhere.key")),
    ] {
        let arn = upload(&mut cloud, name, body, key);
        let said = cloud.fails(
            "CreateListener",
            secure(&balancer, &group, &[&arn]),
            "UnsupportedCertificate",
        );
        assert_eq!(
            said,
            format!(
                "The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a \
                 supported key size."
            )
        );
    }
    let other_account = "arn:aws:iam::111111111111:server-certificate/shop";
    for unknown in [&arn("none"), &arn("path/shop"), other_account] {
        let said = cloud.fails(
            "CreateListener",
            secure(&balancer, &group, &[unknown]),
            "CertificateNotFound",
        );
        assert_eq!(said, format!("Certificate '{unknown}' not found"));
    }
    let said = cloud.fails(
        "CreateListener",
        secure(&balancer, &group, &["shop"]),
        "ValidationError",
    );
    assert_eq!(said, "Certificate ARN 'shop' is not valid");
    let said = cloud.fails("CreateListener", secure(&balancer, &group, &[]), "ValidationError");
    assert_eq!(said, "A certificate must be specified for HTTPS listeners");
    let two = secure(&balancer, &group, &[&shop, &shop]);
    let said = cloud.fails("CreateListener", two, "TooManyCertificates");
    assert_eq!(
        said,
        "Up to '1' certificate ARNs can be specified, but '2' were specified"
    );
    let mut plain = secure(&balancer, &group, &[&shop]);
    plain["Protocol"] = json!("HTTP");
    cloud.fails("CreateListener", plain, "ValidationError");
}

#[test]
fn a_balancer_has_twenty_five_certificates_beside_the_default_ones() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let scope = cloud.scope.global();
    let shop = upload(&mut cloud, "shop", pem!("rsa.pem"), pem!("rsa.key"));
    // More than IAM lets an account have: its quota can be raised.
    for n in 0..26 {
        let mut row = honmaru_iam::server_certificate(&cloud.state, &shop).unwrap().clone();
        (row.name, row.arn) = (format!("c{n}"), arn(&format!("c{n}")));
        cloud.observe(|tx| tx.put(&scope, &format!("c{n}"), row));
    }
    let made = cloud.ok("CreateListener", secure(&balancer, &group, &[&shop]));
    let first = made["Listeners"][0]["ListenerArn"].as_str().unwrap().to_owned();
    let mut input = secure(&balancer, &group, &[&shop]);
    input["Port"] = json!(8443);
    let made = cloud.ok("CreateListener", input);
    let second = made["Listeners"][0]["ListenerArn"].as_str().unwrap().to_owned();
    for n in 0..25 {
        let listener = if n < 20 { &first } else { &second };
        cloud.ok("AddListenerCertificates", of(listener, &arn(&format!("c{n}"))));
    }
    cloud.fails(
        "AddListenerCertificates",
        of(&first, &arn("c25")),
        "TooManyCertificates",
    );
    // One that is counted already.
    cloud.ok("AddListenerCertificates", of(&second, &arn("c0")));
    let two =
        json!({"ListenerArn": first, "Certificates": [{"CertificateArn": arn("c1")}, {"CertificateArn": arn("c2")}]});
    cloud.fails("AddListenerCertificates", two, "TooManyCertificates");
}

#[test]
fn policies_say_and_are_what_is_served() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let shop = upload(&mut cloud, "shop", pem!("rsa.pem"), pem!("rsa.key"));
    let made = cloud.ok("CreateListener", secure(&balancer, &group, &[&shop]));
    let listener = made["Listeners"][0]["ListenerArn"].as_str().unwrap().to_owned();
    for (policy, versions) in [
        ("ELBSecurityPolicy-2016-08", vec!["TLSv1.2"]),
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", vec!["TLSv1.2", "TLSv1.3"]),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", vec!["TLSv1.3"]),
    ] {
        let changed = cloud.ok("ModifyListener", json!({"ListenerArn": listener, "SslPolicy": policy}));
        assert_eq!(changed["Listeners"][0]["SslPolicy"], policy);
        let shown = cloud.ok("DescribeSSLPolicies", json!({"Names": [policy]}));
        assert_eq!(shown["SslPolicies"][0]["SslProtocols"], json!(versions));
        let part = honmaru_elbv2::edge_config(&cloud.state);
        assert_eq!(part.load_balancers[&balancer].listeners[0].tls_versions, versions);
    }
    let mut said = |policy: &str, code: &str| {
        cloud.fails(
            "ModifyListener",
            json!({"ListenerArn": listener, "SslPolicy": policy}),
            code,
        )
    };
    assert_eq!(said("Mine", "SSLPolicyNotFound"), "SSL policy 'Mine' not found");
    for (policy, why) in [
        ("ELBSecurityPolicy-TLS13-1-0-2021-06", "TLS 1.0 and 1.1"),
        ("ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04", "FIPS"),
        ("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", "post-quantum"),
    ] {
        let said = said(policy, "InvalidConfigurationRequest");
        assert!(
            said.contains(why) && said.ends_with("is not supported by Honmaru") || said.contains("are not"),
            "{said}"
        );
    }
    cloud.ok("DeleteListener", json!({"ListenerArn": listener}));
}

#[test]
fn tls_listeners_offer_protocols() {
    let mut cloud = Cloud::new();
    let (subnets, vpc) = (cloud.subnets.clone(), cloud.vpc.clone());
    let shop = upload(&mut cloud, "shop", pem!("rsa.pem"), pem!("rsa.key"));
    let made = json!({"Name": "net", "Type": "network", "Subnets": &subnets[..2]});
    let made = cloud.ok("CreateLoadBalancer", made);
    let balancer = made["LoadBalancers"][0]["LoadBalancerArn"].as_str().unwrap().to_owned();
    let made = json!({"Name": "t", "Protocol": "TCP", "Port": 80, "VpcId": vpc, "TargetType": "ip"});
    let made = cloud.ok("CreateTargetGroup", made);
    let group = made["TargetGroups"][0]["TargetGroupArn"].as_str().unwrap().to_owned();
    let input = |protocol: &str, policy: &str| {
        let mut input = secure(&balancer, &group, &[&shop]);
        (input["Protocol"], input["AlpnPolicy"]) = (json!(protocol), json!([policy]));
        input
    };
    cloud.fails("CreateListener", input("TLS", "HTTP3Only"), "ALPNPolicyNotSupported");
    let mut tcp = input("TCP", "HTTP2Only");
    tcp.as_object_mut().unwrap().remove("Certificates");
    cloud.fails("CreateListener", tcp, "ValidationError");
    let made = cloud.ok("CreateListener", input("TLS", "HTTP2Preferred"));
    assert_eq!(made["Listeners"][0]["AlpnPolicy"], json!(["HTTP2Preferred"]));
    let part = honmaru_elbv2::edge_config(&cloud.state);
    let served = &part.load_balancers[&balancer].listeners[0];
    assert_eq!(served.alpn_protocols, ["h2", "http/1.1", "http/1.0"]);
    assert_eq!(served.certificates[0].arn, shop);
}
