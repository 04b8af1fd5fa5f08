"""The endpoint as boto3 and bare HTTP see it: who gets in, what an answer and what an error look like."""

import datetime
import json
import os
import time
import xml.etree.ElementTree as ElementTree

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
from common import ENDPOINT, REGION, client, default_network, fails, keys, main, send, signed, wait

ECS_JSON = {"Content-Type": "application/x-amz-json-1.1"}
QUERY = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
ASSUME = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def ecs(operation):
    return {**ECS_JSON, "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}"}


def services():
    """Every service answers a read, in its own protocol, and the default VPC is there."""
    identity = client("sts").get_caller_identity()
    assert identity["Account"] == "000000000000", identity
    assert identity["Arn"].startswith("arn:aws:iam::000000000000:"), identity
    for service, operation in [
        ("ecs", "list_clusters"),
        ("ecr", "describe_repositories"),
        ("elbv2", "describe_load_balancers"),
        ("logs", "describe_log_groups"),
        ("iam", "list_roles"),
        ("ec2", "describe_security_groups"),
    ]:
        answer = getattr(client(service), operation)()
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200, answer
        assert answer["ResponseMetadata"]["RequestId"], answer
    assert client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"] == []
    vpc, subnets, group = default_network()
    assert vpc.startswith("vpc-") and group.startswith("sg-"), (vpc, group)
    zones = [zone["ZoneName"] for zone in client("ec2").describe_availability_zones()["AvailabilityZones"]]
    assert len(subnets) == len(zones) >= 2, (subnets, zones)
    assert all(zone.startswith(REGION) for zone in zones), zones


def unimplemented():
    """What is modelled and not implemented answers 501 in its protocol and names itself; what is not modelled is 400."""
    fails("NotImplemented", client("ecs").create_capacity_provider, 501, "ecs:CreateCapacityProvider",
          name="x", autoScalingGroupProvider={"autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:0:x"})
    fails("NotImplemented", client("elbv2").describe_trust_stores, 501, "elbv2:DescribeTrustStores")
    fails("NotImplemented", client("ec2").run_instances, 501, "ec2:RunInstances", MinCount=1, MaxCount=1)
    status, _, body = signed("ecs", b"{}", ecs("MakeCoffee"))
    assert (status, json.loads(body)["__type"].split("#")[-1]) == (400, "UnknownOperationException"), (status, body)
    status, _, body = signed("iam", b"Action=MakeCoffee&Version=2010-05-08", QUERY)
    assert status == 400 and code_of(body) == "InvalidAction", (status, body)


def code_of(body):
    """The code of an XML error, whatever its namespace."""
    tree = ElementTree.fromstring(body)
    return next(node.text for node in tree.iter() if node.tag.split("}")[-1] == "Code")


def signatures():
    """Nobody gets in without a signature that matches: the documented error of each protocol."""
    wrong = {"aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": "x" * 40}
    nobody = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x" * 40}
    fails("InvalidSignatureException", client("ecs", **wrong).list_clusters, 400)
    fails("SignatureDoesNotMatch", client("iam", **wrong).list_users, 403)
    fails("AuthFailure", client("ec2", **wrong).describe_vpcs, 401)
    fails("UnrecognizedClientException", client("ecs", **nobody).list_clusters, 400)
    fails("InvalidClientTokenId", client("sts", **nobody).get_caller_identity, 403)
    fails("AuthFailure", client("ec2", **nobody).describe_vpcs, 401)
    fails("UnrecognizedClientException", client("ecs", aws_session_token="nonsense", **nobody).list_clusters, 400)

    status, _, body = send(ENDPOINT, b"{}", ecs("ListClusters"), "POST")
    assert status == 400, (status, body)
    assert json.loads(body)["__type"].split("#")[-1] == "MissingAuthenticationTokenException", body
    status, _, body = send(ENDPOINT, b"Action=ListUsers&Version=2010-05-08", QUERY, "POST")
    assert (status, code_of(body)) == (403, "MissingAuthenticationToken"), (status, body)

    def yesterday(headers):
        then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
        headers["X-Amz-Date"] = then.strftime("%Y%m%dT%H%M%SZ")

    status, _, body = signed("ecs", b"{}", ecs("ListClusters"), mangle=yesterday)
    assert status == 400, (status, body)
    assert json.loads(body)["__type"].split("#")[-1] == "InvalidSignatureException", body
    # What was signed is what counts: another operation under the same signature is refused.
    status, _, body = signed("ecs", b"{}", ecs("ListClusters"), mangle=lambda h: h.update(ecs("DescribeClusters")))
    assert status == 400, (status, body)
    assert json.loads(body)["__type"].split("#")[-1] == "InvalidSignatureException", body
    for header in ("nonsense", "AWS4-HMAC-SHA256 Credential=a", "Bearer x"):
        status, _, body = send(ENDPOINT, b"{}", {**ecs("ListClusters"), "Authorization": header}, "POST")
        assert 400 <= status < 500, (header, status, body)


def presigned():
    """A presigned GetCallerIdentity, as aws-iam-authenticator trusts it: in XML, in JSON for whom asks for that, and
    for the headers that were signed only."""
    credentials = botocore.credentials.Credentials(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    query = "Action=GetCallerIdentity&Version=2011-06-15"
    request = botocore.awsrequest.AWSRequest("GET", f"{ENDPOINT}/?{query}", headers={"x-k8s-aws-id": "cluster"})
    botocore.auth.SigV4QueryAuth(credentials, "sts", REGION, expires=60).add_auth(request)
    mine = {"x-k8s-aws-id": "cluster"}
    status, told, body = send(request.url, headers=mine)
    assert status == 200 and told["content-type"] == "text/xml", (status, told, body)
    status, told, body = send(request.url, headers={**mine, "Accept": "application/json"})
    assert status == 200 and told["content-type"] == "application/json", (status, told, body)
    answer = json.loads(body)["GetCallerIdentityResponse"]
    assert answer["GetCallerIdentityResult"]["Arn"] == "arn:aws:iam::000000000000:user/administrator", answer
    assert answer["ResponseMetadata"]["RequestId"], answer
    status, _, body = send(request.url, headers={"x-k8s-aws-id": "other", "Accept": "application/json"})
    assert (status, json.loads(body)["Error"]["Code"]) == (403, "SignatureDoesNotMatch"), (status, body)


def bodies():
    """Malformed bodies get an error of the protocol: never a 500, and nothing is made."""
    deep = b'{"tags":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    cases = [
        (b"{", "SerializationException"),
        (b"not json", "SerializationException"),
        (b'{"clusterName": 7}', "SerializationException"),
        (b'{"clusterName": ["a"]}', "SerializationException"),
        (b'["clusterName"]', "SerializationException"),
        (b'{"clusterName": "\xff\xfe"}', "SerializationException"),
        (deep, "SerializationException"),
    ]
    for body, code in cases:
        status, _, answer = signed("ecs", body, ecs("CreateCluster"))
        shown = (body[:40], status, answer[:200])
        assert status == 400, shown
        assert json.loads(answer)["__type"].split("#")[-1] == code, shown
    assert client("ecs").list_clusters()["clusterArns"] == []
    # A member that no model knows is passed over, however deep it is.
    unknown = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    status, _, answer = signed("ecs", unknown, ecs("ListClusters"))
    assert status in (200, 400), (status, answer[:200])
    status, _, answer = signed("iam", b"Action=CreateUser&Version=2010-05-08", QUERY)
    assert status == 400 and code_of(answer) in ("ValidationError", "MissingParameter"), (status, answer)
    status, _, answer = signed("ec2", b"Action=DescribeSubnets&Version=2016-11-15&MaxResults=many", QUERY)
    assert status == 400, (status, answer)
    status, _, answer = send(ENDPOINT, None, None, "GET")
    assert 300 <= status < 500, (status, answer)


def policies():
    """A policy that denies, denies: in AWS's words, with principal, action and resource; what it allows goes."""
    iam = client("iam")
    iam.create_user(UserName="narrow")
    key = iam.create_access_key(UserName="narrow")["AccessKey"]
    mine = keys(key)
    who = "arn:aws:iam::000000000000:user/narrow"
    fails("AccessDeniedException", client("ecs", **mine).list_clusters, 400,
          f"User: {who} is not authorized to perform: ecs:ListClusters on resource: * because no identity-based policy "
          "allows the ecs:ListClusters action")
    allowed = f"arn:aws:ecs:{REGION}:000000000000:cluster/allowed"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["ecs:CreateCluster", "ecs:ListClusters"], "Resource": "*"},
            {"Effect": "Allow", "Action": "ecs:DescribeClusters", "Resource": allowed},
            {"Effect": "Deny", "Action": "ecs:CreateCluster", "Resource": f"{allowed[:-7]}denied"},
        ],
    }
    iam.put_user_policy(UserName="narrow", PolicyName="p", PolicyDocument=json.dumps(policy))
    ecs_client = client("ecs", **mine)
    ecs_client.create_cluster(clusterName="allowed")
    assert ecs_client.describe_clusters(clusters=["allowed"])["clusters"][0]["status"] == "ACTIVE"
    denied = f"arn:aws:ecs:{REGION}:000000000000:cluster/denied"
    fails("AccessDeniedException", ecs_client.create_cluster, 400,
          f"is not authorized to perform: ecs:CreateCluster on resource: {denied} with an explicit deny",
          clusterName="denied")
    fails("AccessDeniedException", ecs_client.describe_clusters, 400, "ecs:DescribeClusters", clusters=["other"])
    fails("AccessDenied", client("iam", **mine).list_users, 403, f"User: {who} is not authorized to perform: iam:ListUsers")
    fails("UnauthorizedOperation", client("ec2", **mine).describe_vpcs, 403, "ec2:DescribeVpcs")
    # Nothing was made by what was denied.
    assert client("ecs").list_clusters()["clusterArns"] == [allowed], "a denied call left something"
    iam.update_access_key(UserName="narrow", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    fails("UnrecognizedClientException", ecs_client.list_clusters, 400)
    iam.delete_access_key(UserName="narrow", AccessKeyId=key["AccessKeyId"])
    fails("DeleteConflict", iam.delete_user, 409, UserName="narrow")
    iam.delete_user_policy(UserName="narrow", PolicyName="p")
    iam.delete_user(UserName="narrow")
    fails("NoSuchEntity", iam.get_user, 404, UserName="narrow")
    client("ecs").delete_cluster(cluster="allowed")


def sessions():
    """AssumeRole: the session may what its role and its session policy both allow, and ends in time."""
    iam, sts = client("iam"), client("sts")
    account = "arn:aws:iam::000000000000:root"
    trust = {"Version": "2012-10-17",
             "Statement": [{"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    reads = {"Version": "2012-10-17",
             "Statement": [{"Effect": "Allow", "Action": ["ecs:List*", "logs:Describe*"], "Resource": "*"}]}
    iam.put_role_policy(RoleName="reader", PolicyName="reads", PolicyDocument=json.dumps(reads))
    assumed = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="one", DurationSeconds=900)
    left = assumed["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert 880 < left.total_seconds() <= 901, left
    assert assumed["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/reader/one", assumed
    mine = keys(assumed["Credentials"])
    assert mine["aws_access_key_id"].startswith("ASIA"), mine
    identity = client("sts", **mine).get_caller_identity()
    assert identity["Arn"] == assumed["AssumedRoleUser"]["Arn"], identity
    client("ecs", **mine).list_clusters()
    client("logs", **mine).describe_log_groups()
    fails("AccessDeniedException", client("ecs", **mine).create_cluster, 400, "assumed-role/reader/one", clusterName="x")
    narrower = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
    assumed = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="two", Policy=json.dumps(narrower))
    mine = keys(assumed["Credentials"])
    client("logs", **mine).describe_log_groups()
    fails("AccessDeniedException", client("ecs", **mine).list_clusters, 400, "session policy")
    fails("AccessDeniedException", client("logs", **mine).create_log_group, 400, logGroupName="/x")
    # A token belongs to its key and cannot be changed.
    spoiled = {**mine, "aws_session_token": mine["aws_session_token"][:-8] + "AAAAAAA="}
    fails("UnrecognizedClientException", client("ecs", **spoiled).list_clusters, 400)
    without = {name: value for name, value in mine.items() if name != "aws_session_token"}
    fails("UnrecognizedClientException", client("ecs", **without).list_clusters, 400)
    fails("ValidationError", botocore_unchecked("sts").assume_role, 400, RoleArn=role["Arn"], RoleSessionName="xx",
          DurationSeconds=899)
    fails("AccessDenied", sts.assume_role, 403, RoleArn=f"{role['Arn']}-none", RoleSessionName="xx")
    tasks_only = iam.create_role(RoleName="tasks-only", AssumeRolePolicyDocument=json.dumps(ASSUME))["Role"]["Arn"]
    fails("AccessDenied", sts.assume_role, 403, "sts:AssumeRole", RoleArn=tasks_only, RoleSessionName="xx")
    fails("MalformedPolicyDocument", iam.create_role, 400, RoleName="bad", AssumeRolePolicyDocument="{}")
    fails("EntityAlreadyExists", iam.create_role, 409, RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))
    iam.delete_role(RoleName="tasks-only")
    iam.delete_role_policy(RoleName="reader", PolicyName="reads")
    iam.delete_role(RoleName="reader")


def live_tail():
    """A session's stream, event by event: it begins, tells every second, and tells what is put meanwhile."""
    logs = client("logs", inject_host_prefix=False)
    logs.create_log_group(logGroupName="/tail")
    logs.create_log_stream(logGroupName="/tail", logStreamName="s")
    group = logs.describe_log_groups(logGroupNamePrefix="/tail")["logGroups"][0]["logGroupArn"]
    fails("InvalidParameterException", logs.start_live_tail, 400, logGroupIdentifiers=["/tail"])
    fails("ResourceNotFoundException", logs.start_live_tail, 400, logGroupIdentifiers=[group + "-none"])
    stream = logs.start_live_tail(logGroupIdentifiers=[group], logEventFilterPattern="error")["responseStream"]
    events = iter(stream)
    begun = next(events)["sessionStart"]
    assert begun["logGroupIdentifiers"] == [group] and begun["sessionId"], begun
    assert next(events)["sessionUpdate"]["sessionResults"] == []
    now = int(time.time() * 1000)
    logs.put_log_events(logGroupName="/tail", logStreamName="s", logEvents=[
        {"timestamp": now, "message": text} for text in ("an error", "fine", "error 2")])
    told = []
    while len(told) < 2:
        update = next(events)["sessionUpdate"]
        assert update["sessionMetadata"] == {"sampled": False}, update
        told += update["sessionResults"]
    assert [event["message"] for event in told] == ["an error", "error 2"], told
    assert told[0]["logStreamName"] == "s" and told[0]["timestamp"] == now, told
    # A session that is left gives its place back.
    stream.close()
    most = 15
    others = [logs.start_live_tail(logGroupIdentifiers=[group])["responseStream"] for _ in range(most - 1)]

    def last():
        try:
            return logs.start_live_tail(logGroupIdentifiers=[group])["responseStream"]
        except logs.exceptions.LimitExceededException:
            return None

    others.append(wait("the session that was left is over", 10, last))
    fails("LimitExceededException", logs.start_live_tail, 400, logGroupIdentifiers=[group])
    for other in others:
        other.close()
    logs.delete_log_group(logGroupName="/tail")


def bad_input():
    """AWS's code for bad input, and nothing half done after it."""
    ecs_client, elb, logs = client("ecs"), client("elbv2"), client("logs")
    container = {"name": "c", "image": "x", "essential": True}
    family = {"family": "bad", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}
    register = ecs_client.register_task_definition
    fails("ClientException", register, 400, "No Fargate configuration exists for given values",
          containerDefinitions=[container], cpu="256", memory="8192", **family)
    fails("ClientException", register, 400, containerDefinitions=[], cpu="256", memory="512", **family)
    fails("ClientException", register, 400, containerDefinitions=[{**container, "name": "no spaces"}],
          cpu="256", memory="512", **family)
    assert ecs_client.list_task_definition_families()["families"] == [], "a refused task definition is there"
    fails("ClientException", ecs_client.describe_task_definition, 400, "Unable to describe task definition",
          taskDefinition="nothing:1")
    fails("ClusterNotFoundException", ecs_client.list_tasks, 400, "Cluster not found.", cluster="nothing")
    ecs_client.create_cluster(clusterName="c")
    fails("ClientException", ecs_client.run_task, 400, "TaskDefinition not found", cluster="c", taskDefinition="nothing")
    fails("ServiceNotFoundException", ecs_client.update_service, 400, cluster="c", service="nothing", desiredCount=1)
    register(containerDefinitions=[container], cpu="256", memory="512", **family)
    fails("InvalidParameterException", ecs_client.run_task, 400, "Network Configuration must be provided",
          cluster="c", taskDefinition="bad", launchType="FARGATE")
    fails("InvalidParameterException", ecs_client.run_task, 400, cluster="c", taskDefinition="bad", count=11)
    assert ecs_client.list_tasks(cluster="c")["taskArns"] == []
    ecs_client.deregister_task_definition(taskDefinition="bad:1")
    ecs_client.delete_cluster(cluster="c")

    logs.create_log_group(logGroupName="/bad")
    fails("ResourceAlreadyExistsException", logs.create_log_group, 400, logGroupName="/bad")
    fails("ResourceNotFoundException", logs.create_log_stream, 400, logGroupName="/none", logStreamName="s")
    fails("InvalidParameterException", logs.create_log_group, 400, logGroupName="no spaces")
    logs.delete_log_group(logGroupName="/bad")

    fails("InvalidParameterException", client("ecr").create_repository, 400, repositoryName="UPPER")
    fails("RepositoryNotFoundException", client("ecr").describe_repositories, 400, repositoryNames=["none"])
    fails("InvalidGroup.NotFound", client("ec2").describe_security_groups, 400, GroupIds=["sg-0123456789abcdef0"])
    fails("WAFNonexistentItemException", client("wafv2").get_web_acl, 400,
          Name="none", Scope="REGIONAL", Id="00000000-0000-4000-8000-000000000000")

    _, subnets, group = default_network()
    balancer = elb.create_load_balancer(Name="bad", Subnets=subnets[:2], SecurityGroups=[group])["LoadBalancers"][0]
    arn = balancer["LoadBalancerArn"]
    action = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]
    listen = {"LoadBalancerArn": arn, "Protocol": "HTTP", "DefaultActions": action}
    elb.create_listener(Port=80, **listen)
    fails("DuplicateListener", elb.create_listener, 400, Port=80, **{**listen, "DefaultActions": [
        {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]})
    fails("ValidationError", botocore_unchecked("elbv2").create_listener, 400, Port=0, **listen)
    fails("TargetGroupNotFound", elb.create_listener, 400, Port=81, **{**listen, "DefaultActions": [
        {"Type": "forward", "TargetGroupArn": arn.replace("loadbalancer/app", "targetgroup")}]})
    assert len(elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]) == 1
    fails("LoadBalancerNotFound", elb.describe_load_balancers, 400, Names=["none"])
    elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 20})

    # What botocore would refuse itself goes out as it is.
    unchecked = botocore_unchecked("ecs")
    fails("InvalidParameterException", unchecked.create_service, 400)
    fails("ClientException", unchecked.register_task_definition, 400, family="x")


def botocore_unchecked(service):
    """A client that does not validate: what the endpoint does with bad input is the subject."""
    import boto3
    import botocore.config

    config = botocore.config.Config(parameter_validation=False, retries={"max_attempts": 0})
    return boto3.client(service, config=config, region_name=REGION, endpoint_url=ENDPOINT)


def pages():
    """Paginators walk everything once; a token from elsewhere is refused."""
    ecs_client = client("ecs")
    names = [f"page-{n:02}" for n in range(25)]
    for name in names:
        ecs_client.create_cluster(clusterName=name)
    pages_seen = list(ecs_client.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 10}))
    arns = [arn for page in pages_seen for arn in page["clusterArns"]]
    assert [len(page["clusterArns"]) for page in pages_seen] == [10, 10, 5], pages_seen
    assert sorted(arn.split("/")[-1] for arn in arns) == names, arns
    fails("InvalidParameterException", ecs_client.list_clusters, 400, nextToken="nonsense")
    for name in names:
        ecs_client.delete_cluster(cluster=name)


def regions_are_apart():
    """What is made in one region is in no other."""
    import boto3

    there = boto3.client("ecs", region_name="eu-central-1", endpoint_url=ENDPOINT)
    there.create_cluster(clusterName="there")
    assert client("ecs").list_clusters()["clusterArns"] == []
    assert there.list_clusters()["clusterArns"] == ["arn:aws:ecs:eu-central-1:000000000000:cluster/there"]
    there.delete_cluster(cluster="there")
    # There are 16 ranges for default VPCs. Whoever may do nothing gets none, whatever regions they sign for.
    iam = client("iam")
    iam.create_user(UserName="stranger")
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    mine = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    for number in range(17):
        status, _, body = signed("ecs", b"{}", ecs("ListClusters"), region=f"nowhere-{number}", **mine)
        assert status == 400 and b"AccessDeniedException" in body, (status, body)
        status, _, body = signed("sts", b"Action=GetCallerIdentity&Version=2011-06-15", QUERY, region=f"no-{number}", **mine)
        assert status == 200, (status, body)
    iam.delete_access_key(UserName="stranger", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="stranger")
    fresh = boto3.client("ec2", region_name="eu-west-3", endpoint_url=ENDPOINT)
    assert [vpc["IsDefault"] for vpc in fresh.describe_vpcs()["Vpcs"]] == [True], "the ranges are used up"


def write_and_crash(count):
    """Writes groups, one acknowledged call after another, until one fails or the parent has seen enough: a call that comes
    while control is away waits for the next one. Prints how many were acknowledged."""
    logs, written = client("logs"), 0
    try:
        while written < int(count) and not os.path.exists(os.environ["HONMARU_STATE"] + ".stop"):
            logs.create_log_group(logGroupName=f"/kill/{written:05}")
            written += 1
            if written == 20:
                # The parent kills control from here on.
                open(os.environ["HONMARU_STATE"] + ".go", "w").close()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        pass
    return {"written": written}


def count_groups(prefix):
    names = []
    for page in client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix):
        names += [group["logGroupName"] for group in page["logGroups"]]
    return {"names": names}


if __name__ == "__main__":
    main({
        "services": services,
        "unimplemented": unimplemented,
        "signatures": signatures,
        "presigned": presigned,
        "bodies": bodies,
        "policies": policies,
        "sessions": sessions,
        "live_tail": live_tail,
        "bad_input": bad_input,
        "pages": pages,
        "regions": regions_are_apart,
        "write_and_crash": write_and_crash,
        "count_groups": count_groups,
    })
