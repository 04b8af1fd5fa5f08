//! The services whose models are embedded, and what routing must know of each before its model is read.
//!
//! Invariant: a model is unpacked when its service is first named, and then stays. ec2's takes some 30 ms and 4 MB.

use crate::model::Service;
use flate2::read::GzDecoder;
use std::io::Read;
use std::sync::OnceLock;

/// A service with an embedded model.
pub(crate) struct Entry {
    /// botocore's name.
    pub name: &'static str,
    /// The service in a credential scope.
    pub signing_name: &'static str,
    /// What stands before the dot in `X-Amz-Target`; empty for services without awsJson.
    pub target_prefix: &'static str,
    /// `Version` in awsQuery and ec2Query.
    pub version: &'static str,
    /// The first label of the service's host name.
    pub endpoint: &'static str,
    packed: &'static [u8],
    service: OnceLock<Service>,
}

macro_rules! entry {
    ($name:literal, $signing:literal, $target:literal, $version:literal, $endpoint:literal) => {
        Entry {
            name: $name,
            signing_name: $signing,
            target_prefix: $target,
            version: $version,
            endpoint: $endpoint,
            packed: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/", $name, ".json.gz")),
            service: OnceLock::new(),
        }
    };
}

static CATALOG: [Entry; 32] = [
    entry!("acm", "acm", "CertificateManager", "2015-12-08", "acm"),
    entry!("apigatewayv2", "apigateway", "", "2018-11-29", "apigateway"),
    entry!(
        "application-autoscaling",
        "application-autoscaling",
        "AnyScaleFrontendService",
        "2016-02-06",
        "application-autoscaling"
    ),
    entry!("apprunner", "apprunner", "AppRunner", "2020-05-15", "apprunner"),
    entry!("cloudformation", "cloudformation", "", "2010-05-15", "cloudformation"),
    entry!("cloudfront", "cloudfront", "", "2020-05-31", "cloudfront"),
    entry!(
        "cloudtrail",
        "cloudtrail",
        "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
        "2013-11-01",
        "cloudtrail"
    ),
    entry!(
        "cloudwatch",
        "monitoring",
        "GraniteServiceVersion20100801",
        "2010-08-01",
        "monitoring"
    ),
    entry!(
        "codebuild",
        "codebuild",
        "CodeBuild_20161006",
        "2016-10-06",
        "codebuild"
    ),
    entry!(
        "codeconnections",
        "codeconnections",
        "com.amazonaws.codeconnections.CodeConnections_20231201",
        "2023-12-01",
        "codeconnections"
    ),
    entry!(
        "codedeploy",
        "codedeploy",
        "CodeDeploy_20141006",
        "2014-10-06",
        "codedeploy"
    ),
    entry!(
        "codepipeline",
        "codepipeline",
        "CodePipeline_20150709",
        "2015-07-09",
        "codepipeline"
    ),
    entry!("ec2", "ec2", "", "2016-11-15", "ec2"),
    entry!(
        "ecr-public",
        "ecr-public",
        "SpencerFrontendService",
        "2020-10-30",
        "api.ecr-public"
    ),
    entry!(
        "ecr",
        "ecr",
        "AmazonEC2ContainerRegistry_V20150921",
        "2015-09-21",
        "api.ecr"
    ),
    entry!("ecs", "ecs", "AmazonEC2ContainerServiceV20141113", "2014-11-13", "ecs"),
    entry!("eks", "eks", "", "2017-11-01", "eks"),
    entry!(
        "elbv2",
        "elasticloadbalancing",
        "",
        "2015-12-01",
        "elasticloadbalancing"
    ),
    entry!("events", "events", "AWSEvents", "2015-10-07", "events"),
    entry!("iam", "iam", "", "2010-05-08", "iam"),
    entry!("kms", "kms", "TrentService", "2014-11-01", "kms"),
    entry!("lambda", "lambda", "", "2015-03-31", "lambda"),
    entry!("logs", "logs", "Logs_20140328", "2014-03-28", "logs"),
    entry!("proton", "proton", "AwsProton20200720", "2020-07-20", "proton"),
    entry!(
        "resourcegroupstaggingapi",
        "tagging",
        "ResourceGroupsTaggingAPI_20170126",
        "2017-01-26",
        "tagging"
    ),
    entry!("route53", "route53", "", "2013-04-01", "route53"),
    entry!("s3", "s3", "", "2006-03-01", "s3"),
    entry!(
        "secretsmanager",
        "secretsmanager",
        "secretsmanager",
        "2017-10-17",
        "secretsmanager"
    ),
    entry!(
        "servicediscovery",
        "servicediscovery",
        "Route53AutoNaming_v20170314",
        "2017-03-14",
        "servicediscovery"
    ),
    entry!("ssm", "ssm", "AmazonSSM", "2014-11-06", "ssm"),
    entry!("sts", "sts", "", "2011-06-15", "sts"),
    entry!("wafv2", "wafv2", "AWSWAF_20190729", "2019-07-29", "wafv2"),
];

impl Entry {
    /// The service's own name in targets and paths, without the namespace that botocore's model may have before it.
    pub fn shape_name(&self) -> &'static str {
        let prefix = self.target_prefix;
        prefix.rsplit_once('.').map_or(prefix, |(_, name)| name)
    }

    /// The service, read from its model on the first call.
    pub fn service(&'static self) -> &'static Service {
        self.service.get_or_init(|| {
            let mut json = Vec::new();
            let service = GzDecoder::new(self.packed)
                .read_to_end(&mut json)
                .map_err(|error| error.to_string())
                .and_then(|_| Service::from_json(self.name, &json).map_err(|error| error.to_string()));
            match service {
                Ok(service) => service,
                // The bytes are part of the program; a test reads every one of them.
                Err(error) => panic!("the embedded model of {} cannot be read: {error}", self.name),
            }
        })
    }
}

/// All entries.
pub(crate) fn entries() -> impl Iterator<Item = &'static Entry> {
    CATALOG.iter()
}

/// The service of botocore's name, for example `elbv2`.
pub fn service(name: &str) -> Option<&'static Service> {
    entries().find(|entry| entry.name == name).map(Entry::service)
}

/// botocore's names of all embedded services.
pub fn service_names() -> impl Iterator<Item = &'static str> {
    entries().map(|entry| entry.name)
}

#[cfg(test)]
mod tests {
    use super::entries;
    use crate::model::Protocol;

    #[test]
    fn every_model_loads_and_agrees_with_its_entry() {
        for entry in entries() {
            let service = entry.service();
            assert_eq!(&*service.signing_name, entry.signing_name, "{}", entry.name);
            assert_eq!(&*service.target_prefix, entry.target_prefix, "{}", entry.name);
            assert_eq!(&*service.version, entry.version, "{}", entry.name);
            assert!(service.operations().count() > 0, "{}", entry.name);
            for op in service.operations() {
                assert!(service.operation(op.name()).is_some());
            }
        }
    }

    /// Routing tells services apart by these.
    #[test]
    fn prefixes_and_versions_are_unique() {
        let mut prefixes: Vec<_> = entries().map(|e| e.target_prefix).filter(|p| !p.is_empty()).collect();
        let count = prefixes.len();
        prefixes.sort_unstable();
        prefixes.dedup();
        assert_eq!(prefixes.len(), count);
        let mut versions: Vec<_> = entries()
            .filter(|e| {
                e.service()
                    .protocols
                    .iter()
                    .any(|p| matches!(p, Protocol::AwsQuery | Protocol::Ec2Query))
            })
            .map(|e| e.version)
            .collect();
        let count = versions.len();
        versions.sort_unstable();
        versions.dedup();
        assert_eq!(versions.len(), count);
    }

    #[test]
    fn every_pattern_compiles() {
        for entry in entries() {
            for (name, pattern) in entry.service().patterns() {
                assert!(pattern.compiles(), "{} {name}: {}", entry.name, pattern.text);
            }
        }
    }
}
