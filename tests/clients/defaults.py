"""Goal: what `honmaru deploy` sets by itself on an app's repository, load balancer and log group, as AWS's clients see it.

`defaults.py APP [hurry] [loosen] [forget]`: lets tasks go without waiting for requests in flight; sets all of it to what AWS has by default and the logs to 30 days; takes the tag away
that says that it was set, as with an app of an earlier version. Prints what is set.
"""

import json
import sys

import boto3

ecr, elbv2, logs = (boto3.client(name) for name in ("ecr", "elbv2", "logs"))
app, *what = sys.argv[1:]
TAG = "honmaru:defaults"
DROPS = "routing.http.drop_invalid_header_fields.enabled"
group = f"/honmaru/{app}"
balancer = elbv2.describe_load_balancers(Names=[app])["LoadBalancers"][0]["LoadBalancerArn"]

if "hurry" in what:
    target_group = elbv2.describe_target_groups(Names=[app])["TargetGroups"][0]["TargetGroupArn"]
    at_once = {"Key": "deregistration_delay.timeout_seconds", "Value": "0"}
    elbv2.modify_target_group_attributes(TargetGroupArn=target_group, Attributes=[at_once])
if "loosen" in what:
    ecr.put_image_tag_mutability(repositoryName=app, imageTagMutability="MUTABLE")
    try:
        ecr.delete_lifecycle_policy(repositoryName=app)
    except ecr.exceptions.LifecyclePolicyNotFoundException:
        pass
    elbv2.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=[{"Key": DROPS, "Value": "false"}])
    logs.put_retention_policy(logGroupName=group, retentionInDays=30)
repository = ecr.describe_repositories(repositoryNames=[app])["repositories"][0]
log_group = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
if "forget" in what:
    ecr.untag_resource(resourceArn=repository["repositoryArn"], tagKeys=[TAG])
    elbv2.remove_tags(ResourceArns=[balancer], TagKeys=[TAG])
    logs.untag_resource(resourceArn=log_group["arn"].removesuffix(":*"), tagKeys=[TAG])
try:
    policy = json.loads(ecr.get_lifecycle_policy(repositoryName=app)["lifecyclePolicyText"])
except ecr.exceptions.LifecyclePolicyNotFoundException:
    policy = {"rules": []}
attributes = elbv2.describe_load_balancer_attributes(LoadBalancerArn=balancer)["Attributes"]
print(
    json.dumps(
        {
            "tags": repository["imageTagMutability"],
            "rules": len(policy["rules"]),
            "drops": next(row["Value"] for row in attributes if row["Key"] == DROPS),
            "days": log_group.get("retentionInDays"),
        }
    )
)
