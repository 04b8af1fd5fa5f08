//! How CloudTrail writes the record of a call (`CloudTrailEvent`).
//! Ref: CloudTrail User Guide, "CloudTrail record contents for management, data, and network activity events".

use crate::is_read_only;
use crate::record::{Recorded, SERVICE_KIND, WEB_IDENTITY_KIND};
use crate::trail::{resource_type, shown};
use honmaru_base::Time;
use honmaru_wire::Side;
use serde_json::{Map, Value, json};

/// CloudTrail's times are whole seconds.
fn seconds(at: Time) -> String {
    Time::from_ms(at.as_ms().div_euclid(1_000) * 1_000).rfc3339()
}

impl Recorded {
    /// The record as CloudTrail writes it.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({
            "eventVersion": "1.11",
            "userIdentity": self.identity(),
            "eventTime": seconds(self.at),
            "eventSource": self.source,
            "eventName": self.name,
            "awsRegion": self.region.as_str(),
            "sourceIPAddress": self.from,
            "userAgent": self.agent,
            "requestParameters": self.tree(Side::Input, &self.input.value()),
            "responseElements": self.answered(),
            "additionalEventData": { "httpStatus": self.status, "durationMicroseconds": self.took_us, "tls": self.secure },
            "requestID": self.request_id,
            "eventID": self.id,
            "readOnly": is_read_only(&self.name),
            "resources": self.resources.iter().map(|arn| self.resource(arn)).collect::<Vec<_>>(),
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": self.account.as_str(),
            "eventCategory": "Management",
        });
        if let (Some(repeated), Some(data)) = (&self.repeated, document["additionalEventData"].as_object_mut()) {
            data.insert("repeatedCalls".to_owned(), json!(repeated.count));
            data.insert("repeatedSince".to_owned(), json!(repeated.since.rfc3339()));
        }
        if let (Some(details), Some(members)) = (self.tls_details(), document.as_object_mut()) {
            members.insert("tlsDetails".to_owned(), details);
        }
        if let (Some(code), Some(members)) = (self.error_code(), document.as_object_mut()) {
            members.insert("errorCode".to_owned(), json!(code));
            members.insert("errorMessage".to_owned(), json!(self.message));
        }
        document
    }

    /// The error's code. EC2's are recorded with the side that erred before them (`Client.UnauthorizedOperation`), the
    /// others' as they are.
    fn error_code(&self) -> Option<String> {
        let code = self.code.as_deref()?;
        let side = match (self.service.as_str(), self.status) {
            ("ec2", 500..) => "Server.",
            ("ec2", _) => "Client.",
            _ => "",
        };
        Some(format!("{side}{code}"))
    }

    /// How the connection was protected, and the host that the client wrote; what is not known is left out, as CloudTrail
    /// does. Ref: CloudTrail record contents, tlsDetails.
    fn tls_details(&self) -> Option<Value> {
        let mut details = Map::new();
        if let Some(tls) = &self.tls {
            details.insert("tlsVersion".to_owned(), json!(tls.version));
            details.insert("cipherSuite".to_owned(), json!(tls.suite_name()));
        }
        if let Some(host) = &self.host {
            details.insert("clientProvidedHostHeader".to_owned(), json!(host));
        }
        (!details.is_empty()).then_some(Value::Object(details))
    }

    /// What the call answered. EC2's answers have the call's id, and say of every change that it was made.
    fn answered(&self) -> Value {
        let answer = self.tree(Side::Output, &self.output.value());
        if self.service != "ec2" || self.code.is_some() || is_read_only(&self.name) {
            return answer;
        }
        let mut members = match answer {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        members.insert("requestId".to_owned(), json!(self.request_id));
        members.entry("_return").or_insert(json!(true));
        Value::Object(members)
    }

    /// An input or an output with the names that CloudTrail gives its members.
    fn tree(&self, side: Side, tree: &Value) -> Value {
        let service = honmaru_wire::service(&self.service);
        match service.and_then(|service| Some((service, service.operation(&self.name)?))) {
            Some((service, operation)) => honmaru_wire::recorded(service, operation, side, tree),
            // The registry's calls are in no model.
            None => tree.clone(),
        }
    }

    fn resource(&self, arn: &str) -> Value {
        let arn = shown(arn);
        let owner = arn.split(':').nth(4).filter(|owner| !owner.is_empty());
        let mut resource = json!({ "accountId": owner.unwrap_or(self.account.as_str()), "ARN": arn });
        if let (Some(kind), Some(members)) = (resource_type(arn), resource.as_object_mut()) {
            members.insert("type".to_owned(), Value::from(kind));
        }
        resource
    }

    /// Ref: CloudTrail User Guide, "CloudTrail userIdentity element".
    fn identity(&self) -> Value {
        let mut identity = Map::new();
        let mut put = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                identity.insert(name.to_owned(), Value::from(value.as_str()));
            }
        };
        put("type", Some(&self.who.kind));
        put("principalId", self.who.id.as_ref());
        put("arn", self.who.arn.as_ref());
        // A service belongs to no account.
        let has_account = !["Unknown", SERVICE_KIND, WEB_IDENTITY_KIND].contains(&self.who.kind.as_str());
        if has_account {
            put("accountId", Some(&self.account.to_string()));
        }
        put("accessKeyId", self.who.key.as_ref());
        put("invokedBy", self.who.invoked_by.as_ref());
        put("identityProvider", self.who.identity_provider.as_ref());
        if self.who.kind == "IAMUser" || self.who.kind == WEB_IDENTITY_KIND {
            identity.insert("userName".to_owned(), json!(self.who.name));
        }
        let context = self.session();
        if !context.is_empty() {
            identity.insert("sessionContext".to_owned(), Value::Object(context));
        }
        Value::Object(identity)
    }

    fn session(&self) -> Map<String, Value> {
        let mut context = Map::new();
        if let Some(session) = &self.who.session {
            let created = seconds(session.issued_at);
            context.insert(
                "attributes".to_owned(),
                json!({ "creationDate": created, "mfaAuthenticated": session.mfa_at.is_some().to_string() }),
            );
            if let Some(source) = &session.source_identity {
                context.insert("sourceIdentity".to_owned(), json!(source));
            }
            if let Some(provider) = &session.federated_provider {
                context.insert(
                    "webIdFederationData".to_owned(),
                    json!({ "federatedProvider": provider, "attributes": {} }),
                );
            }
        }
        // Records of before know the role's name alone; a session's id is the role's, a colon and the session's name.
        let id = self.who.id.as_deref().and_then(|id| id.split(':').next());
        let known = self.who.session.as_ref().and_then(|session| session.issuer.as_ref());
        let issuer = match (known, &self.who.role) {
            (Some(issuer), role) => {
                let kind = if role.is_some() { "Role" } else { "IAMUser" };
                json!({ "type": kind, "principalId": issuer.id, "arn": issuer.arn, "accountId": self.account.as_str(),
                    "userName": issuer.name })
            }
            (None, Some(role)) => {
                json!({ "type": "Role", "principalId": id, "accountId": self.account.as_str(), "userName": role })
            }
            (None, None) => return context,
        };
        context.insert("sessionIssuer".to_owned(), issuer);
        context
    }
}
