//! Server certificates: what is taken, what is refused, and that the private key is in no answer.

use super::*;

macro_rules! pem {
    ($file:literal) => {
        include_str!(concat!("pem/", $file))
    };
}

fn upload(name: &str, body: &str, key: &str) -> Value {
    json!({"ServerCertificateName": name, "CertificateBody": body, "PrivateKey": key})
}

fn rsa(name: &str) -> Value {
    upload(name, pem!("rsa.pem"), pem!("rsa.key"))
}

fn with_chain(chain: &[&str]) -> Value {
    let mut input = upload("api", pem!("leaf.pem"), pem!("leaf.key"));
    input["CertificateChain"] = json!(chain.concat());
    input
}

const MALFORMED: &str = "MalformedCertificateException";

#[test]
fn a_certificate_comes_goes_and_is_told_without_its_key() {
    let mut cloud = Cloud::new();
    let mut input = rsa("Shop");
    input["Path"] = json!("/web/");
    input["Tags"] = json!([{"Key": "team", "Value": "blue"}]);
    let made = cloud.ok("UploadServerCertificate", input.clone());
    let metadata = &made["ServerCertificateMetadata"];
    let id = metadata["ServerCertificateId"].as_str().unwrap();
    assert!(id.starts_with("ASCA") && id.len() == 21, "{id}");
    assert_eq!(metadata["Arn"], "arn:aws:iam::123456789012:server-certificate/web/Shop");
    // 2120-01-01.
    assert_eq!(metadata["Expiration"], 4_733_510_400_f64);
    assert_eq!(made["Tags"], json!([{"Key": "team", "Value": "blue"}]));
    assert_eq!(
        cloud.code("UploadServerCertificate", rsa("shop")),
        "EntityAlreadyExistsException"
    );

    let of_shop = json!({"ServerCertificateName": "shop"});
    let got = cloud.ok("GetServerCertificate", of_shop.clone())["ServerCertificate"].clone();
    assert_eq!(got["CertificateBody"], pem!("rsa.pem").trim());
    assert_eq!(&got["ServerCertificateMetadata"], metadata);
    assert_eq!(got["Tags"], made["Tags"]);
    for text in [made.to_string(), got.to_string()] {
        assert!(!text.contains("PRIVATE"), "{text}");
    }
    let row = server_certificate(&cloud.state, "arn:aws:iam::123456789012:server-certificate/web/Shop").unwrap();
    assert!(!format!("{row:?}").contains("PRIVATE"));
    assert_eq!(row.names, ["shop.example.com", "*.shop.example.com"]);
    assert_eq!(row.key_algorithm, "RSA_2048");

    cloud.ok(
        "TagServerCertificate",
        json!({"ServerCertificateName": "shop", "Tags": [{"Key": "b", "Value": "2"}]}),
    );
    cloud.ok(
        "UntagServerCertificate",
        json!({"ServerCertificateName": "shop", "TagKeys": ["team"]}),
    );
    assert_eq!(
        cloud.ok("ListServerCertificateTags", of_shop.clone())["Tags"],
        json!([{"Key": "b", "Value": "2"}])
    );

    cloud.ok("UploadServerCertificate", rsa("other"));
    let rename = json!({"ServerCertificateName": "shop", "NewServerCertificateName": "Other"});
    assert_eq!(
        cloud.code("UpdateServerCertificate", rename),
        "EntityAlreadyExistsException"
    );
    let rename = json!({"ServerCertificateName": "shop", "NewServerCertificateName": "store", "NewPath": "/"});
    cloud.ok("UpdateServerCertificate", rename.clone());
    assert_eq!(cloud.code("UpdateServerCertificate", rename), "NoSuchEntityException");
    let stored = cloud.ok("GetServerCertificate", json!({"ServerCertificateName": "store"}));
    let renamed = &stored["ServerCertificate"]["ServerCertificateMetadata"];
    assert_eq!(renamed["Arn"], "arn:aws:iam::123456789012:server-certificate/store");
    assert_eq!(renamed["ServerCertificateId"], metadata["ServerCertificateId"]);

    let summary = cloud.ok("GetAccountSummary", json!({}))["SummaryMap"].clone();
    assert_eq!(
        (&summary["ServerCertificates"], &summary["ServerCertificatesQuota"]),
        (&json!(2), &json!(20))
    );
    cloud.ok("DeleteServerCertificate", json!({"ServerCertificateName": "STORE"}));
    let refused = cloud.refusal("DeleteServerCertificate", json!({"ServerCertificateName": "store"}));
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        (
            "NoSuchEntityException",
            "The Server Certificate with name store cannot be found."
        )
    );
}

#[test]
fn keys_of_every_form_are_taken_if_they_are_the_certificates() {
    let mut cloud = Cloud::new();
    for (name, body, key, algorithm) in [
        ("pkcs1", pem!("rsa.pem"), pem!("rsa-traditional.key"), "RSA_2048"),
        ("pkcs8", pem!("rsa.pem"), pem!("rsa.key"), "RSA_2048"),
        ("small", pem!("rsa-1024.pem"), pem!("rsa-1024.key"), "RSA_1024"),
        ("sec1", pem!("leaf.pem"), pem!("leaf.key"), "EC_prime256v1"),
        ("p384", pem!("p384.pem"), pem!("p384.key"), "EC_secp384r1"),
        ("p521", pem!("p521.pem"), pem!("p521.key"), "EC_secp521r1"),
    ] {
        let made = cloud.ok("UploadServerCertificate", upload(name, body, key));
        let arn = made["ServerCertificateMetadata"]["Arn"].as_str().unwrap().to_owned();
        assert_eq!(server_certificate(&cloud.state, &arn).unwrap().key_algorithm, algorithm);
    }
    for (body, key) in [
        (pem!("rsa.pem"), pem!("rsa-1024.key")),
        (pem!("rsa.pem"), pem!("leaf.key")),
        (pem!("leaf.pem"), pem!("nowhere.key")),
        (pem!("leaf.pem"), pem!("p384.key")),
        (pem!("p521.pem"), pem!("leaf.key")),
    ] {
        let code = cloud.code("UploadServerCertificate", upload("x", body, key));
        assert_eq!(code, "KeyPairMismatchException");
    }
}

#[test]
fn what_is_no_certificate_or_no_key_is_malformed() {
    let mut cloud = Cloud::new();
    let mut says = |input: Value| {
        let refused = cloud.refusal("UploadServerCertificate", input);
        assert_eq!(refused.code, MALFORMED);
        refused.message
    };
    let no_certificate = "Unable to parse certificate. Please ensure the certificate is in PEM format.";
    let cut = pem!("rsa.pem").replace("\nMII", "\nMIJ");
    for body in ["rsa.pem", pem!("rsa.key"), &cut] {
        assert_eq!(says(upload("x", body, pem!("rsa.key"))), no_certificate, "{body}");
    }
    for key in [pem!("rsa-encrypted.key"), pem!("rsa-traditional-encrypted.key")] {
        let said = says(upload("x", pem!("rsa.pem"), key));
        assert_eq!(said, "Unable to parse key; the body is encrypted.");
    }
    let two = [pem!("rsa.key"), pem!("leaf.key")].concat();
    for key in ["x", pem!("rsa.pem"), pem!("ed25519.key"), &two] {
        let said = says(upload("x", pem!("rsa.pem"), key));
        assert!(said.starts_with("Unable to parse key."), "{said}");
    }
    let said = says(upload("x", pem!("expired.pem"), pem!("expired.key")));
    assert!(said.starts_with("Certificate is no longer valid."), "{said}");
    let said = says(upload("x", pem!("early.pem"), pem!("early.key")));
    assert!(said.starts_with("Certificate is not yet valid."), "{said}");
    let both = [pem!("leaf.pem"), pem!("between.pem")].concat();
    let said = says(upload("x", &both, pem!("leaf.key")));
    assert!(said.starts_with("Unable to validate certificate chain."), "{said}");
}

#[test]
fn a_chain_leads_on_from_the_certificate_link_by_link() {
    let (between, root, stranger) = (pem!("between.pem"), pem!("root.pem"), pem!("rsa.pem"));
    let mut cloud = Cloud::new();
    for (chain, index) in [
        (vec![root], "0"),
        (vec![root, between], "0"),
        (vec![between, stranger], "1"),
        (vec![between, root, stranger], "2"),
        (vec!["x"], "-1"),
        (vec![between, pem!("leaf.key")], "-1"),
    ] {
        let refused = cloud.refusal("UploadServerCertificate", with_chain(&chain));
        assert_eq!(refused.code, MALFORMED);
        let end = format!("The index within the chain of the invalid certificate is: {index}");
        assert!(refused.message.ends_with(&end), "{}", refused.message);
    }
    cloud.ok("UploadServerCertificate", with_chain(&[between, root]));
    let got = cloud.ok("GetServerCertificate", json!({"ServerCertificateName": "api"}));
    let chain = [between, root].concat();
    assert_eq!(got["ServerCertificate"]["CertificateChain"], chain.trim());
    let row = server_certificate(&cloud.state, "arn:aws:iam::123456789012:server-certificate/api").unwrap();
    assert_eq!(row.chain_pem().matches("BEGIN CERTIFICATE").count(), 3);
}

#[test]
fn an_account_has_twenty_and_lists_them_by_path() {
    let mut cloud = Cloud::new();
    for n in 0..20 {
        let mut input = rsa(&format!("c{n:02}"));
        input["Path"] = json!(if n < 5 { "/cloudfront/" } else { "/" });
        cloud.ok("UploadServerCertificate", input);
    }
    let refused = cloud.refusal("UploadServerCertificate", rsa("c20"));
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        (
            "LimitExceededException",
            "Cannot exceed quota for ServerCertificatesPerAccount: 20"
        )
    );
    let first = cloud.ok(
        "ListServerCertificates",
        json!({"PathPrefix": "/cloudfront/", "MaxItems": 3}),
    );
    let rest = json!({"PathPrefix": "/cloudfront/", "Marker": first["Marker"]});
    let rest = cloud.ok("ListServerCertificates", rest);
    let names = |page: &Value| -> Vec<String> {
        let items = page["ServerCertificateMetadataList"].as_array().unwrap();
        let names = items.iter().map(|item| item["ServerCertificateName"].as_str().unwrap());
        names.map(str::to_owned).collect()
    };
    assert_eq!(
        (names(&first), &first["IsTruncated"]),
        (vec!["c00".into(), "c01".into(), "c02".into()], &json!(true))
    );
    assert_eq!(names(&rest), ["c03", "c04"]);
    assert_eq!(names(&cloud.ok("ListServerCertificates", json!({}))).len(), 20);
}

#[test]
fn permissions_are_for_certificates_by_path_and_tag() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    let ada = cloud.user("ada");
    let policy = |cloud: &mut Cloud, statements: Value| {
        let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let input = json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": document});
        cloud.ok("PutUserPolicy", input);
    };
    let web = "arn:aws:iam::123456789012:server-certificate/web/*";
    policy(
        &mut cloud,
        json!([{"Effect": "Allow", "Action": ["iam:UploadServerCertificate", "iam:UpdateServerCertificate"], "Resource": web}]),
    );
    let mut input = rsa("shop");
    assert!(
        cloud
            .call_as(ada.clone(), "UploadServerCertificate", input.clone())
            .is_err()
    );
    input["Path"] = json!("/web/");
    input["Tags"] = json!([{"Key": "team", "Value": "blue"}]);
    // With tags it is a second permission.
    let refused = cloud
        .call_as(ada.clone(), "UploadServerCertificate", input.clone())
        .unwrap_err();
    assert!(refused.message.contains("iam:TagServerCertificate"), "{refused}");
    let upload = json!([
        "iam:UploadServerCertificate",
        "iam:TagServerCertificate",
        "iam:UpdateServerCertificate"
    ]);
    policy(
        &mut cloud,
        json!([{"Effect": "Allow", "Action": upload, "Resource": web},
            {"Effect": "Allow", "Action": "iam:GetServerCertificate", "Resource": "*",
             "Condition": {"StringEquals": {"aws:ResourceTag/team": "blue"}}}]),
    );
    cloud.call_as(ada.clone(), "UploadServerCertificate", input).unwrap();
    let of_shop = json!({"ServerCertificateName": "shop"});
    cloud.call_as(ada.clone(), "GetServerCertificate", of_shop).unwrap();
    cloud.ok("UploadServerCertificate", rsa("plain"));
    let of_plain = json!({"ServerCertificateName": "plain"});
    assert!(cloud.call_as(ada.clone(), "GetServerCertificate", of_plain).is_err());
    // What it becomes must be allowed, too.
    let away = json!({"ServerCertificateName": "shop", "NewPath": "/"});
    assert!(cloud.call_as(ada.clone(), "UpdateServerCertificate", away).is_err());
    let within = json!({"ServerCertificateName": "shop", "NewServerCertificateName": "store"});
    cloud.call_as(ada, "UpdateServerCertificate", within).unwrap();
}
