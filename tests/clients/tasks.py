"""Tasks as boto3 sees them: what runs really runs, what fails says why."""

import json

from common import client, default_network, execution_role, fails, keys, main, push, role, send, wait

CLUSTER = "tasks"
GROUP = "/tasks"
SESSIONS = "/sessions"
ECS = client("ecs")


def setup():
    ECS.create_cluster(clusterName=CLUSTER)
    client("logs").create_log_group(logGroupName=GROUP)
    execution_role()
    role("task", [{"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}])
    return {"image": push("app", "v1")}


def account_role(name):
    return f"arn:aws:iam::000000000000:role/{name}"


def image():
    return client("ecr").describe_repositories(repositoryNames=["app"])["repositories"][0]["repositoryUri"] + ":v1"


def register(family, *containers, **definition):
    """Registers a task definition; each container is a dict that is completed."""
    completed = []
    for number, container in enumerate(containers):
        options = {"awslogs-group": GROUP, "awslogs-region": client("logs").meta.region_name,
                   "awslogs-stream-prefix": family}
        completed.append({
            "name": f"c{number}", "image": image(), "essential": True, "stopTimeout": 2,
            "logConfiguration": {"logDriver": "awslogs", "options": options}, **container,
        })
    return ECS.register_task_definition(**{
        "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
        "memory": "512", "executionRoleArn": account_role("execution"), "containerDefinitions": completed, **definition,
    })["taskDefinition"]


def run(family, groups=(), wanted=1, **more):
    _, subnets, default = default_network()
    network = {"awsvpcConfiguration": {
        "subnets": subnets, "securityGroups": list(groups) or [default], "assignPublicIp": "ENABLED"}}
    answer = ECS.run_task(cluster=CLUSTER, taskDefinition=family, launchType="FARGATE", count=wanted,
                          networkConfiguration=network, **more)
    assert answer["failures"] == [] and len(answer["tasks"]) == wanted, answer
    return [task["taskArn"] for task in answer["tasks"]]


def describe(arn):
    return ECS.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]


def running(arn, limit_s=20):
    def is_running():
        task = describe(arn)
        assert task["lastStatus"] not in ("DEPROVISIONING", "STOPPED"), (task.get("stoppedReason"), task["containers"])
        return task if task["lastStatus"] == "RUNNING" else None

    return wait(f"{arn} runs", limit_s, is_running)


def stopped(arn, limit_s=30):
    def is_stopped():
        task = describe(arn)
        return task if task["lastStatus"] == "STOPPED" else None

    try:
        return wait(f"{arn} stops", limit_s, is_stopped)
    except AssertionError:
        raise AssertionError(f"not stopped: {describe(arn)}") from None


def messages(family, wanted=1, limit_s=10):
    """What the tasks of a family logged, once there are so many lines."""

    def found():
        answer = client("logs").filter_log_events(logGroupName=GROUP, logStreamNamePrefix=f"{family}/")
        lines = [event["message"] for event in answer["events"]]
        return lines if len(lines) >= wanted else None

    return wait(f"{family} logs {wanted} lines", limit_s, found)


def address(task):
    details = {entry["name"]: entry["value"] for entry in task["attachments"][0]["details"]}
    return details["privateIPv4Address"]


def runs(first, second):
    """Two tasks, one of them with two containers, run; the numbers mark their processes for the parent."""
    register("one", {"command": ["sleep", first]}, {"command": ["sleep", first + "1"]})
    register("two", {"command": ["sleep", second]})
    arns = run("one") + run("two", tags=[{"key": "k", "value": "v"}], startedBy="test")
    tasks = [running(arn) for arn in arns]
    for task in tasks:
        assert task["launchType"] == "FARGATE" and task["desiredStatus"] == "RUNNING", task
        assert task["connectivity"] == "CONNECTED" and task["cpu"] == "256" and task["memory"] == "512", task
        assert task["createdAt"] <= task["startedAt"], task
        assert task["attachments"][0]["type"] == "ElasticNetworkInterface", task
        assert task["attachments"][0]["status"] == "ATTACHED", task
        for container in task["containers"]:
            assert container["lastStatus"] == "RUNNING" and container["runtimeId"], task
            assert container["networkInterfaces"][0]["privateIpv4Address"] == address(task), task
            assert container["imageDigest"].startswith("sha256:"), task
    assert address(tasks[0]) != address(tasks[1])
    assert sorted(ECS.list_tasks(cluster=CLUSTER)["taskArns"]) == sorted(arns)
    assert ECS.list_tasks(cluster=CLUSTER, family="one")["taskArns"] == arns[:1]
    assert ECS.list_tasks(cluster=CLUSTER, startedBy="test")["taskArns"] == arns[1:]
    ECS.get_waiter("tasks_running").wait(cluster=CLUSTER, tasks=arns, WaiterConfig={"Delay": 1, "MaxAttempts": 3})
    return {"tasks": arns}


def stop(*arns):
    """StopTask: asked with SIGTERM, killed after stopTimeout, and the reason is the caller's."""
    for arn in arns:
        ECS.stop_task(cluster=CLUSTER, task=arn, reason="enough")
    for arn in arns:
        task = stopped(arn)
        assert task["stopCode"] == "UserInitiated" and task["stoppedReason"] == "enough", task
        # `sleep` as process 1 ignores SIGTERM, so that SIGKILL ends it.
        assert {container["exitCode"] for container in task["containers"]} == {137}, task
    script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done"
    register("polite", {"command": ["sh", "-c", script], "stopTimeout": 60})
    arn = run("polite")[0]
    running(arn)
    messages("polite")
    ECS.stop_task(cluster=CLUSTER, task=arn)
    task = stopped(arn)
    assert task["containers"][0]["exitCode"] == 5, task
    assert task["stoppedReason"] == "Task stopped by a call to StopTask", task
    assert messages("polite", 2) == ["up", "bye"], messages("polite")
    fails("InvalidParameterException", ECS.stop_task, 400, cluster=CLUSTER, task="0" * 32)


def exits():
    """Exit code, environment, both outputs, overrides."""
    script = "echo out $GREETING $FROM_IMAGE; echo err >&2; pwd; id -u; cat /etc/mark; echo; exit 3"
    register("exits", {"command": ["sh", "-c", script], "environment": [{"name": "GREETING", "value": "hello"}],
                       "workingDirectory": "/tmp", "user": "65534:65534"})
    task = stopped(run("exits")[0])
    assert task["containers"][0]["exitCode"] == 3, task
    assert task["stopCode"] == "EssentialContainerExited", task
    assert task["stoppedReason"] == "Essential container in task exited", task
    lines = messages("exits", 5)
    assert sorted(lines) == sorted(["out hello mark-1", "err", "/tmp", "65534", "1"]), lines
    found = client("logs").filter_log_events(logGroupName=GROUP, filterPattern='"out hello"')["events"]
    assert [event["message"] for event in found] == ["out hello mark-1"], found
    stream = found[0]["logStreamName"]
    assert stream == f"exits/c0/{task['taskArn'].split('/')[-1]}", stream
    events = client("logs").get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)["events"]
    assert len(events) == 5, events
    over = {"containerOverrides": [{"name": "c0", "command": ["sh", "-c", "exit $CODE"],
                                    "environment": [{"name": "CODE", "value": "42"}]}]}
    task = stopped(run("exits", overrides=over)[0])
    assert task["containers"][0]["exitCode"] == 42, task


def memory():
    """More memory than the task, or the container, may have: 137 and OutOfMemoryError."""
    greedy = ["dd", "if=/dev/zero", "of=/dev/null", "bs=900M", "count=1"]
    register("greedy", {"command": greedy})
    register("greedy-container", {"command": ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"], "memory": 64})
    for arn in run("greedy") + run("greedy-container"):
        task = stopped(arn)
        container = task["containers"][0]
        assert container["exitCode"] == 137, task
        assert container["reason"].startswith("OutOfMemoryError"), task


def cannot():
    """What cannot start says why, in AWS's words, and soon."""
    cases = [
        ("no-tag", {"image": image()[:-2] + "none"}, "CannotPullContainerError"),
        ("no-registry", {"image": "registry.invalid/x:1"}, "CannotPullContainerError"),
        ("no-command", {"command": ["/nope"]}, "CannotStartContainerError"),
        ("no-user", {"command": ["true"], "user": "nobody-has-this-name"}, "CannotStartContainerError"),
    ]
    # Execution roles that may not pull, under the names of their families. Ref: AmazonECSTaskExecutionRolePolicy.
    barred = {
        "no-rights": ([], "ResourceInitializationError: unable to pull secrets or registry auth"),
        "no-layers": (["ecr:GetAuthorizationToken", "ecr:BatchGetImage"], "CannotPullContainerError"),
    }
    for name, (actions, reason) in barred.items():
        role(name, [{"Effect": "Allow", "Action": [*actions, "logs:*"], "Resource": "*"}])
        cases.append((name, {}, reason))
    arns = []
    for family, container, _ in cases:
        more = {"executionRoleArn": account_role(family)} if family in barred else {}
        register(family, {"command": ["true"], **container}, **more)
        arns += run(family)
    for arn, (family, _, wanted) in zip(arns, cases):
        task = stopped(arn)
        assert task["stopCode"] == "TaskFailedToStart", (family, task)
        assert wanted in task["stoppedReason"], (family, task)
        assert "exitCode" not in task["containers"][0], (family, task)


def security_groups():
    """A server that lets one group in: from that group yes, from another no, and a change counts."""
    ec2 = client("ec2")
    vpc, _, _ = default_network()
    groups = {name: ec2.create_security_group(GroupName=name, Description="test", VpcId=vpc)["GroupId"]
              for name in ("server", "friend", "stranger")}
    permission = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080,
                  "UserIdGroupPairs": [{"GroupId": groups["friend"]}]}
    ec2.authorize_security_group_ingress(GroupId=groups["server"], IpPermissions=[permission])
    register("server", {"command": ["sh", "-c", "echo served > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]})
    server = run("server", [groups["server"]])[0]
    url = f"http://{address(running(server))}:8080/"
    # More than once, for the server may still be on its way: whoever is let in asks until it is answered. (`wget -T` of
    # Debian's busybox-static crashes.)
    for family, times, seconds in (("asker", 4, 1), ("friend", 30, 10)):
        ask = f"for n in $(seq {times}); do timeout {seconds} wget -q -O - {url} && exit 0; sleep 0.2; done; exit 1"
        register(family, {"command": ["sh", "-c", ask]})

    def code(arn):
        return stopped(arn)["containers"][0]["exitCode"]

    friend, stranger = run("friend", [groups["friend"]])[0], run("asker", [groups["stranger"]])[0]
    assert code(friend) == 0, "the group that is let in was kept out"
    assert code(stranger) != 0, "a group that is not let in came in"
    assert messages("friend") == ["served"], messages("friend")
    ec2.revoke_security_group_ingress(GroupId=groups["server"], IpPermissions=[permission])
    assert code(run("asker", [groups["friend"]])[0]) != 0, "a revoked rule still counts"
    fails("DependencyViolation", ec2.delete_security_group, 400, GroupId=groups["server"])
    ECS.stop_task(cluster=CLUSTER, task=server)
    stopped(server)
    for name in ("stranger", "server", "friend"):
        wait(f"{name} can be deleted", 10, lambda name=name: gone(ec2, groups[name]))


def gone(ec2, group):
    try:
        ec2.delete_security_group(GroupId=group)
        return True
    except ec2.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "DependencyViolation", error
        return False


def credentials():
    """The task's role: its keys come over 169.254.170.2, work, and may what the role may. Metadata v4 names the task."""
    script = (
        "timeout 30 wget -q -O - http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI; echo;"
        "timeout 30 wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task; echo;"
        "timeout 30 wget -q -O - $ECS_CONTAINER_METADATA_URI_V4; echo;"
        "timeout 30 wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/stats; echo;"
        "timeout 30 wget -q -O /dev/null http://169.254.170.2/v2/credentials/00000000-0000-4000-8000-000000000000 2>&1"
        " | grep -q 404 && echo refused"
    )
    register("role", {"command": ["sh", "-c", script]}, taskRoleArn=account_role("task"))
    arn = run("role")[0]
    task = stopped(arn)
    assert task["containers"][0]["exitCode"] == 0, (task, messages("role"))
    lines = messages("role", 5)
    issued, metadata, container, stats = (json.loads(line) for line in lines[:4])
    assert lines[4] == "refused", lines
    assert sum(network["rx_bytes"] for network in stats["networks"].values()) > 0, stats
    assert stats["network_rate_stats"]["rx_bytes_per_sec"] > 0 and stats["blkio_stats"], stats
    assert stats["memory_stats"]["limit"] == 512 << 20 and stats["precpu_stats"]["cpu_usage"], stats
    assert issued["RoleArn"] == account_role("task") and issued["Expiration"].endswith("Z"), issued
    mine = keys({**issued, "SessionToken": issued["Token"]})
    identity = client("sts", **mine).get_caller_identity()
    wanted = f"arn:aws:sts::000000000000:assumed-role/task/{arn.split('/')[-1]}"
    assert identity["Arn"] == wanted, identity
    client("ecs", **mine).list_clusters()
    fails("AccessDeniedException", client("ecs", **mine).list_tasks, 400, wanted, cluster=CLUSTER)
    assert metadata["TaskARN"] == arn and metadata["Family"] == "role", metadata
    assert metadata["Containers"][0]["Name"] == "c0", metadata
    assert container["Name"] == "c0" and container["Labels"]["com.amazonaws.ecs.task-arn"] == arn, container


def health():
    """A container's health check makes it HEALTHY, then UNHEALTHY."""
    # Two checks pass and no further one does: when they come is the cloud's affair.
    check = {"command": ["CMD-SHELL", "echo checked >> /tmp/checks; test $(wc -l < /tmp/checks) -le 2"],
             "interval": 5, "timeout": 30, "retries": 1}
    register("health", {"command": ["sleep", "600"], "healthCheck": check})
    arn = run("health")[0]
    wait("it is healthy", 20, lambda: describe(arn)["healthStatus"] == "HEALTHY")
    wait("it is unhealthy", 30, lambda: describe(arn)["healthStatus"] == "UNHEALTHY")
    ECS.stop_task(cluster=CLUSTER, task=arn)
    stopped(arn)


def order():
    """dependsOn: the second starts after the first succeeded; a container that is not essential may end."""
    register(
        "order",
        {"name": "init", "essential": False, "command": ["sh", "-c", "sleep 0.3; echo first"]},
        {"name": "main", "command": ["sh", "-c", "echo second; exit 0"],
         "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}]},
    )
    task = stopped(run("order")[0])
    assert {c["name"]: c["exitCode"] for c in task["containers"]} == {"init": 0, "main": 0}, task
    assert messages("order", 2) == ["first", "second"], messages("order")


def repeated():
    """The same clientToken with the same input runs once; with another input it is refused."""
    register("token", {"command": ["sleep", "60"]})
    first = run("token", clientToken="a-token")
    assert run("token", clientToken="a-token") == first
    _, subnets, group = default_network()
    network = {"awsvpcConfiguration": {"subnets": subnets[:1], "securityGroups": [group]}}
    fails("ConflictException", ECS.run_task, 400, cluster=CLUSTER, taskDefinition="token", launchType="FARGATE",
          networkConfiguration=network, clientToken="a-token")
    ECS.stop_task(cluster=CLUSTER, task=first[0])
    stopped(first[0])


def busy(mark):
    """A task of a quarter of a processor that would take a whole one; the parent measures it."""
    register("busy", {"command": ["sh", "-c", "while :; do :; done", mark]})
    arn = run("busy")[0]
    running(arn)
    return {"tasks": [arn]}


def sleeper():
    """A task for execute-command."""
    register("sleeper", {"command": ["sleep", "600"], "environment": [{"name": "GREETING", "value": "hi"}]},
             taskRoleArn=account_role("task"))
    fails("InvalidParameterException", ECS.execute_command, 400, cluster=CLUSTER, task=run("sleeper")[0],
          command="true", interactive=True)
    arn = run("sleeper", enableExecuteCommand=True)[0]
    running(arn)
    session = ECS.execute_command(cluster=CLUSTER, task=arn, command="true", interactive=True)["session"]
    assert session["streamUrl"].startswith("ws"), session
    assert session["tokenValue"] and session["sessionId"], session
    return {"tasks": [arn]}


def records(logging):
    """From now on the cluster's sessions are recorded so."""
    log = {"cloudWatchLogGroupName": SESSIONS, "cloudWatchEncryptionEnabled": False}
    alone, beside = {"logging": logging}, {"logging": logging, "logConfiguration": log}
    wanted, unwanted = (beside, alone) if logging == "OVERRIDE" else (alone, beside)
    if logging == "OVERRIDE":
        client("logs").create_log_group(logGroupName=SESSIONS)
    fails("InvalidParameterException", ECS.update_cluster, 400, cluster=CLUSTER,
          configuration={"executeCommandConfiguration": unwanted})
    configuration = {"executeCommandConfiguration": wanted}
    ECS.update_cluster(cluster=CLUSTER, configuration=configuration)
    found = ECS.describe_clusters(clusters=[CLUSTER], include=["CONFIGURATIONS"])["clusters"][0]
    assert found["configuration"] == configuration, found


def recorded(group, wanted, *unwanted):
    """A session that wrote this has a stream of its own in the group, and nothing wrote what is unwanted."""
    logs = client("logs")

    def found():
        events = logs.filter_log_events(logGroupName=group, logStreamNamePrefix="ecs-execute-command-")["events"]
        lines = [event for event in events if event["message"] == wanted]
        return (events, lines[0]) if lines else None

    events, line = wait(f"a session's record has {wanted}", 10, found)
    said = [event["message"] for event in events]
    assert not any(text in message for text in unwanted for message in said), said
    whole = logs.get_log_events(logGroupName=group, logStreamName=line["logStreamName"], startFromHead=True)["events"]
    assert [event["message"] for event in whole] == [wanted, "and \N{REPLACEMENT CHARACTER} too", "the end"], whole
    assert all(before["timestamp"] <= after["timestamp"] for before, after in zip(whole, whole[1:])), whole


def unheard():
    """The group that the sessions are recorded in goes."""
    client("logs").delete_log_group(logGroupName=SESSIONS)


def insights():
    """Container Insights: on by the account's default, its events come with real figures, and end when it is off."""
    cluster, logs = "watched", client("logs")
    group = f"/aws/ecs/containerinsights/{cluster}/performance"
    ECS.put_account_setting_default(name="containerInsights", value="enabled")
    created = ECS.create_cluster(clusterName=cluster)["cluster"]
    assert created["settings"] == [{"name": "containerInsights", "value": "enabled"}], created
    fails("ClientException", ECS.update_cluster_settings, 400, "enhanced", cluster=cluster,
          settings=[{"name": "containerInsights", "value": "enhanced"}])
    ECS.put_account_setting_default(name="containerInsights", value="disabled")
    register("watched", {"command": ["sh", "-c", "dd if=/dev/zero of=/x bs=4096 count=64; while :; do :; done"]})
    _, subnets, default = default_network()
    network = {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": [default]}}
    ECS.create_service(cluster=cluster, serviceName="busy", taskDefinition="watched", desiredCount=1,
                       launchType="FARGATE", networkConfiguration=network)

    def events(kind):
        try:
            found = logs.filter_log_events(logGroupName=group, filterPattern=f'{{ $.Type = "{kind}" }}')["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [{**json.loads(event["message"]), "stream": event["logStreamName"], "at": event["timestamp"]}
                for event in found]

    # The first event may come a moment after the start, when the quota of a whole period is spent already.
    task = wait("a task's second event with its use", 30,
                lambda: [e for e in events("Task") if e["CpuUtilized"] > 10][1:])[-1]
    assert task["ServiceName"] == "busy" and task["ClusterName"] == cluster, task
    assert task["TaskDefinitionFamily"] == "watched" and task["stream"].startswith("FargateTelemetry-"), task
    assert task["CpuReserved"] == 256 and task["CpuUtilized"] < 400 and task["MemoryReserved"] == 512, task
    assert task["StorageWriteBytes"] >= 64 * 4096, task
    assert {"NetworkRxBytes", "NetworkTxPackets", "MemoryUtilized"} <= set(task), task
    assert task["at"] == task["Timestamp"] and task["Timestamp"] % 1000 == 0, task
    metrics = task["CloudWatchMetrics"][0]
    assert metrics["Namespace"] == "ECS/ContainerInsights" and len(metrics["Metrics"]) == 8, task
    container = events("Container")[-1]
    assert container["ContainerName"] == "c0" and container["TaskId"] == task["TaskId"], container
    service = wait("the service's event", 10, lambda: events("Service"))[-1]
    assert service["RunningTaskCount"] == 1 and service["stream"] == "ServiceTelemetry-busy", service
    of_cluster = events("Cluster")[-1]
    assert of_cluster["ServiceCount"] == 1 and of_cluster["ContainerInstanceCount"] == 1, of_cluster
    kept = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    assert kept["retentionInDays"] == 1, kept
    answer = ECS.update_cluster_settings(cluster=cluster, settings=[{"name": "containerInsights", "value": "disabled"}])
    assert answer["cluster"]["settings"][0]["value"] == "disabled", answer
    # It ends: what was on its way may still come, and then nothing more does.
    logs.delete_log_group(logGroupName=group)
    ECS.update_service(cluster=cluster, service="busy", desiredCount=0)
    ECS.get_waiter("services_stable").wait(cluster=cluster, services=["busy"], WaiterConfig={"Delay": 1})
    late = events("Task") + events("Cluster")
    assert len(late) <= 4, late
    ECS.delete_service(cluster=cluster, service="busy")
    ECS.get_waiter("tasks_stopped").wait(cluster=cluster, tasks=[task["TaskId"]], WaiterConfig={"Delay": 1})
    ECS.delete_cluster(cluster=cluster)


def end():
    arns = ECS.list_tasks(cluster=CLUSTER)["taskArns"]
    for arn in arns:
        ECS.stop_task(cluster=CLUSTER, task=arn)
    for arn in arns:
        stopped(arn)
    assert ECS.delete_cluster(cluster=CLUSTER)["cluster"]["status"] == "INACTIVE"


if __name__ == "__main__":
    main({
        "setup": setup, "runs": runs, "stop": stop, "exits": exits, "memory": memory, "cannot": cannot,
        "security_groups": security_groups, "credentials": credentials, "health": health, "order": order,
        "repeated": repeated, "busy": busy, "sleeper": sleeper, "records": records, "recorded": recorded,
        "unheard": unheard, "insights": insights, "end": end,
    })
