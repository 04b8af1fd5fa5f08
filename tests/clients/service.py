"""A service behind an application load balancer, as boto3 and Terraform make one."""

import json
import time
import urllib.request

from common import HTTP_PORT, client, default_network, execution_role, fails, main, push, wait

CLUSTER, SERVICE, GROUP = "main", "web", "/web"
ECS, ELB, LOGS = client("ecs"), client("elbv2"), client("logs")

# Answers with its task's name and version; ends at SIGTERM as a good citizen.
SERVER = (
    "mkdir -p /tmp/www/cgi-bin; echo \"$VERSION $(hostname)\" > /tmp/www/index.html; echo ok > /tmp/www/health;"
    " printf '#!/bin/sh\\n\\necho; echo $HTTP_X_FORWARDED_PROTO\\n' > /tmp/www/cgi-bin/proto;"
    " chmod +x /tmp/www/cgi-bin/proto;"
    " httpd -f -vv -p 8080 -h /tmp/www 2>&1 & server=$!; trap 'kill $server' TERM; wait $server"
)


def define(version, script=SERVER):
    container = {
        "name": "web", "image": image(), "essential": True, "stopTimeout": 2, "command": ["sh", "-c", script],
        "environment": [{"name": "VERSION", "value": version}],
        "portMappings": [{"containerPort": 8080, "protocol": "tcp"}],
        "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": GROUP, "awslogs-region": LOGS.meta.region_name, "awslogs-stream-prefix": "web"}},
    }
    return ECS.register_task_definition(
        family="web", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        executionRoleArn="arn:aws:iam::000000000000:role/execution", containerDefinitions=[container],
    )["taskDefinition"]["taskDefinitionArn"]


def image():
    return client("ecr").describe_repositories(repositoryNames=["web"])["repositories"][0]["repositoryUri"] + ":v1"


def create():
    """Load balancer, target group, listener, service of two: until it is stable and both targets are healthy."""
    push("web", "v1")
    execution_role()
    ECS.create_cluster(clusterName=CLUSTER)
    LOGS.create_log_group(logGroupName=GROUP)
    ec2 = client("ec2")
    vpc, subnets, _ = default_network()
    balancer_group = ec2.create_security_group(GroupName="balancer", Description="test", VpcId=vpc)["GroupId"]
    task_group = ec2.create_security_group(GroupName="tasks", Description="test", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=balancer_group, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    ec2.authorize_security_group_ingress(GroupId=task_group, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "UserIdGroupPairs": [{"GroupId": balancer_group}]}])
    balancer = ELB.create_load_balancer(Name="web", Subnets=subnets[:2], SecurityGroups=[balancer_group])
    balancer_arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    target_group = ELB.create_target_group(
        Name="web", Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip", HealthCheckPath="/health",
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=4, HealthyThresholdCount=2, UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    ELB.modify_target_group_attributes(TargetGroupArn=target_group, Attributes=[
        {"Key": "deregistration_delay.timeout_seconds", "Value": "3"}])
    network = {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": [task_group], "assignPublicIp": "ENABLED"}}
    service = {
        "cluster": CLUSTER, "serviceName": SERVICE, "desiredCount": 2, "launchType": "FARGATE",
        "networkConfiguration": network,
        "loadBalancers": [{"targetGroupArn": target_group, "containerName": "web", "containerPort": 8080}],
        "deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 200,
                                    "deploymentCircuitBreaker": {"enable": True, "rollback": True}},
        "healthCheckGracePeriodSeconds": 0,
    }
    definition = define("one")
    # A target group without a load balancer serves nobody: refused, and no service is made.
    fails("InvalidParameterException", ECS.create_service, 400, "does not have an associated load balancer",
          taskDefinition=definition, **service)
    assert ECS.list_services(cluster=CLUSTER)["serviceArns"] == []
    ELB.create_listener(LoadBalancerArn=balancer_arn, Protocol="HTTP", Port=80,
                        DefaultActions=[{"Type": "forward", "TargetGroupArn": target_group}])
    started = time.monotonic()
    ECS.create_service(taskDefinition=definition, **service)
    fails("InvalidParameterException", ECS.create_service, 400, "not idempotent", taskDefinition=definition, **service)
    stable(60)
    ELB.get_waiter("target_in_service").wait(TargetGroupArn=target_group, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert len(ELB.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]) == 2
    dns = ELB.describe_load_balancers(Names=["web"])["LoadBalancers"][0]["DNSName"]
    return {"stable_after_s": round(time.monotonic() - started, 1), "host": dns, "tasks": tasks()}


def describe():
    return ECS.describe_services(cluster=CLUSTER, services=[SERVICE])["services"][0]


def stable(limit_s):
    """What the waiter ServicesStable waits for, looked at more often."""

    def is_stable():
        service = describe()
        return len(service["deployments"]) == 1 and service["runningCount"] == service["desiredCount"]

    try:
        wait("the service is stable", limit_s, is_stable)
    except AssertionError:
        service = describe()
        raise AssertionError(f"not stable: {service['deployments']}, {service['events'][:5]}, {stopped()}") from None
    ECS.get_waiter("services_stable").wait(cluster=CLUSTER, services=[SERVICE],
                                           WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def stopped():
    arns = ECS.list_tasks(cluster=CLUSTER, desiredStatus="STOPPED")["taskArns"][:5]
    found = ECS.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
    return [(task.get("stoppedReason"), [c.get("reason") for c in task["containers"]]) for task in found]


def tasks():
    """What must not change when a role dies: task, its start, the container behind it."""
    arns = ECS.list_tasks(cluster=CLUSTER, serviceName=SERVICE)["taskArns"]
    found = ECS.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
    return sorted([task["taskArn"], str(task.get("startedAt")), task["containers"][0].get("runtimeId"),
                   task["lastStatus"]] for task in found)


def all_stopped():
    arns = [arn for desired in ("RUNNING", "STOPPED")
            for arn in ECS.list_tasks(cluster=CLUSTER, desiredStatus=desired)["taskArns"]]
    found = ECS.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
    return all(task["lastStatus"] == "STOPPED" for task in found)


def list_tasks():
    return {"tasks": tasks()}


def ask(path="/", host="web.localhost"):
    request = urllib.request.Request(f"http://127.0.0.1:{HTTP_PORT}{path}", headers={"Host": host})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode().strip()


def update(version):
    """A new version, until the service is stable with it and only it answers."""
    ECS.update_service(cluster=CLUSTER, service=SERVICE, taskDefinition=define(version))
    stable(75)
    wait("only the new version answers", 20, lambda: all(ask().split()[0] == version for _ in range(10)))
    return {"tasks": tasks()}


def bad(kind):
    """A version that cannot serve: the old one goes on, the circuit breaker rolls back to it and says so."""
    before = describe()["taskDefinition"]
    script = {"exits": "echo no; exit 1", "unhealthy": "mkdir /tmp/www; exec httpd -f -p 8080 -h /tmp/www"}[kind]
    # Ref: deployment circuit breaker: the threshold is 3 failed tasks at least.
    ECS.update_service(cluster=CLUSTER, service=SERVICE, taskDefinition=define(kind, script))

    def is_rolled_back():
        service = describe()
        return service["taskDefinition"] == before and len(service["deployments"]) == 1

    try:
        wait("the deployment is rolled back", 120, is_rolled_back)
    except AssertionError:
        raise AssertionError(f"{describe()['deployments']}, {describe()['events'][:5]}, {stopped()}") from None
    events = [event["message"] for event in describe()["events"]]
    assert any("deployment failed" in event or "rolling back" in event for event in events), events
    stable(20)


def scale(count):
    ECS.update_service(cluster=CLUSTER, service=SERVICE, desiredCount=int(count))
    stable(40)
    assert len(tasks()) == int(count), tasks()
    if int(count):
        # Anew each time: a task that is going may still answer once.
        wait("every task answers", 20, lambda: len({ask() for _ in range(5 * int(count))}) == int(count))


def firewall():
    """A web ACL with AWS's SQL rules answers an injection 403; without it the request goes through."""
    wafv2 = client("wafv2")
    visible = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": False, "MetricName": "m"}
    injection = {"SqliMatchStatement": {
        "FieldToMatch": {"AllQueryArguments": {}},
        "TextTransformations": [{"Priority": 0, "Type": "URL_DECODE"}]}}
    rule = {"Name": "sqli", "Priority": 0, "Statement": injection, "Action": {"Block": {}}, "VisibilityConfig": visible}
    summary = wafv2.create_web_acl(Name="web", Scope="REGIONAL", DefaultAction={"Allow": {}}, Rules=[rule],
                                   VisibilityConfig=visible)["Summary"]
    balancer = ELB.describe_load_balancers(Names=["web"])["LoadBalancers"][0]["LoadBalancerArn"]
    wafv2.associate_web_acl(WebACLArn=summary["ARN"], ResourceArn=balancer)
    attack = "/?id=1%27%20OR%20%271%27%3D%271"

    def status(path):
        try:
            ask(path)
            return 200
        except urllib.error.HTTPError as error:
            return error.code

    wait("the injection is blocked", 10, lambda: status(attack) == 403)
    assert status("/?id=1") == 200
    fails("WAFAssociatedItemException", wafv2.delete_web_acl, 400, Name="web", Scope="REGIONAL", Id=summary["Id"],
          LockToken=summary["LockToken"])
    samples = wafv2.get_sampled_requests(
        WebAclArn=summary["ARN"], RuleMetricName="m", Scope="REGIONAL", MaxItems=10,
        TimeWindow={"StartTime": time.time() - 600, "EndTime": time.time() + 60})["SampledRequests"]
    assert any(sample["Request"]["URI"].startswith("/") and sample["Action"] == "BLOCK" for sample in samples), samples
    wafv2.disassociate_web_acl(ResourceArn=balancer)
    wait("the injection goes through", 10, lambda: status(attack) == 200)
    wafv2.delete_web_acl(Name="web", Scope="REGIONAL", Id=summary["Id"], LockToken=summary["LockToken"])


def listens(port):
    """Whether anybody on this machine listens on a port, at whatever address. Ref: proc_net_tcp(5)."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def listener(what):
    """A further listener is made, or deleted again: then nobody listens there, whoever still has its socket."""
    port = 8123
    balancer = ELB.describe_load_balancers(Names=["web"])["LoadBalancers"][0]["LoadBalancerArn"]
    if what == "create":
        assert not listens(port), "something else uses the test's port"
        ELB.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}])
        wait("edge listens", 10, lambda: listens(port))
    elif what == "check":
        assert listens(port), "the port is closed"
    else:
        found = ELB.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
        arn, = [listener["ListenerArn"] for listener in found if listener["Port"] == port]
        ELB.delete_listener(ListenerArn=arn)
        wait("nobody listens", 10, lambda: not listens(port))


def logged():
    """The log has what the servers said, request by request."""
    mark = f"/mark-{int(time.time())}"
    try:
        ask(mark)
    except urllib.error.HTTPError as error:
        assert error.code == 404, error
    wait("the request is in the log", 10, lambda: LOGS.filter_log_events(
        logGroupName=GROUP, filterPattern=f'"{mark}"')["events"])


def delete():
    """Everything goes in the order in which Terraform removes it."""
    fails("InvalidParameterException", ECS.delete_service, 400, "scaled above 0", cluster=CLUSTER, service=SERVICE)
    ECS.update_service(cluster=CLUSTER, service=SERVICE, desiredCount=0)
    ECS.delete_service(cluster=CLUSTER, service=SERVICE)
    ECS.get_waiter("services_inactive").wait(cluster=CLUSTER, services=[SERVICE],
                                             WaiterConfig={"Delay": 1, "MaxAttempts": 90})
    group = ELB.describe_target_groups(Names=["web"])["TargetGroups"][0]["TargetGroupArn"]
    fails("ResourceInUse", ELB.delete_target_group, 400, TargetGroupArn=group)
    ELB.delete_load_balancer(LoadBalancerArn=ELB.describe_load_balancers(Names=["web"])["LoadBalancers"][0][
        "LoadBalancerArn"])
    ELB.delete_target_group(TargetGroupArn=group)
    # Tasks that are being stopped are no longer listed as RUNNING and still keep the cluster.
    wait("no task is left", 20, all_stopped)
    ECS.delete_cluster(cluster=CLUSTER)


if __name__ == "__main__":
    main({"create": create, "listener": listener, "tasks": list_tasks, "update": update, "bad": bad, "scale": scale,
          "firewall": firewall, "logged": logged, "delete": delete, "stable": lambda: stable(60)})
