//! Signing certificates: what is taken, what is refused, and their limit.

use super::*;

macro_rules! pem {
    ($file:literal) => {
        include_str!(concat!("pem/", $file))
    };
}

fn upload(body: &str) -> Value {
    json!({"UserName": "ada", "CertificateBody": body})
}

#[test]
fn a_certificate_from_its_upload_to_its_end() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "Ada"}));
    cloud.ok("CreateUser", json!({"UserName": "bob"}));
    let made = cloud.ok("UploadSigningCertificate", upload(pem!("rsa.pem")))["Certificate"].clone();
    let id = made["CertificateId"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    assert_eq!(
        made,
        json!({"UserName": "Ada", "CertificateId": id, "CertificateBody": pem!("rsa.pem"), "Status": "Active",
            "UploadDate": 1_790_000_000})
    );
    // Once in an account, whoever has it and however it is written.
    let bobs = json!({"UserName": "bob", "CertificateBody": pem!("rsa.pem").trim()});
    assert_eq!(
        cloud.code("UploadSigningCertificate", bobs),
        "DuplicateCertificateException"
    );
    cloud.ok("UploadSigningCertificate", upload(pem!("p384.pem")));
    let error = cloud.refusal("UploadSigningCertificate", upload(pem!("p521.pem")));
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        (
            "LimitExceededException",
            "Cannot exceed quota for SigningCertificatesPerUser: 2"
        )
    );
    let mut of_it = json!({"UserName": "ada", "CertificateId": id, "Status": "Inactive"});
    cloud.ok("UpdateSigningCertificate", of_it.clone());
    of_it["Status"] = json!("Expired");
    assert_eq!(
        cloud.code("UpdateSigningCertificate", of_it.clone()),
        "InvalidInputException"
    );
    assert_eq!(
        cloud.code(
            "DeleteSigningCertificate",
            json!({"UserName": "bob", "CertificateId": id})
        ),
        "NoSuchEntityException"
    );

    cloud.ok("UpdateUser", json!({"UserName": "ada", "NewUserName": "eve"}));
    let listed = cloud.ok("ListSigningCertificates", json!({"UserName": "eve"}))["Certificates"].clone();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    let inactive: Vec<&Value> = listed.iter().filter(|one| one["Status"] == "Inactive").collect();
    assert_eq!(
        inactive.iter().map(|one| &one["CertificateId"]).collect::<Vec<_>>(),
        [&id]
    );
    let report = cloud.ok("GetCredentialReport", json!({}))["Content"].clone();
    use base64::Engine;
    let report = base64::engine::general_purpose::STANDARD.decode(report.as_str().unwrap());
    let report = String::from_utf8(report.unwrap()).unwrap();
    let eve = report.lines().find(|line| line.starts_with("eve,")).unwrap();
    let cells: Vec<&str> = eve.split(',').skip(18).collect();
    let mut active = [cells[0], cells[2]];
    active.sort_unstable();
    assert_eq!((active, cells[1]), (["false", "true"], "2026-09-21T14:13:20+00:00"));

    let error = cloud.refusal("DeleteUser", json!({"UserName": "eve"}));
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        (
            "DeleteConflictException",
            "Cannot delete entity, must delete certificates first."
        )
    );
    for one in listed {
        let of_it = json!({"UserName": "eve", "CertificateId": one["CertificateId"]});
        cloud.ok("DeleteSigningCertificate", of_it.clone());
        assert_eq!(cloud.code("DeleteSigningCertificate", of_it), "NoSuchEntityException");
    }
    cloud.ok("DeleteUser", json!({"UserName": "eve"}));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let mut cloud = Cloud::new();
    cloud.ok("CreateUser", json!({"UserName": "ada"}));
    let two = [pem!("rsa.pem"), pem!("p384.pem")].concat();
    for (body, code) in [
        ("nonsense", "MalformedCertificateException"),
        (pem!("rsa.key"), "MalformedCertificateException"),
        (pem!("expired.pem"), "MalformedCertificateException"),
        (pem!("early.pem"), "MalformedCertificateException"),
        (&two, "MalformedCertificateException"),
        (pem!("ed25519.pem"), "InvalidCertificateException"),
    ] {
        assert_eq!(cloud.code("UploadSigningCertificate", upload(body)), code, "{body}");
    }
}
