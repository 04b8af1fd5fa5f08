//! The text and code of a denied call. Ref: IAM User Guide, "Troubleshoot access denied error messages".

use crate::ProtocolFamily;
use crate::policy::{Decision, Layer};
use honmaru_base::ApiError;

/// A call that policies do not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct Denied {
    /// The caller's ARN.
    pub caller: String,
    /// The action.
    pub action: String,
    /// The resource, or `*`.
    pub resource: String,
    /// What the policies said.
    pub decision: Decision,
}

impl Denied {
    /// AWS's text: who, what, on what, and which kind of policy is the reason.
    pub fn message(&self) -> String {
        let Self {
            caller,
            action,
            resource,
            decision,
        } = self;
        let reason = match decision {
            Decision::ExplicitDeny(Layer::Identity) => "with an explicit deny in an identity-based policy".to_owned(),
            Decision::ExplicitDeny(Layer::Resource) => "with an explicit deny in a resource-based policy".to_owned(),
            Decision::ExplicitDeny(Layer::Boundary) => "with an explicit deny in a permissions boundary".to_owned(),
            Decision::ExplicitDeny(Layer::Session) => "with an explicit deny in a session policy".to_owned(),
            Decision::ImplicitDeny(Layer::Boundary) => {
                format!("because no permissions boundary allows the {action} action")
            }
            Decision::ImplicitDeny(Layer::Session) => format!("because no session policy allows the {action} action"),
            // STS does not tell strangers why a trust policy refuses them.
            Decision::ImplicitDeny(Layer::Resource) if action.starts_with("sts:") => String::new(),
            Decision::ImplicitDeny(Layer::Resource) => {
                format!("because no resource-based policy allows the {action} action")
            }
            Decision::ImplicitDeny(Layer::Identity) | Decision::Allow => {
                format!("because no identity-based policy allows the {action} action")
            }
        };
        let text = format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {reason}");
        text.trim_end().to_owned()
    }

    /// The code and status of a protocol.
    pub fn to_api_error(&self, family: ProtocolFamily) -> ApiError {
        let (code, status) = match family {
            ProtocolFamily::Json => ("AccessDeniedException", 400),
            ProtocolFamily::RestJson => ("AccessDeniedException", 403),
            ProtocolFamily::Query | ProtocolFamily::S3 => ("AccessDenied", 403),
            ProtocolFamily::Ec2 => ("UnauthorizedOperation", 403),
        };
        let message = match family {
            ProtocolFamily::Ec2 => format!("You are not authorized to perform this operation. {}", self.message()),
            _ => self.message(),
        };
        ApiError::new(code, message).with_status(status)
    }
}
