//! Virtual MFA devices: from the seed to a user's second factor and away again.

use super::*;
use crate::model::key_of;

const SERIAL: &str = "arn:aws:iam::123456789012:mfa/phones/ada";

fn earlier(steps: i64) -> Time {
    Time::from_ms(NOW.as_ms() - steps * 30_000)
}

impl Cloud {
    fn device(&self) -> MfaDevice {
        let scope = crate::machine::scope_of(&account());
        self.state.get::<MfaDevice>(&scope, SERIAL).unwrap().clone()
    }

    fn codes(&self, steps_ago: i64) -> Value {
        let (first, second) = (earlier(steps_ago + 1), earlier(steps_ago));
        json!({"UserName": "ada", "SerialNumber": SERIAL,
            "AuthenticationCode1": self.device().code_at(first), "AuthenticationCode2": self.device().code_at(second)})
    }

    fn with_device() -> Self {
        let mut cloud = Self::new();
        cloud.ok("CreateUser", json!({"UserName": "ada"}));
        let input = json!({"VirtualMFADeviceName": "ada", "Path": "/phones/", "Tags": [{"Key": "k", "Value": "v"}]});
        let made = cloud.ok("CreateVirtualMFADevice", input.clone());
        assert_eq!(made["VirtualMFADevice"]["SerialNumber"], SERIAL);
        // What every PNG begins with, in base64.
        let picture = made["VirtualMFADevice"]["QRCodePNG"].as_str().unwrap();
        assert!(picture.starts_with("iVBORw0KGgo"), "{picture}");
        assert_eq!(
            cloud.code("CreateVirtualMFADevice", input),
            "EntityAlreadyExistsException"
        );
        cloud
    }
}

#[test]
fn a_device_is_somebodys_second_factor_after_two_codes_in_a_row() {
    let mut cloud = Cloud::with_device();
    let of_ada = json!({"UserName": "ada"});
    assert_eq!(cloud.ok("ListMFADevices", of_ada.clone())["MFADevices"], json!([]));
    let mut wrong = cloud.codes(0);
    wrong["AuthenticationCode1"] = wrong["AuthenticationCode2"].clone();
    assert_eq!(
        cloud.code("EnableMFADevice", wrong),
        "InvalidAuthenticationCodeException"
    );
    let right = cloud.codes(0);
    cloud.ok("EnableMFADevice", right.clone());
    assert_eq!(cloud.code("EnableMFADevice", right), "EntityAlreadyExistsException");
    let listed = cloud.ok("ListMFADevices", of_ada.clone());
    assert_eq!(listed["MFADevices"][0]["SerialNumber"], SERIAL);
    let of_device = json!({"UserName": "ada", "SerialNumber": SERIAL});
    assert_eq!(cloud.ok("GetMFADevice", of_device.clone())["UserName"], "ada");
    let assigned = cloud.ok("ListVirtualMFADevices", json!({"AssignmentStatus": "Assigned"}));
    assert_eq!(assigned["VirtualMFADevices"][0]["User"]["UserName"], "ada");
    assert!(assigned["VirtualMFADevices"][0].get("Base32StringSeed").is_none());
    let free = cloud.ok("ListVirtualMFADevices", json!({"AssignmentStatus": "Unassigned"}));
    assert_eq!(free["VirtualMFADevices"], json!([]));
    let summary = cloud.ok("GetAccountSummary", json!({}))["SummaryMap"].clone();
    assert_eq!(
        (&summary["MFADevices"], &summary["MFADevicesInUse"]),
        (&json!(1), &json!(1))
    );

    // It follows its user, and keeps the user from being deleted.
    cloud.ok("UpdateUser", json!({"UserName": "ada", "NewUserName": "Eve"}));
    assert_eq!(cloud.device().assigned.unwrap().user, key_of("Eve"));
    let refused = cloud.refusal("DeleteUser", json!({"UserName": "eve"}));
    assert_eq!(refused.message, "Cannot delete entity, must delete MFA device first.");
    let of_nobody = json!({"SerialNumber": SERIAL});
    assert_eq!(
        cloud.code("DeleteVirtualMFADevice", of_nobody.clone()),
        "DeleteConflictException"
    );
    assert_eq!(cloud.code("DeactivateMFADevice", of_device), "NoSuchEntityException");
    cloud.ok(
        "DeactivateMFADevice",
        json!({"UserName": "eve", "SerialNumber": SERIAL}),
    );
    cloud.ok("DeleteUser", json!({"UserName": "eve"}));
    cloud.ok("DeleteVirtualMFADevice", of_nobody.clone());
    assert_eq!(cloud.code("DeleteVirtualMFADevice", of_nobody), "NoSuchEntityException");
}

#[test]
fn a_code_proves_once_and_only_for_its_user() {
    let mut cloud = Cloud::with_device();
    cloud.ok("CreateUser", json!({"UserName": "bob"}));
    let codes = cloud.codes(1);
    cloud.ok("EnableMFADevice", codes);
    let (ada, bob, device) = (cloud.user("ada"), cloud.user("bob"), cloud.device());
    let mut prove = |who: &Principal, code: &str| {
        let mut tx = Tx::new(&mut cloud.state, NOW, &mut cloud.rng);
        let answer = prove_mfa(&mut tx, who, SERIAL, code);
        tx.commit();
        answer
    };
    let code = device.code_at(NOW);
    assert_eq!(prove(&bob, &code), Err(MfaRefusal::NotTheirs));
    // The codes that enabled the device were used.
    assert_eq!(prove(&ada, &device.code_at(earlier(1))), Err(MfaRefusal::WrongCode));
    assert_eq!(prove(&ada, &code), Ok(()));
    assert_eq!(prove(&ada, &code), Err(MfaRefusal::WrongCode));
}

#[test]
fn a_clock_that_is_wrong_is_learnt() {
    let mut cloud = Cloud::with_device();
    // Ten minutes behind.
    let codes = cloud.codes(20);
    cloud.ok("EnableMFADevice", codes);
    let (ada, device) = (cloud.user("ada"), cloud.device());
    let mut prove = |code: &str| {
        let mut tx = Tx::new(&mut cloud.state, NOW, &mut cloud.rng);
        let answer = prove_mfa(&mut tx, &ada, SERIAL, code);
        tx.commit();
        answer
    };
    assert_eq!(prove(&device.code_at(NOW)), Err(MfaRefusal::WrongCode));
    assert_eq!(prove(&device.code_at(earlier(19))), Ok(()));
    let codes = cloud.codes(0);
    cloud.ok("ResyncMFADevice", codes);
    // Two hours away is no clock's error.
    let codes = cloud.codes(240);
    assert_eq!(
        cloud.code("ResyncMFADevice", codes),
        "InvalidAuthenticationCodeException"
    );
}

#[test]
fn devices_have_tags() {
    let mut cloud = Cloud::with_device();
    let of_device = json!({"SerialNumber": SERIAL});
    cloud.ok(
        "TagMFADevice",
        json!({"SerialNumber": SERIAL, "Tags": [{"Key": "b", "Value": "2"}]}),
    );
    cloud.ok("UntagMFADevice", json!({"SerialNumber": SERIAL, "TagKeys": ["k"]}));
    assert_eq!(
        cloud.ok("ListMFADeviceTags", of_device)["Tags"],
        json!([{"Key": "b", "Value": "2"}])
    );
}
