//! Account settings. The long ARN formats are always on, as in every AWS account of today.

use crate::error::{invalid, unsupported};
use crate::input::Input;
use crate::insights::SETTING as INSIGHTS;
use crate::model::AccountSetting;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};
use serde_json::{Value, json};

/// Ref: ECS `SettingName`, with AWS's defaults.
const SETTINGS: [(&str, &str); 11] = [
    ("awsvpcTrunking", "disabled"),
    ("containerInsights", "disabled"),
    ("containerInstanceLongArnFormat", "enabled"),
    ("defaultLogDriverMode", "non-blocking"),
    ("fargateEventWindows", "disabled"),
    ("fargateFIPSMode", "disabled"),
    ("fargateTaskRetirementWaitPeriod", "7"),
    ("guardDutyActivate", "off"),
    ("serviceLongArnFormat", "enabled"),
    ("tagResourceAuthorization", "on"),
    ("taskLongArnFormat", "enabled"),
];

/// PutAccountSetting.
pub(super) fn put(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let principal = input
        .owned("principalArn")
        .unwrap_or_else(|| call.principal.arn.clone());
    write(tx, call, &input, &principal)
}

/// PutAccountSettingDefault.
pub(super) fn put_default(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    write(tx, call, &Input::new(input), &root(call))
}

fn write(tx: &mut Tx<'_>, call: &Call, input: &Input, principal: &str) -> Result<Value, ApiError> {
    let (name, value) = (input.required("name")?, input.required("value")?);
    check_name(name)?;
    let default = SETTINGS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value);
    if name == INSIGHTS {
        check_insights(value)?;
    } else if name.ends_with("LongArnFormat") && value == "disabled" {
        // AWS's words: Terraform's provider looks for them when it takes back such a setting, and goes on.
        return Err(invalid("You can no longer disable Long Arn settings"));
    } else if default != Some(value) {
        // Each other value would switch on what is not there, or off what cannot be.
        return Err(invalid(format!(
            "Setting '{name}' can not have the value '{value}' in Honmaru."
        )));
    }
    let setting = AccountSetting {
        name: name.to_owned(),
        value: value.to_owned(),
        principal_arn: principal.to_owned(),
    };
    tx.put(&call.scope, &format!("{principal}|{name}"), setting.clone());
    Ok(json!({ "setting": view(&setting) }))
}

/// DeleteAccountSetting.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let name = input.required("name")?;
    check_name(name)?;
    let principal = input
        .owned("principalArn")
        .unwrap_or_else(|| call.principal.arn.clone());
    tx.delete::<AccountSetting>(&call.scope, &format!("{principal}|{name}"));
    Ok(json!({ "setting": { "name": name, "value": "", "principalArn": principal } }))
}

/// The value of a setting that counts for whoever calls: its own, the account's, AWS's.
pub(super) fn effective_setting(state: &State, call: &Call, name: &str) -> String {
    let row = |principal: &str| state.get::<AccountSetting>(&call.scope, &format!("{principal}|{name}"));
    let default = SETTINGS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value);
    row(&call.principal.arn).or_else(|| row(&root(call))).map_or_else(
        || default.unwrap_or_default().to_owned(),
        |setting| setting.value.clone(),
    )
}

/// The values of `containerInsights`: of a cluster, and of an account. Task and container metrics of `enhanced` have
/// events of their own, which nobody would write here.
pub(super) fn check_insights(value: &str) -> Result<(), ApiError> {
    match value {
        "enabled" | "disabled" => Ok(()),
        "enhanced" => Err(unsupported(
            "Container Insights with enhanced observability (containerInsights=enhanced; use enabled)",
        )),
        _ => Err(invalid(
            "Invalid value for containerInsights: enabled, disabled or enhanced is allowed.",
        )),
    }
}

/// ListAccountSettings.
pub(super) fn list(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let principal = input
        .owned("principalArn")
        .unwrap_or_else(|| call.principal.arn.clone());
    let wanted = |setting: &AccountSetting| {
        input.text("name").is_none_or(|name| setting.name == name)
            && input.text("value").is_none_or(|value| setting.value == value)
    };
    let row = |principal: &str, name: &str| {
        state
            .get::<AccountSetting>(&call.scope, &format!("{principal}|{name}"))
            .cloned()
    };
    let mut items = Vec::new();
    for (name, default) in SETTINGS {
        let set = row(&principal, name);
        let setting = match (set, input.flag("effectiveSettings").unwrap_or(false)) {
            (Some(set), _) => Some(set),
            (None, true) => Some(row(&root(call), name).unwrap_or_else(|| AccountSetting {
                name: name.to_owned(),
                value: default.to_owned(),
                principal_arn: root(call),
            })),
            (None, false) => None,
        };
        if let Some(setting) = setting.filter(wanted) {
            items.push((name.to_owned(), view(&setting)));
        }
    }
    Ok(input.page(items, 10, 10)?.answer("settings"))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if SETTINGS.iter().any(|(known, _)| *known == name) {
        Ok(())
    } else {
        Err(invalid(format!("Invalid setting name: {name}")))
    }
}

fn root(call: &Call) -> String {
    format!("arn:aws:iam::{}:root", call.scope.account)
}

fn view(setting: &AccountSetting) -> Value {
    json!({ "name": setting.name, "value": setting.value, "principalArn": setting.principal_arn, "type": "user" })
}
