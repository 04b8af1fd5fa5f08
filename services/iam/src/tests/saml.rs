//! SAML providers: from their metadata to their end; what is no metadata; keys that are never told.

use super::*;

const METADATA: &str = include_str!("saml/metadata.xml");
const ARN: &str = "arn:aws:iam::123456789012:saml-provider/Idp";
const KEY: &str = include_str!("pem/rsa.key");

fn of_idp(more: Value) -> Value {
    let mut input = json!({"SAMLProviderArn": ARN});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

#[test]
fn a_provider_from_its_creation_to_its_end() {
    let mut cloud = Cloud::new();
    let input = json!({"Name": "Idp", "SAMLMetadataDocument": METADATA, "Tags": [{"Key": "team", "Value": "blue"}]});
    let made = cloud.ok("CreateSAMLProvider", input.clone());
    assert_eq!(
        made,
        json!({"SAMLProviderArn": ARN, "Tags": [{"Key": "team", "Value": "blue"}]})
    );
    let error = cloud.refusal("CreateSAMLProvider", input);
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("EntityAlreadyExistsException", "Provider with name Idp already exists.")
    );
    let got = cloud.ok("GetSAMLProvider", of_idp(json!({})));
    assert_eq!(got["SAMLMetadataDocument"], METADATA);
    assert_eq!(got["SAMLProviderUUID"].as_str().unwrap().len(), 22);
    // A hundred years.
    assert_eq!(
        (&got["CreateDate"], &got["ValidUntil"]),
        (&json!(1_790_000_000), &json!(4_945_760_000_i64))
    );
    let entry = json!({"Arn": ARN, "CreateDate": got["CreateDate"], "ValidUntil": got["ValidUntil"]});
    assert_eq!(
        cloud.ok("ListSAMLProviders", json!({}))["SAMLProviderList"],
        json!([entry])
    );
    assert_eq!(cloud.ok("GetAccountSummary", json!({}))["SummaryMap"]["Providers"], 1);

    let dated = METADATA.replace("entityID=", "validUntil=\"2030-01-01T00:00:00Z\" entityID=");
    cloud.ok("UpdateSAMLProvider", of_idp(json!({"SAMLMetadataDocument": dated})));
    assert_eq!(
        cloud.ok("GetSAMLProvider", of_idp(json!({})))["ValidUntil"],
        1_893_456_000
    );
    cloud.ok("TagSAMLProvider", of_idp(json!({"Tags": [{"Key": "b", "Value": "2"}]})));
    cloud.ok("UntagSAMLProvider", of_idp(json!({"TagKeys": ["team"]})));
    assert_eq!(
        cloud.ok("ListSAMLProviderTags", of_idp(json!({})))["Tags"],
        json!([{"Key": "b", "Value": "2"}])
    );
    cloud.ok("DeleteSAMLProvider", of_idp(json!({})));
    for operation in [
        "GetSAMLProvider",
        "UpdateSAMLProvider",
        "DeleteSAMLProvider",
        "ListSAMLProviderTags",
    ] {
        let error = cloud.refusal(operation, of_idp(json!({})));
        assert_eq!(
            (error.code.as_str(), error.message),
            ("NoSuchEntityException", format!("Manifest not found for arn {ARN}"))
        );
    }
}

#[test]
fn what_is_no_metadata_of_an_identity_provider_is_refused() {
    let mut cloud = Cloud::new();
    let without = |from: &str, to: &str| {
        let (begin, end) = (METADATA.find(from).unwrap(), METADATA.find(to).unwrap() + to.len());
        format!("{}{}", &METADATA[..begin], &METADATA[end..])
    };
    let cases = [
        "x".repeat(1_000),
        METADATA.replace("</md:EntityDescriptor>", ""),
        METADATA.replace("</md:IDPSSODescriptor>", "</md:IDPSSO>"),
        METADATA.replace("EntityDescriptor", "EntitiesDescriptor"),
        METADATA.replace(":SAML:2.0:metadata", ":SAML:1.0:metadata"),
        METADATA.replace("IDPSSODescriptor", "SPSSODescriptor"),
        METADATA.replace("entityID=\"https://idp.example.com/metadata\"", ""),
        METADATA.replace("entityID=", "validUntil=\"tomorrow\" entityID="),
        METADATA.replace(
            "<md:EntityDescriptor",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><md:EntityDescriptor",
        ),
        without("<md:KeyDescriptor", "</md:KeyDescriptor>"),
        without("<md:SingleSignOnService", "sso\"/>"),
        format!("{METADATA}{METADATA}"),
        METADATA.replace("<md:NameIDFormat>", &"<a>".repeat(100)),
    ];
    for document in cases {
        let error = cloud.refusal(
            "CreateSAMLProvider",
            json!({"Name": "idp", "SAMLMetadataDocument": document}),
        );
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("InvalidInputException", "Could not parse metadata"),
            "{document}"
        );
    }
}

#[test]
fn private_keys_come_and_go_and_are_never_told() {
    let mut cloud = Cloud::new();
    let create = |more: Value| {
        let mut input = json!({"Name": "Idp", "SAMLMetadataDocument": METADATA});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    for bad in [
        json!({"AssertionEncryptionMode": "Required"}),
        json!({"AddPrivateKey": "nonsense"}),
        json!({"AddPrivateKey": include_str!("pem/rsa.pem")}),
        json!({"AddPrivateKey": include_str!("pem/rsa-encrypted.key")}),
        json!({"AddPrivateKey": include_str!("pem/rsa-traditional-encrypted.key")}),
        json!({"AddPrivateKey": include_str!("pem/p384.key")}),
    ] {
        assert_eq!(cloud.code("CreateSAMLProvider", create(bad)), "InvalidInputException");
    }
    let with_key = json!({"AssertionEncryptionMode": "Required", "AddPrivateKey": KEY});
    cloud.ok("CreateSAMLProvider", create(with_key));
    let traditional = include_str!("pem/rsa-traditional.key");
    cloud.ok("UpdateSAMLProvider", of_idp(json!({"AddPrivateKey": traditional})));
    assert_eq!(
        cloud.code("UpdateSAMLProvider", of_idp(json!({"AddPrivateKey": KEY}))),
        "LimitExceededException"
    );
    let got = cloud.ok("GetSAMLProvider", of_idp(json!({})));
    assert_eq!(got["AssertionEncryptionMode"], "Required");
    let ids: Vec<Value> = got["PrivateKeyList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["KeyId"].clone())
        .collect();
    assert_eq!(ids.len(), 2);
    let (_, row) = cloud
        .state
        .all::<crate::saml::SamlProvider>()
        .map(|(_, key, row)| (key, row))
        .next()
        .unwrap();
    for told in [got.to_string(), format!("{row:?}")] {
        assert!(!told.contains("PRIVATE"), "{told}");
    }
    cloud.ok("UpdateSAMLProvider", of_idp(json!({"RemovePrivateKey": ids[0]})));
    assert_eq!(
        cloud.code("UpdateSAMLProvider", of_idp(json!({"RemovePrivateKey": ids[0]}))),
        "NoSuchEntityException"
    );
    // Who requires encryption needs the last one.
    let last = json!({"RemovePrivateKey": ids[1]});
    assert_eq!(cloud.code("UpdateSAMLProvider", of_idp(last)), "InvalidInputException");
    let last = json!({"RemovePrivateKey": ids[1], "AssertionEncryptionMode": "Allowed"});
    cloud.ok("UpdateSAMLProvider", of_idp(last));
    assert!(cloud.ok("GetSAMLProvider", of_idp(json!({})))["PrivateKeyList"].is_null());
}
