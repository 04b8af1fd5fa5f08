"""Network load balancers before one ECS service: one without security groups, and one whose group opens one port."""

import collections
import socket
import subprocess
import time
import urllib.request

from common import client, default_network, execution_role, fails, main, push, wait
from secure import pem, upload

EC2, ECS, ELB = client("ec2"), client("ecs"), client("elbv2")
CLUSTER, SERVICE, APP_PORT = "net", "web", 8080
# The one without groups, and the one with.
OPEN, GUARDED = "open", "guarded"
# Target groups of one task each, and the port of the listener that spreads over them.
ONE, TWO, SPREAD_PORT = "one", "two", 81
HOST, OTHER = "net.example.com", "cn.example.com"
POLICY_12, POLICY_13 = "ELBSecurityPolicy-TLS-1-2-2017-01", "ELBSecurityPolicy-TLS13-1-3-2021-06"
POLICY_BOTH = "ELBSecurityPolicy-TLS13-1-2-2021-06"
# A dropped packet is seen by nobody's answer within it.
SILENCE_S = 3
SERVER = (
    "mkdir -p /tmp/www; hostname > /tmp/www/index.html; httpd -f -p 8080 -h /tmp/www & server=$!;"
    " trap 'kill $server' TERM; wait $server"
)


def balancer(name):
    return ELB.describe_load_balancers(Names=[name])["LoadBalancers"][0]


def group(name):
    return ELB.describe_target_groups(Names=[name])["TargetGroups"][0]["TargetGroupArn"]


def listener(name, port):
    found = ELB.describe_listeners(LoadBalancerArn=balancer(name)["LoadBalancerArn"])["Listeners"]
    arn, = [each["ListenerArn"] for each in found if each["Port"] == port]
    return arn


def addresses(name):
    """One in each subnet, as people look them up at AWS."""
    of = balancer(name)["LoadBalancerArn"].split(":loadbalancer/")[1]
    found = EC2.describe_network_interfaces(Filters=[{"Name": "description", "Values": [f"ELB {of}"]}])
    return [each["PrivateIpAddress"] for each in found["NetworkInterfaces"]]


def curl(name, url, *arguments):
    """Standard output of curl at the load balancer's first address; its exit code where it fails."""
    host, port = HOST, 443 if url.startswith("https") else 80
    to = f"{host}:{port}:{addresses(name)[0]}:{port}"
    done = subprocess.run(["curl", "-sS", "-m", "20", "--connect-to", to, *arguments, url], capture_output=True,
                          text=True, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else done.returncode


def handshake(name, *arguments):
    done = subprocess.run(["openssl", "s_client", "-connect", f"{addresses(name)[0]}:443", *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def is_dropped(name, port):
    """Whether nobody answers a connection: neither accepts it nor refuses it."""
    try:
        socket.create_connection((addresses(name)[0], port), timeout=SILENCE_S).close()
    except TimeoutError:
        return True
    return False


def tcp(port, address_range):
    return [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": address_range}]}]


def create(directory):
    """Both load balancers, with a TCP and a TLS listener each, and a service of two that is in both target groups."""
    push("web", "v1")
    execution_role()
    ECS.create_cluster(clusterName=CLUSTER)
    vpc, subnets, _ = default_network()
    vpc_range = EC2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"]
    tasks = EC2.create_security_group(GroupName="tasks", Description="test", VpcId=vpc)["GroupId"]
    # Without a group of the load balancer's there is nothing to name but where its addresses are.
    EC2.authorize_security_group_ingress(GroupId=tasks, IpPermissions=tcp(APP_PORT, vpc_range))
    guard = EC2.create_security_group(GroupName="guard", Description="test", VpcId=vpc)["GroupId"]
    EC2.authorize_security_group_ingress(GroupId=guard, IpPermissions=tcp(80, "0.0.0.0/0"))
    made = ELB.create_load_balancer(Name=OPEN, Type="network", Subnets=subnets[:2])["LoadBalancers"][0]
    assert not made.get("SecurityGroups"), made
    fails("InvalidConfigurationRequest", ELB.set_security_groups, 400, "created without any",
          LoadBalancerArn=made["LoadBalancerArn"], SecurityGroups=[guard])
    ELB.create_load_balancer(Name=GUARDED, Type="network", Subnets=subnets[:1], SecurityGroups=[guard])
    certificate = upload("net", HOST, directory, ("rsa:2048",))
    for name in (OPEN, GUARDED):
        target_group = ELB.create_target_group(
            Name=name, Protocol="TCP", Port=APP_PORT, VpcId=vpc, TargetType="ip", HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=4, HealthyThresholdCount=2, UnhealthyThresholdCount=2)["TargetGroups"][0]["TargetGroupArn"]
        forward = {"LoadBalancerArn": balancer(name)["LoadBalancerArn"],
                   "DefaultActions": [{"Type": "forward", "TargetGroupArn": target_group}]}
        ELB.create_listener(Protocol="TCP", Port=80, **forward)
        ELB.create_listener(Protocol="TLS", Port=443, SslPolicy=POLICY_BOTH,
                            Certificates=[{"CertificateArn": certificate}], **forward)
    container = {"name": "web", "image": client("ecr").describe_repositories(repositoryNames=["web"])["repositories"][0][
        "repositoryUri"] + ":v1", "stopTimeout": 2, "command": ["sh", "-c", SERVER],
        "portMappings": [{"containerPort": APP_PORT}]}
    ECS.register_task_definition(family="web", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256",
                                 memory="512", containerDefinitions=[container],
                                 executionRoleArn="arn:aws:iam::000000000000:role/execution")
    network = {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": [tasks], "assignPublicIp": "ENABLED"}}
    ECS.create_service(
        cluster=CLUSTER, serviceName=SERVICE, taskDefinition="web", desiredCount=2, launchType="FARGATE",
        networkConfiguration=network, loadBalancers=[
            {"targetGroupArn": group(name), "containerName": "web", "containerPort": APP_PORT}
            for name in (OPEN, GUARDED)])
    for name in (OPEN, GUARDED):
        wait(f"both tasks are healthy to {name}", 60, lambda: healthy(name) == 2)


def healthy(name):
    """How many of two targets pass the health checks; they come from the load balancer's own address."""
    found = ELB.describe_target_health(TargetGroupArn=group(name))["TargetHealthDescriptions"]
    return [each["TargetHealth"]["State"] for each in found].count("healthy") if len(found) == 2 else 0


def unguarded(directory):
    """Without groups everybody is let in, at every address and at both listeners."""
    trust, _ = pem("net", directory)
    both = wait("both tasks answer over TCP", 20, lambda: len(seen := {
        curl(OPEN, f"http://{HOST}/") for _ in range(10)}) == 2 and seen)
    wait("both tasks answer over TLS", 20, lambda: {
        curl(OPEN, f"https://{HOST}/", "--http1.1", "--cacert", trust) for _ in range(10)} == both)
    assert len(addresses(OPEN)) == 2, addresses(OPEN)
    for address in addresses(OPEN):
        for port in (80, 443):
            socket.create_connection((address, port), timeout=20).close()
    # What was accepted stays: bytes that come late go through, too.
    with socket.create_connection((addresses(OPEN)[0], 80), timeout=20) as late:
        late.sendall(b"GET / HTTP/1.0\r\n")
        time.sleep(SILENCE_S)
        late.sendall(b"\r\n")
        assert late.recv(4096).startswith(b"HTTP/1."), "nothing came back"


def tls(directory):
    """What a TLS listener speaks: versions by its security policy, protocols by its ALPN policy, names."""
    arn = listener(OPEN, 443)
    for policy, speaks_12, speaks_13 in (
            (POLICY_12, True, False), (POLICY_13, False, True), (POLICY_BOTH, True, True)):
        ELB.modify_listener(ListenerArn=arn, SslPolicy=policy)
        wait(f"{policy} is served", 20, lambda: (
            "Cipher is ECDHE-RSA-AES" in handshake(OPEN, "-tls1_2"),
            "Cipher is TLS_AES" in handshake(OPEN, "-tls1_3")) == (speaks_12, speaks_13))
    for policy, offered, agreed in (
            ("HTTP2Preferred", "http/1.1,h2", "h2"), ("HTTP2Optional", "h2,http/1.1", "http/1.1"),
            ("HTTP1Only", "h2,http/1.1", "http/1.1"), ("HTTP2Only", "http/1.1,h2", "h2"), ("None", "h2", None)):
        ELB.modify_listener(ListenerArn=arn, AlpnPolicy=[policy])
        word = f"ALPN protocol: {agreed}\n" if agreed else "No ALPN negotiated"
        for version in ("-tls1_2", "-tls1_3"):
            wait(f"{policy} agrees on {agreed}, {version}", 20,
                 lambda: word in handshake(OPEN, version, "-alpn", offered))
    fails("ALPNPolicyNotSupported", ELB.modify_listener, 400, ListenerArn=arn, AlpnPolicy=["HTTP3Only"])
    other = upload("cn", OTHER, directory, is_listed=False)
    ELB.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": other}])
    wait("the other certificate is chosen by its common name", 20,
         lambda: f"CN = {OTHER}" in handshake(OPEN, "-servername", OTHER))
    assert f"CN = {HOST}" in handshake(OPEN, "-servername", HOST)


def guarded(directory):
    """A group opens one port: the other one is dropped, until the group opens it, too, and when it no longer does."""
    trust, _ = pem("net", directory)
    guard, = balancer(GUARDED)["SecurityGroups"]

    def is_served():
        return isinstance(curl(GUARDED, f"https://{HOST}/", "--http1.1", "--cacert", trust, "-m", str(SILENCE_S)), str)

    assert isinstance(curl(GUARDED, f"http://{HOST}/"), str), "port 80 is open"
    assert is_dropped(GUARDED, 443) and not is_dropped(GUARDED, 80)
    assert not is_dropped(OPEN, 443), "the other load balancer has no groups"
    EC2.authorize_security_group_ingress(GroupId=guard, IpPermissions=tcp(443, "0.0.0.0/0"))
    wait("port 443 is open", 20, is_served)
    EC2.revoke_security_group_ingress(GroupId=guard, IpPermissions=tcp(443, "0.0.0.0/0"))
    wait("port 443 is closed again", 20, lambda: is_dropped(GUARDED, 443))
    # Health checks go out and need no rule for what comes in.
    EC2.revoke_security_group_ingress(GroupId=guard, IpPermissions=tcp(80, "0.0.0.0/0"))
    wait("port 80 is closed", 20, lambda: is_dropped(GUARDED, 80))
    assert healthy(GUARDED) == 2 and healthy(OPEN) == 2
    assert isinstance(curl(OPEN, f"http://{HOST}/"), str), "the other load balancer has no groups"


def ask():
    """Who answers a new connection to the listener that spreads."""
    with urllib.request.urlopen(f"http://{addresses(OPEN)[0]}:{SPREAD_PORT}/", timeout=20) as answer:
        return answer.read().strip()


def weighted():
    """A listener spreads over two groups by weight, keeps a client with one where it shall, and follows other weights."""
    vpc = balancer(OPEN)["VpcId"]
    tasks = [each["Target"]["Id"] for each in ELB.describe_target_health(TargetGroupArn=group(OPEN))[
        "TargetHealthDescriptions"]]
    arns = []
    for name, address in zip((ONE, TWO), tasks, strict=True):
        made, = ELB.create_target_group(
            Name=name, Protocol="TCP", Port=APP_PORT, VpcId=vpc, TargetType="ip", HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=4, HealthyThresholdCount=2)["TargetGroups"]
        ELB.register_targets(TargetGroupArn=made["TargetGroupArn"], Targets=[{"Id": address}])
        arns.append(made["TargetGroupArn"])

    def actions(weights, **stickiness):
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in zip(arns, weights, strict=True)]
        config = {"TargetGroups": groups}
        if stickiness:
            config["TargetGroupStickinessConfig"] = stickiness
        return [{"Type": "forward", "ForwardConfig": config}]

    made, = ELB.create_listener(LoadBalancerArn=balancer(OPEN)["LoadBalancerArn"], Protocol="TCP", Port=SPREAD_PORT,
                                DefaultActions=actions((3, 1)))["Listeners"]
    shown = made["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
    assert [each["Weight"] for each in shown] == [3, 1], made
    wait("both targets are healthy", 60, lambda: all(
        each["TargetHealth"]["State"] == "healthy" for arn in arns
        for each in ELB.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]))
    seen = collections.Counter(ask() for _ in range(200))
    (_, most), (_, least) = seen.most_common()
    # Three standard deviations of the binomial distribution are 18.
    assert most + least == 200 and 25 <= least <= 75, seen

    def change(weights, **stickiness):
        ELB.modify_listener(ListenerArn=made["ListenerArn"], DefaultActions=actions(weights, **stickiness))

    fails("ValidationError", change, 400, "duration cannot be configured", weights=(1, 1), Enabled=True, DurationSeconds=60)
    change((1, 1), Enabled=True)
    wait("one client has one group", 20, lambda: len({ask() for _ in range(20)}) == 1)
    change((0, 1))
    second, = wait("all go to the second group", 20, lambda: len(seen := {ask() for _ in range(20)}) == 1 and seen)
    with socket.create_connection((addresses(OPEN)[0], SPREAD_PORT), timeout=20) as waiting:
        change((1, 0))
        assert waiting.recv(1) == b"", "its group has no weight any more"
    assert ask() != second
    ELB.delete_listener(ListenerArn=made["ListenerArn"])
    for arn in arns:
        ELB.delete_target_group(TargetGroupArn=arn)


def delete():
    ECS.delete_service(cluster=CLUSTER, service=SERVICE, force=True)
    for name in (OPEN, GUARDED):
        ELB.delete_load_balancer(LoadBalancerArn=balancer(name)["LoadBalancerArn"])
        ELB.delete_target_group(TargetGroupArn=group(name))
    for name in ("net", "cn"):
        client("iam").delete_server_certificate(ServerCertificateName=name)


if __name__ == "__main__":
    main({"create": create, "unguarded": unguarded, "tls": tls, "guarded": guarded, "weighted": weighted,
          "delete": delete})
