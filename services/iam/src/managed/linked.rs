//! The service-linked roles of the services that Honmaru has. Ref: "AWS services that work with IAM".

/// The path of service-linked roles, which no other role may have, and of the policies of such roles.
pub(crate) const SERVICE_LINKED_PATH: &str = "/aws-service-role/";

/// The service-linked role of a service.
pub(crate) struct ServiceLinked {
    pub(crate) service: &'static str,
    pub(crate) role: &'static str,
    pub(crate) policy_arn: &'static str,
}

/// What a service's linked role is called, and its policy. Ref: "AWS services that work with IAM".
pub(crate) fn service_linked(service: &str) -> Option<&'static ServiceLinked> {
    SERVICE_LINKED.iter().find(|linked| linked.service == service)
}

const SERVICE_LINKED: &[ServiceLinked] = &[
    ServiceLinked {
        service: "ecs.amazonaws.com",
        role: "AWSServiceRoleForECS",
        policy_arn: "arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy",
    },
    ServiceLinked {
        service: "elasticloadbalancing.amazonaws.com",
        role: "AWSServiceRoleForElasticLoadBalancing",
        policy_arn: "arn:aws:iam::aws:policy/aws-service-role/AWSElasticLoadBalancingServiceRolePolicy",
    },
    ServiceLinked {
        service: "ecs.application-autoscaling.amazonaws.com",
        role: "AWSServiceRoleForApplicationAutoScaling_ECSService",
        policy_arn: "arn:aws:iam::aws:policy/aws-service-role/AWSApplicationAutoscalingECSServicePolicy",
    },
    ServiceLinked {
        service: "wafv2.amazonaws.com",
        role: "AWSServiceRoleForWAFV2Logging",
        policy_arn: "arn:aws:iam::aws:policy/aws-service-role/WAFV2LoggingServiceRolePolicy",
    },
];
