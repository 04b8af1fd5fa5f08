//! SSH public keys: both encodings in and out, what is refused, and their limit.

use super::*;

macro_rules! key {
    ($file:literal) => {
        include_str!(concat!("ssh/", $file))
    };
}

fn upload(body: &str) -> Value {
    json!({"UserName": "ada", "SSHPublicKeyBody": body})
}

impl Cloud {
    fn with_keys_of_ada() -> Self {
        let mut cloud = Self::new();
        cloud.ok("CreateUser", json!({"UserName": "Ada"}));
        cloud
    }
}

/// A line of OpenSSH without its comment.
fn bare(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_key_comes_in_either_encoding_and_is_told_in_both() {
    let mut cloud = Cloud::with_keys_of_ada();
    for body in [key!("rsa.pub"), key!("rsa.pem"), key!("rsa-pkcs1.pem")] {
        let made = cloud.ok("UploadSSHPublicKey", upload(body))["SSHPublicKey"].clone();
        let id = made["SSHPublicKeyId"].as_str().unwrap();
        assert!(id.starts_with("APKA") && id.len() == 21, "{id}");
        assert_eq!(
            made,
            json!({"UserName": "Ada", "SSHPublicKeyId": id, "Fingerprint": key!("rsa.md5").trim(), "Status": "Active",
                "SSHPublicKeyBody": body, "UploadDate": 1_790_000_000})
        );
        let mut of_key = json!({"UserName": "ada", "SSHPublicKeyId": id});
        for (encoding, told) in [("SSH", bare(key!("rsa.pub"))), ("PEM", key!("rsa.pem").to_owned())] {
            of_key["Encoding"] = json!(encoding);
            let got = cloud.ok("GetSSHPublicKey", of_key.clone())["SSHPublicKey"].clone();
            assert_eq!(got["SSHPublicKeyBody"], told);
            assert_eq!(got["Fingerprint"], made["Fingerprint"]);
        }
        // The same key in another encoding is the same key.
        for again in [key!("rsa.pub"), key!("rsa.pem")] {
            assert_eq!(
                cloud.code("UploadSSHPublicKey", upload(again)),
                "DuplicateSSHPublicKeyException"
            );
        }
        of_key["Status"] = json!("Inactive");
        cloud.ok("UpdateSSHPublicKey", of_key.clone());
        let listed = cloud.ok("ListSSHPublicKeys", json!({"UserName": "ada"}))["SSHPublicKeys"].clone();
        assert_eq!(
            listed,
            json!([{"UserName": "Ada", "SSHPublicKeyId": id, "Status": "Inactive", "UploadDate": 1_790_000_000}])
        );
        of_key["Status"] = json!("Expired");
        assert_eq!(
            cloud.code("UpdateSSHPublicKey", of_key.clone()),
            "InvalidInputException"
        );
        cloud.ok("DeleteSSHPublicKey", of_key.clone());
        for operation in ["GetSSHPublicKey", "UpdateSSHPublicKey", "DeleteSSHPublicKey"] {
            assert_eq!(
                cloud.code(operation, of_key.clone()),
                "NoSuchEntityException",
                "{operation}"
            );
        }
    }
    // Another user may have the same key.
    cloud.ok("UploadSSHPublicKey", upload(key!("rsa.pub")));
    cloud.ok("CreateUser", json!({"UserName": "bob"}));
    let bobs = json!({"UserName": "bob", "SSHPublicKeyBody": key!("rsa.pub")});
    let id = cloud.ok("UploadSSHPublicKey", bobs)["SSHPublicKey"]["SSHPublicKeyId"].clone();
    let adas = json!({"UserName": "ada", "SSHPublicKeyId": id, "Encoding": "SSH"});
    assert_eq!(cloud.code("GetSSHPublicKey", adas), "NoSuchEntityException");
}

#[test]
fn what_is_no_such_key_is_refused() {
    let mut cloud = Cloud::with_keys_of_ada();
    let line = bare(key!("rsa.pub"));
    let cut = &line[..line.len() - 8];
    let cases = [
        (key!("small.pub").to_owned(), "InvalidPublicKeyException"),
        (cut.to_owned(), "InvalidPublicKeyException"),
        ("ssh-rsa AAAA".to_owned(), "InvalidPublicKeyException"),
        (line.replace("ssh-rsa ", "ssh-rsa  !"), "InvalidPublicKeyException"),
        (key!("ec.pem").to_owned(), "InvalidPublicKeyException"),
        (key!("rsa.pem").replace('M', "!"), "InvalidPublicKeyException"),
        (key!("ed25519.pub").to_owned(), "UnrecognizedPublicKeyEncodingException"),
        (
            include_str!("pem/rsa.pem").to_owned(),
            "UnrecognizedPublicKeyEncodingException",
        ),
        ("nonsense".to_owned(), "UnrecognizedPublicKeyEncodingException"),
        (
            "---- BEGIN SSH2 PUBLIC KEY ----".to_owned(),
            "UnrecognizedPublicKeyEncodingException",
        ),
    ];
    for (body, code) in cases {
        assert_eq!(cloud.code("UploadSSHPublicKey", upload(&body)), code, "{body}");
    }
}

#[test]
fn keys_follow_their_user_and_keep_it() {
    let mut cloud = Cloud::with_keys_of_ada();
    let ids: Vec<Value> = (key!("five.pub").lines().take(5))
        .map(|line| cloud.ok("UploadSSHPublicKey", upload(line))["SSHPublicKey"]["SSHPublicKeyId"].clone())
        .collect();
    let error = cloud.refusal("UploadSSHPublicKey", upload(key!("rsa.pub")));
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        (
            "LimitExceededException",
            "Cannot exceed quota for SSHPublicKeysPerUser: 5"
        )
    );
    cloud.ok("UpdateUser", json!({"UserName": "ada", "NewUserName": "eve"}));
    let page = cloud.ok("ListSSHPublicKeys", json!({"UserName": "eve", "MaxItems": 3}));
    assert_eq!(page["SSHPublicKeys"].as_array().unwrap().len(), 3);
    let rest = cloud.ok(
        "ListSSHPublicKeys",
        json!({"UserName": "eve", "Marker": page["Marker"]}),
    );
    assert_eq!(rest["SSHPublicKeys"].as_array().unwrap().len(), 2);
    let of_eve = json!({"UserName": "eve"});
    let error = cloud.refusal("DeleteUser", of_eve.clone());
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        (
            "DeleteConflictException",
            "Cannot delete entity, must remove referenced objects first."
        )
    );
    for id in ids {
        cloud.ok("DeleteSSHPublicKey", json!({"UserName": "eve", "SSHPublicKeyId": id}));
    }
    cloud.ok("DeleteUser", of_eve);
}
