//! A second factor: proven once, in the session of GetSessionToken, and for a trust policy that asks for it.

use super::*;
use honmaru_iam::MfaDevice;

const SERIAL: &str = "arn:aws:iam::123456789012:mfa/ada";

fn earlier(steps: i64) -> Time {
    Time::from_ms(NOW.as_ms() - steps * 30_000)
}

/// Ada with a device, the device, and what she may do with it alone.
fn with_device(cloud: &mut Cloud) -> (Principal, MfaDevice) {
    let ada = cloud.user("ada");
    cloud.iam("CreateVirtualMFADevice", json!({"VirtualMFADeviceName": "ada"}));
    let scope = Scope::new(ACCOUNT, "us-east-1").unwrap().global();
    let device = cloud.state.get::<MfaDevice>(&scope, SERIAL).unwrap().clone();
    cloud.iam(
        "EnableMFADevice",
        json!({"UserName": "ada", "SerialNumber": SERIAL,
            "AuthenticationCode1": device.code_at(earlier(3)), "AuthenticationCode2": device.code_at(earlier(2))}),
    );
    let with_mfa = |key: &str, value: &str| {
        json!({"Effect": "Allow", "Action": ["iam:ListUsers", "sts:AssumeRole"], "Resource": "*",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}, "NumericLessThan": {key: value}}})
    };
    let policy = json!({"Version": "2012-10-17", "Statement": with_mfa("aws:MultiFactorAuthAge", "60")});
    cloud.iam(
        "PutUserPolicy",
        json!({"UserName": "ada", "PolicyName": "p", "PolicyDocument": policy.to_string()}),
    );
    (ada, device)
}

fn text(result: Result<Value, ApiError>) -> String {
    let error = result.expect_err("it is refused");
    assert_eq!(error.code, "AccessDenied");
    error.message
}

#[test]
fn a_session_with_a_second_factor_may_what_asks_for_one() {
    let mut cloud = Cloud::new();
    let (ada, device) = with_device(&mut cloud);
    assert!(!allows(&cloud, &ada, "iam:ListUsers"));
    let plain = cloud.sts(ada.clone(), "GetSessionToken", json!({})).unwrap();
    let plain = cloud.present(&plain["Credentials"], NOW).unwrap();
    assert!(!allows(&cloud, &plain, "iam:ListUsers"));

    let half = json!({"SerialNumber": SERIAL});
    assert_eq!(
        text(cloud.sts(ada.clone(), "GetSessionToken", half)),
        "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
    );
    let other = json!({"SerialNumber": "arn:aws:iam::123456789012:mfa/bob", "TokenCode": "000000"});
    assert!(text(cloud.sts(ada.clone(), "GetSessionToken", other)).contains("verify your MFA serial number"));
    let code = json!({"SerialNumber": SERIAL, "TokenCode": device.code_at(earlier(1))});
    let answer = cloud.sts(ada.clone(), "GetSessionToken", code.clone()).unwrap();
    // Each code once.
    assert_eq!(
        text(cloud.sts(ada, "GetSessionToken", code)),
        "MultiFactorAuthentication failed with invalid MFA one time pass code."
    );
    let proven = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert!(allows(&cloud, &proven, "iam:ListUsers"));
    // A minute later its age says no.
    let mut old = proven;
    old.session.as_mut().unwrap().mfa_at = Some(earlier(2));
    assert!(!allows(&cloud, &old, "iam:ListUsers"));
}

#[test]
fn a_trust_policy_may_ask_for_a_second_factor() {
    let mut cloud = Cloud::new();
    let (ada, device) = with_device(&mut cloud);
    cloud.role(
        "careful",
        json!([{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}]),
    );
    cloud.iam(
        "AttachRolePolicy",
        json!({"RoleName": "careful", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
    );
    assert!(cloud.sts(ada.clone(), "AssumeRole", assume("careful")).is_err());
    let mut input = assume("careful");
    input["SerialNumber"] = json!(SERIAL);
    input["TokenCode"] = json!("12345x");
    assert_eq!(
        text(cloud.sts(ada.clone(), "AssumeRole", input.clone())),
        "MultiFactorAuthentication failed with invalid MFA one time pass code."
    );
    input["TokenCode"] = json!(device.code_at(NOW));
    let answer = cloud.sts(ada, "AssumeRole", input).unwrap();
    // Ref: IAM User Guide, "Secure API access with MFA": the role's session does not carry it.
    let session = cloud.present(&answer["Credentials"], NOW).unwrap();
    assert_eq!(session.session.unwrap().mfa_at, None);
}
