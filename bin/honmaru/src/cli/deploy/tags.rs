//! The tag by which everything of an app can be found, in the services' four spellings.

use crate::cli::app::{APP_TAG, App};
use serde_json::{Value, json};

/// ECS: `[{"key", "value"}]`.
pub fn lower(app: &App) -> Value {
    json!([{ "key": APP_TAG, "value": app.name() }])
}

/// ECR, ELBv2, WAFv2, IAM: `[{"Key", "Value"}]`.
pub fn upper(app: &App) -> Value {
    json!([{ "Key": APP_TAG, "Value": app.name() }])
}

/// CloudWatch Logs: a map.
pub fn as_map(app: &App) -> Value {
    json!({ APP_TAG: app.name() })
}

/// EC2: `TagSpecification`, by the names of the query.
pub fn specification(app: &App, resource_type: &str) -> Value {
    json!([{ "ResourceType": resource_type, "Tag": upper(app) }])
}
