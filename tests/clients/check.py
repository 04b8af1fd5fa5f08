"""Goal: a service with everything that `honmaru check` looks for is there, made by a client that knows only AWS.

Prints its names. The image is one that `deploy` has pushed.
"""

import json
import time

import boto3

ecs, ec2, iam, logs = (boto3.client(name) for name in ("ecs", "ec2", "iam", "logs"))

image = ecs.describe_task_definition(taskDefinition="hello")["taskDefinition"]["containerDefinitions"][0]["image"]
subnets = [row["SubnetId"] for row in ec2.describe_subnets()["Subnets"]]
vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]

group = ec2.create_security_group(GroupName="bad", Description="lets everybody in", VpcId=vpc)["GroupId"]
ec2.authorize_security_group_ingress(
    GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
)

trust = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
role = iam.create_role(RoleName="bad", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
iam.attach_role_policy(
    RoleName="bad", PolicyArn="arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
)
iam.put_role_policy(RoleName="bad", PolicyName="all", PolicyDocument=json.dumps(everything))

ecs.register_task_definition(
    family="bad",
    networkMode="awsvpc",
    requiresCompatibilities=["FARGATE"],
    cpu="256",
    memory="512",
    executionRoleArn=role,
    taskRoleArn=role,
    containerDefinitions=[
        {
            "name": "bad",
            # The digest's tag, which moves with the next push.
            "image": image.split("@")[0] + ":latest",
            "user": "0",
            "entryPoint": ["/bin/sleep", "100000"],
            "environment": [{"name": "DB_PASSWORD", "value": "correct-horse"}, {"name": "MODE", "value": "fast"}],
            "linuxParameters": {"capabilities": {"add": ["SYS_PTRACE"]}},
        }
    ],
)
ecs.create_service(
    serviceName="bad",
    taskDefinition="bad",
    desiredCount=1,
    launchType="FARGATE",
    networkConfiguration={
        "awsvpcConfiguration": {"subnets": subnets, "securityGroups": [group], "assignPublicIp": "ENABLED"}
    },
)

# `deploy` keeps them longer.
logs.put_retention_policy(logGroupName="/honmaru/hello", retentionInDays=30)

deadline = time.monotonic() + 60
while ecs.describe_services(services=["bad"])["services"][0]["runningCount"] < 1:
    assert time.monotonic() < deadline, ecs.describe_services(services=["bad"])["services"][0]["events"]
    time.sleep(0.1)

print(json.dumps({"group": group}))
