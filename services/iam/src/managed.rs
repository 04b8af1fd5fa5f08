//! AWS's managed policies that the main job and common Terraform examples need, read-only, and the service-linked
//! roles of the services that Honmaru has. Ref: AWS Managed Policy Reference Guide.
//!
//! ReadOnlyAccess is cut down to services of Honmaru, as its real document names over a thousand actions of others.

/// A policy that AWS manages.
#[derive(Debug, Clone, Copy)]
pub struct AwsManaged {
    /// `arn:aws:iam::aws:policy/...`.
    pub arn: &'static str,
    /// `ANPA...`, as in AWS; those with `HONMARU` are of policies whose ids no document tells.
    pub id: &'static str,
    /// The description.
    pub description: &'static str,
    /// When AWS created it, in seconds since the epoch.
    pub created_s: f64,
    /// The document.
    pub document: &'static str,
}

impl AwsManaged {
    /// The name: the ARN's last part.
    pub fn name(&self) -> &'static str {
        self.arn.rsplit('/').next().unwrap_or(self.arn)
    }
}

/// The AWS managed policy of an ARN.
pub fn aws_managed(arn: &str) -> Option<&'static AwsManaged> {
    let name = arn.strip_prefix("arn:aws:iam::aws:policy/")?;
    ALL.iter()
        .find(|policy| policy.arn.strip_prefix("arn:aws:iam::aws:policy/") == Some(name))
}

/// All of them, in the order of their ARNs.
pub(crate) fn all_aws_managed() -> &'static [AwsManaged] {
    ALL
}

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

macro_rules! policies {
    ($($path:literal $id:literal $created:literal $description:literal $document:literal)*) => {
        const ALL: &[AwsManaged] = &[$(AwsManaged {
            arn: concat!("arn:aws:iam::aws:policy/", $path),
            id: $id,
            description: $description,
            created_s: $created,
            document: $document,
        }),*];
    };
}

policies! {
    "AWSWAFFullAccess" "ANPAZKAPJZG4ONXQWJ6WK" 1_570_128_400.0
    "Provides full access to AWS WAF actions."
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"AllowUseOfAWSWAF","Effect":"Allow","Action":["waf:*","waf-regional:*","wafv2:*","elasticloadbalancing:SetWebACL","elasticloadbalancing:DescribeLoadBalancers","apigateway:SetWebACL","apprunner:AssociateWebAcl","apprunner:DescribeWebAclForService","apprunner:DisassociateWebAcl","apprunner:ListServices","cloudfront:ListDistributions","ec2:DescribeRegions","cloudwatch:GetMetricData","cloudwatch:GetMetricStatistics","cloudwatch:ListMetrics"],"Resource":"*"},{"Sid":"AllowLogDeliverySubscription","Effect":"Allow","Action":["logs:CreateLogDelivery","logs:DeleteLogDelivery"],"Resource":"*"}]}"#

    "AdministratorAccess" "ANPAIWMBCKSKIEE64ZLYK" 1_423_247_961.0
    "Provides full access to AWS services and resources."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#

    "AmazonEC2ContainerRegistryFullAccess" "ANPAIESRL7KD7IIVF6V4W" 1_450_724_939.0
    "Provides administrative access to Amazon ECR resources"
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:*","cloudtrail:LookupEvents"],"Resource":"*"},{"Effect":"Allow","Action":["iam:CreateServiceLinkedRole"],"Resource":"*","Condition":{"StringEquals":{"iam:AWSServiceName":["replication.ecr.amazonaws.com"]}}}]}"#

    "AmazonEC2ContainerRegistryPowerUser" "ANPAIDEH3SKFJSADDLTMC" 1_450_724_939.0
    "Provides full access to Amazon EC2 Container Registry repositories, but does not allow repository deletion or policy changes."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:GetRepositoryPolicy","ecr:DescribeRepositories","ecr:ListImages","ecr:DescribeImages","ecr:BatchGetImage","ecr:GetLifecyclePolicy","ecr:GetLifecyclePolicyPreview","ecr:ListTagsForResource","ecr:DescribeImageScanFindings","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"],"Resource":"*"}]}"#

    "AmazonEC2ContainerRegistryPullOnly" "ANPAHONMARUPULLONLY22" 1_728_061_129.0
    "Grants access to pull images from Amazon EC2 Container Registry repositories."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:BatchImportUpstreamImage"],"Resource":"*"}]}"#

    "AmazonEC2ContainerRegistryReadOnly" "ANPAIFYZPA37OOHVIH7KQ" 1_450_724_939.0
    "Provides read-only access to Amazon EC2 Container Registry repositories."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:GetRepositoryPolicy","ecr:DescribeRepositories","ecr:ListImages","ecr:DescribeImages","ecr:BatchGetImage","ecr:GetLifecyclePolicy","ecr:GetLifecyclePolicyPreview","ecr:ListTagsForResource","ecr:DescribeImageScanFindings"],"Resource":"*"}]}"#

    "AmazonECS_FullAccess" "ANPAJ7S7AN6YQPTJC7IFS" 1_510_172_256.0
    "Provides administrative access to Amazon ECS resources and enables ECS features through access to other AWS service resources, including VPCs, Auto Scaling groups, and CloudFormation stacks."
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"ECSIntegrationsManagementPolicy","Effect":"Allow","Action":["application-autoscaling:DeleteScalingPolicy","application-autoscaling:DeregisterScalableTarget","application-autoscaling:DescribeScalableTargets","application-autoscaling:DescribeScalingActivities","application-autoscaling:DescribeScalingPolicies","application-autoscaling:PutScalingPolicy","application-autoscaling:RegisterScalableTarget","appmesh:DescribeVirtualGateway","appmesh:DescribeVirtualNode","appmesh:ListMeshes","appmesh:ListVirtualGateways","appmesh:ListVirtualNodes","autoscaling:CreateAutoScalingGroup","autoscaling:CreateLaunchConfiguration","autoscaling:DeleteAutoScalingGroup","autoscaling:DeleteLaunchConfiguration","autoscaling:Describe*","autoscaling:UpdateAutoScalingGroup","cloudformation:CreateStack","cloudformation:DeleteStack","cloudformation:DescribeStack*","cloudformation:UpdateStack","cloudwatch:DeleteAlarms","cloudwatch:DescribeAlarms","cloudwatch:GetMetricStatistics","cloudwatch:PutMetricAlarm","codedeploy:BatchGetApplicationRevisions","codedeploy:BatchGetApplications","codedeploy:BatchGetDeploymentGroups","codedeploy:BatchGetDeployments","codedeploy:ContinueDeployment","codedeploy:CreateApplication","codedeploy:CreateDeployment","codedeploy:CreateDeploymentGroup","codedeploy:GetApplication","codedeploy:GetApplicationRevision","codedeploy:GetDeployment","codedeploy:GetDeploymentConfig","codedeploy:GetDeploymentGroup","codedeploy:GetDeploymentTarget","codedeploy:ListApplicationRevisions","codedeploy:ListApplications","codedeploy:ListDeploymentConfigs","codedeploy:ListDeploymentGroups","codedeploy:ListDeployments","codedeploy:ListDeploymentTargets","codedeploy:RegisterApplicationRevision","codedeploy:StopDeployment","ec2:AssociateRouteTable","ec2:AttachInternetGateway","ec2:AuthorizeSecurityGroupIngress","ec2:CancelSpotFleetRequests","ec2:CreateInternetGateway","ec2:CreateLaunchTemplate","ec2:CreateRoute","ec2:CreateRouteTable","ec2:CreateSecurityGroup","ec2:CreateSubnet","ec2:CreateVpc","ec2:DeleteLaunchTemplate","ec2:DeleteSubnet","ec2:DeleteVpc","ec2:Describe*","ec2:DetachInternetGateway","ec2:DisassociateRouteTable","ec2:ModifySubnetAttribute","ec2:ModifyVpcAttribute","ec2:RequestSpotFleet","ec2:RunInstances","ecs:*","elasticfilesystem:DescribeAccessPoints","elasticfilesystem:DescribeFileSystems","elasticloadbalancing:CreateListener","elasticloadbalancing:CreateLoadBalancer","elasticloadbalancing:CreateRule","elasticloadbalancing:CreateTargetGroup","elasticloadbalancing:DeleteListener","elasticloadbalancing:DeleteLoadBalancer","elasticloadbalancing:DeleteRule","elasticloadbalancing:DeleteTargetGroup","elasticloadbalancing:DescribeListeners","elasticloadbalancing:DescribeLoadBalancers","elasticloadbalancing:DescribeRules","elasticloadbalancing:DescribeTargetGroups","events:DeleteRule","events:DescribeRule","events:ListRuleNamesByTarget","events:ListTargetsByRule","events:PutRule","events:PutTargets","events:RemoveTargets","fsx:DescribeFileSystems","iam:ListAttachedRolePolicies","iam:ListInstanceProfiles","iam:ListRoles","lambda:ListFunctions","logs:CreateLogGroup","logs:DescribeLogGroups","logs:FilterLogEvents","route53:CreateHostedZone","route53:DeleteHostedZone","route53:GetHealthCheck","route53:GetHostedZone","route53:ListHostedZonesByName","servicediscovery:CreatePrivateDnsNamespace","servicediscovery:CreateService","servicediscovery:DeleteService","servicediscovery:GetNamespace","servicediscovery:GetOperation","servicediscovery:GetService","servicediscovery:ListNamespaces","servicediscovery:ListServices","servicediscovery:UpdateService","sns:ListTopics"],"Resource":["*"]},{"Sid":"SSMPolicy","Effect":"Allow","Action":["ssm:GetParameter","ssm:GetParameters","ssm:GetParametersByPath"],"Resource":"arn:aws:ssm:*:*:parameter/aws/service/ecs*"},{"Sid":"ManagedCloudformationResourcesCleanupPolicy","Effect":"Allow","Action":["ec2:DeleteInternetGateway","ec2:DeleteRoute","ec2:DeleteRouteTable","ec2:DeleteSecurityGroup"],"Resource":["*"],"Condition":{"StringLike":{"ec2:ResourceTag/aws:cloudformation:stack-name":"EC2ContainerService-*"}}},{"Sid":"TasksPassRolePolicy","Action":"iam:PassRole","Effect":"Allow","Resource":["*"],"Condition":{"StringLike":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}},{"Sid":"InfrastructurePassRolePolicy","Action":"iam:PassRole","Effect":"Allow","Resource":["arn:aws:iam::*:role/ecsInfrastructureRole"],"Condition":{"StringEquals":{"iam:PassedToService":["ecs.amazonaws.com"]}}},{"Sid":"InstancePassRolePolicy","Action":"iam:PassRole","Effect":"Allow","Resource":["arn:aws:iam::*:role/ecsInstanceRole*"],"Condition":{"StringLike":{"iam:PassedToService":["ec2.amazonaws.com","ec2.amazonaws.com.cn"]}}},{"Sid":"AutoScalingPassRolePolicy","Action":"iam:PassRole","Effect":"Allow","Resource":["arn:aws:iam::*:role/ecsAutoscaleRole*"],"Condition":{"StringLike":{"iam:PassedToService":["application-autoscaling.amazonaws.com","application-autoscaling.amazonaws.com.cn"]}}},{"Sid":"ServiceLinkedRoleCreationPolicy","Effect":"Allow","Action":"iam:CreateServiceLinkedRole","Resource":"*","Condition":{"StringLike":{"iam:AWSServiceName":["ecs.amazonaws.com","autoscaling.amazonaws.com","ecs.application-autoscaling.amazonaws.com","spot.amazonaws.com","spotfleet.amazonaws.com"]}}},{"Sid":"ELBTaggingPolicy","Effect":"Allow","Action":["elasticloadbalancing:AddTags"],"Resource":"*","Condition":{"StringEquals":{"elasticloadbalancing:CreateAction":["CreateTargetGroup","CreateRule","CreateListener","CreateLoadBalancer"]}}}]}"#

    "AmazonElasticContainerRegistryPublicFullAccess" "ANPAHONMARUPUBLICFULL" 1_606_843_552.0
    "Provides administrative access to Amazon ECR Public resources"
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr-public:*","sts:GetServiceBearerToken"],"Resource":"*"}]}"#

    "AmazonElasticContainerRegistryPublicPowerUser" "ANPAHONMARUPUBLICPOWR" 1_606_839_414.0
    "Provides full access to Amazon ECR Public repositories, but does not allow repository deletion or policy changes."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr-public:GetAuthorizationToken","sts:GetServiceBearerToken","ecr-public:BatchCheckLayerAvailability","ecr-public:GetRepositoryPolicy","ecr-public:DescribeRepositories","ecr-public:DescribeRegistries","ecr-public:DescribeImages","ecr-public:DescribeImageTags","ecr-public:GetRepositoryCatalogData","ecr-public:GetRegistryCatalogData","ecr-public:InitiateLayerUpload","ecr-public:UploadLayerPart","ecr-public:CompleteLayerUpload","ecr-public:PutImage"],"Resource":"*"}]}"#

    "AmazonElasticContainerRegistryPublicReadOnly" "ANPAHONMARUPUBLICREAD" 1_606_843_624.0
    "Provides read-only access to Amazon ECR Public repositories."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr-public:GetAuthorizationToken","sts:GetServiceBearerToken","ecr-public:BatchCheckLayerAvailability","ecr-public:GetRepositoryPolicy","ecr-public:DescribeRepositories","ecr-public:DescribeRegistries","ecr-public:DescribeImages","ecr-public:DescribeImageTags","ecr-public:GetRepositoryCatalogData","ecr-public:GetRegistryCatalogData"],"Resource":"*"}]}"#

    "CloudWatchLogsFullAccess" "ANPAJ3ZGNWK2R5HW5BQFO" 1_423_247_962.0
    "Provides full access to CloudWatch Logs"
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"CloudWatchLogsFullAccess","Effect":"Allow","Action":["logs:*","cloudwatch:GenerateQuery","cloudwatch:GenerateQueryResultsSummary"],"Resource":"*"}]}"#

    "CloudWatchLogsReadOnlyAccess" "ANPAJ2YIYDYSNNEHK3VKW" 1_423_247_963.0
    "Provides read only access to CloudWatch Logs"
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"CloudWatchLogsReadOnlyAccess","Effect":"Allow","Action":["logs:Describe*","logs:Get*","logs:List*","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","logs:FilterLogEvents","logs:StartLiveTail","logs:StopLiveTail","cloudwatch:GenerateQuery","cloudwatch:GenerateQueryResultsSummary"],"Resource":"*"}]}"#

    "ElasticLoadBalancingFullAccess" "ANPAIDPMLA3IUIOQCISJ4" 1_537_475_197.0
    "Provides full access to Amazon ElasticLoadBalancing, and limited access to other services necessary to provide ElasticLoadBalancing features."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"elasticloadbalancing:*","Resource":"*"},{"Effect":"Allow","Action":["ec2:DescribeAccountAttributes","ec2:DescribeAddresses","ec2:DescribeInternetGateways","ec2:DescribeSecurityGroups","ec2:DescribeSubnets","ec2:DescribeVpcs","ec2:DescribeVpcClassicLink","ec2:DescribeInstances","ec2:DescribeNetworkInterfaces","ec2:DescribeClassicLinkInstances","ec2:DescribeRouteTables","ec2:DescribeCoipPools","ec2:GetCoipPoolUsage","ec2:DescribeVpcPeeringConnections","cognito-idp:DescribeUserPoolClient"],"Resource":"*"},{"Effect":"Allow","Action":"iam:CreateServiceLinkedRole","Resource":"*","Condition":{"StringEquals":{"iam:AWSServiceName":"elasticloadbalancing.amazonaws.com"}}}]}"#

    "ElasticLoadBalancingReadOnly" "ANPAJMO7B7SNFLQ6HH736" 1_537_475_137.0
    "Provides read only access to Amazon ElasticLoadBalancing and dependent services"
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"Statement1","Effect":"Allow","Action":["elasticloadbalancing:Describe*","elasticloadbalancing:Get*"],"Resource":"*"},{"Sid":"Statement2","Effect":"Allow","Action":["ec2:DescribeInstances","ec2:DescribeClassicLinkInstances","ec2:DescribeSecurityGroups"],"Resource":"*"},{"Sid":"Statement3","Effect":"Allow","Action":"arc-zonal-shift:GetManagedResource","Resource":"arn:aws:elasticloadbalancing:*:*:loadbalancer/*"},{"Sid":"Statement4","Effect":"Allow","Action":["arc-zonal-shift:ListManagedResources","arc-zonal-shift:ListZonalShifts"],"Resource":"*"}]}"#

    "IAMFullAccess" "ANPAI7XKCFMBPM3QQRRVQ" 1_423_247_958.0
    "Provides full access to IAM via the AWS Management Console."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*","organizations:DescribeAccount","organizations:DescribeOrganization","organizations:DescribeOrganizationalUnit","organizations:DescribePolicy","organizations:ListChildren","organizations:ListParents","organizations:ListPoliciesForTarget","organizations:ListRoots","organizations:ListPolicies","organizations:ListTargetsForPolicy"],"Resource":"*"}]}"#

    "IAMReadOnlyAccess" "ANPAJKSO7NDY4T57MWDSQ" 1_423_247_959.0
    "Provides read only access to IAM via the AWS Management Console."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"],"Resource":"*"}]}"#

    "PowerUserAccess" "ANPAJYRXTHIB4FOVS3ZXS" 1_423_247_967.0
    "Provides full access to AWS services and resources, but does not allow management of Users and groups."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},{"Effect":"Allow","Action":["account:GetAccountInformation","account:GetPrimaryEmail","account:ListRegions","iam:CreateServiceLinkedRole","iam:DeleteServiceLinkedRole","iam:ListRoles","organizations:DescribeEffectivePolicy","organizations:DescribeOrganization"],"Resource":"*"}]}"#

    "ReadOnlyAccess" "ANPAILL3HVNFSB6DCOWYQ" 1_423_247_966.0
    "Provides read-only access to AWS services and resources."
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"ReadOnlyActions","Effect":"Allow","Action":["acm:Describe*","acm:Get*","acm:List*","application-autoscaling:Describe*","application-autoscaling:ListTagsForResource","apprunner:Describe*","apprunner:List*","cloudformation:Describe*","cloudformation:Get*","cloudformation:List*","cloudtrail:Describe*","cloudtrail:Get*","cloudtrail:List*","cloudtrail:LookupEvents","cloudwatch:Describe*","cloudwatch:Get*","cloudwatch:List*","codebuild:BatchGet*","codebuild:List*","codedeploy:BatchGet*","codedeploy:Get*","codedeploy:List*","codepipeline:Get*","codepipeline:List*","ec2:Describe*","ec2:Get*","ec2:Search*","ecr-public:BatchCheckLayerAvailability","ecr-public:Describe*","ecr-public:Get*","ecr-public:ListTagsForResource","ecr:BatchCheck*","ecr:BatchGet*","ecr:Describe*","ecr:Get*","ecr:List*","ecs:Describe*","ecs:Get*","ecs:List*","eks:Describe*","eks:List*","elasticloadbalancing:Describe*","elasticloadbalancing:Get*","events:Describe*","events:List*","events:Test*","iam:Generate*","iam:Get*","iam:List*","iam:Simulate*","kms:Describe*","kms:Get*","kms:List*","lambda:Get*","lambda:List*","logs:Describe*","logs:FilterLogEvents","logs:Get*","logs:List*","logs:StartLiveTail","logs:StartQuery","logs:StopLiveTail","logs:StopQuery","logs:TestMetricFilter","route53:Get*","route53:List*","route53:Test*","s3:DescribeJob","s3:Get*","s3:List*","secretsmanager:Describe*","secretsmanager:GetResourcePolicy","secretsmanager:List*","servicediscovery:Get*","servicediscovery:List*","ssm:Describe*","ssm:Get*","ssm:List*","sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken","tag:DescribeReportCreation","tag:Get*","wafv2:CheckCapacity","wafv2:Describe*","wafv2:Get*","wafv2:List*"],"Resource":"*"}]}"#

    "aws-service-role/AWSApplicationAutoscalingECSServicePolicy" "ANPAJFXLLV7AKH5PSFOYG" 1_508_973_546.0
    "Policy granting permissions to Application Auto Scaling to access ECS Service."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecs:DescribeServices","ecs:UpdateService","cloudwatch:PutMetricAlarm","cloudwatch:DescribeAlarms","cloudwatch:DeleteAlarms"],"Resource":["*"]}]}"#

    "aws-service-role/AWSElasticLoadBalancingServiceRolePolicy" "ANPAIMHWGGSRHLOQUICJQ" 1_505_846_939.0
    "Service Linked Role Policy for AWS Elastic Load Balancing Control Plane"
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:DescribeAddresses","ec2:DescribeCoipPools","ec2:DescribeInstances","ec2:DescribeNetworkInterfaces","ec2:DescribeSubnets","ec2:DescribeSecurityGroups","ec2:DescribeVpcs","ec2:DescribeInternetGateways","ec2:DescribeAccountAttributes","ec2:DescribeClassicLinkInstances","ec2:DescribeVpcClassicLink","ec2:CreateSecurityGroup","ec2:CreateNetworkInterface","ec2:DeleteNetworkInterface","ec2:GetCoipPoolUsage","ec2:ModifyNetworkInterfaceAttribute","ec2:AllocateAddress","ec2:AuthorizeSecurityGroupIngress","ec2:AssociateAddress","ec2:DisassociateAddress","ec2:AttachNetworkInterface","ec2:DetachNetworkInterface","ec2:AssignPrivateIpAddresses","ec2:AssignIpv6Addresses","ec2:ReleaseAddress","ec2:UnassignIpv6Addresses","ec2:DescribeVpcPeeringConnections","logs:CreateLogDelivery","logs:GetLogDelivery","logs:UpdateLogDelivery","logs:DeleteLogDelivery","logs:ListLogDeliveries","outposts:GetOutpostInstanceTypes"],"Resource":"*"}]}"#

    "aws-service-role/AmazonECSServiceRolePolicy" "ANPAIIWDTBEG7BPJGRYEU" 1_507_944_078.0
    "Policy to enable Amazon ECS to manage your cluster."
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"ECSTaskManagement","Effect":"Allow","Action":["ec2:AttachNetworkInterface","ec2:CreateNetworkInterface","ec2:CreateNetworkInterfacePermission","ec2:DeleteNetworkInterface","ec2:DeleteNetworkInterfacePermission","ec2:Describe*","ec2:DetachNetworkInterface","elasticloadbalancing:DeregisterInstancesFromLoadBalancer","elasticloadbalancing:DeregisterTargets","elasticloadbalancing:Describe*","elasticloadbalancing:RegisterInstancesWithLoadBalancer","elasticloadbalancing:RegisterTargets","route53:ChangeResourceRecordSets","route53:CreateHealthCheck","route53:DeleteHealthCheck","route53:Get*","route53:List*","route53:UpdateHealthCheck","servicediscovery:DeregisterInstance","servicediscovery:Get*","servicediscovery:List*","servicediscovery:RegisterInstance","servicediscovery:UpdateInstanceCustomHealthStatus"],"Resource":"*"},{"Sid":"CWLogGroupManagement","Effect":"Allow","Action":["logs:CreateLogGroup","logs:DescribeLogGroups","logs:PutRetentionPolicy"],"Resource":"arn:aws:logs:*:*:log-group:/aws/ecs/*"},{"Sid":"CWLogStreamManagement","Effect":"Allow","Action":["logs:CreateLogStream","logs:DescribeLogStreams","logs:PutLogEvents"],"Resource":"arn:aws:logs:*:*:log-group:/aws/ecs/*:log-stream:*"}]}"#

    "aws-service-role/WAFV2LoggingServiceRolePolicy" "ANPAZKAPJZG4GQ7XWVBUH" 1_573_090_800.0
    "This policy creates a service-linked role that allows AWS WAF to write logs to Amazon Kinesis Data Firehose."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["firehose:PutRecord","firehose:PutRecordBatch"],"Resource":["arn:aws:firehose:*:*:deliverystream/aws-waf-logs-*"]},{"Effect":"Allow","Action":"organizations:DescribeOrganization","Resource":"*"}]}"#

    "job-function/ViewOnlyAccess" "ANPAID22R6XPJATWOFDK6" 1_478_797_527.0
    "This policy grants permissions to view resources and basic metadata across all AWS services."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["acm:ListCertificates","application-autoscaling:DescribeScalableTargets","cloudformation:DescribeStacks","cloudformation:ListStacks","cloudwatch:DescribeAlarms","cloudwatch:ListMetrics","ec2:Describe*","ecr:DescribeRepositories","ecr:ListImages","ecs:Describe*","ecs:List*","elasticloadbalancing:Describe*","iam:List*","kms:ListAliases","kms:ListKeys","lambda:List*","logs:Describe*","route53:List*","s3:ListAllMyBuckets","s3:ListBucket","wafv2:List*"],"Resource":"*"}]}"#

    "service-role/AmazonEC2ContainerServiceAutoscaleRole" "ANPAIUAP3EGGGXXCPDQKK" 1_463_095_564.0
    "Policy to enable Task Autoscaling for Amazon EC2 Container Service"
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecs:DescribeServices","ecs:UpdateService"],"Resource":["*"]},{"Effect":"Allow","Action":["cloudwatch:DescribeAlarms","cloudwatch:PutMetricAlarm"],"Resource":["*"]}]}"#

    "service-role/AmazonEC2ContainerServiceRole" "ANPAJO53W2XHNACG7V77Q" 1_428_597_259.0
    "Default policy for Amazon ECS service role."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:AuthorizeSecurityGroupIngress","ec2:Describe*","elasticloadbalancing:DeregisterInstancesFromLoadBalancer","elasticloadbalancing:DeregisterTargets","elasticloadbalancing:Describe*","elasticloadbalancing:RegisterInstancesWithLoadBalancer","elasticloadbalancing:RegisterTargets"],"Resource":"*"}]}"#

    "service-role/AmazonEC2ContainerServiceforEC2Role" "ANPAJLYJCVHC7TQHCSQDS" 1_426_791_378.0
    "Default policy for the Amazon EC2 Role for Amazon EC2 Container Service."
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:DescribeTags","ecs:CreateCluster","ecs:DeregisterContainerInstance","ecs:DiscoverPollEndpoint","ecs:Poll","ecs:RegisterContainerInstance","ecs:StartTelemetrySession","ecs:UpdateContainerInstancesState","ecs:Submit*","ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:BatchGetImage","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"},{"Effect":"Allow","Action":"ecs:TagResource","Resource":"*","Condition":{"StringEquals":{"ecs:CreateAction":["CreateCluster","RegisterContainerInstance"]}}}]}"#

    "service-role/AmazonECSTaskExecutionRolePolicy" "ANPAJG4T4G4PV56DE72PY" 1_510_769_325.0
    "Provides access to other AWS service resources that are required to run Amazon ECS tasks"
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:BatchGetImage","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#
}
