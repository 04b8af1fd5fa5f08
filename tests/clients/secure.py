"""The service of service.py over HTTPS: server certificates of IAM, boto3, curl and openssl."""

import os
import socket
import ssl
import subprocess

from common import client, fails, main, wait

ELB, IAM = client("elbv2"), client("iam")
HOST, OTHER, PORT = "shop.example.com", "api.example.com", 443


def pem(name, directory):
    return os.path.join(directory, f"{name}.pem"), os.path.join(directory, f"{name}.key")


def upload(name, host, directory, new_key=("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"), is_listed=True):
    """Makes a certificate that is its own authority and uploads it: its ARN. What is not listed has a common name only."""
    cert, key = pem(name, directory)
    alternative = ["-addext", f"subjectAltName=DNS:{host}"] if is_listed else []
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={host}", *alternative,
         "-keyout", key, "-out", cert, "-newkey", *new_key],
        check=True, capture_output=True, timeout=60)
    with open(cert) as body, open(key) as private:
        made = IAM.upload_server_certificate(ServerCertificateName=name, CertificateBody=body.read(),
                                             PrivateKey=private.read())
    return made["ServerCertificateMetadata"]["Arn"]


def balancer():
    return ELB.describe_load_balancers(Names=["web"])["LoadBalancers"][0]


def address():
    """The load balancer's own, as people look it up at AWS."""
    name = balancer()["LoadBalancerArn"].split(":loadbalancer/")[1]
    found = client("ec2").describe_network_interfaces(Filters=[{"Name": "description", "Values": [f"ELB {name}"]}])
    return found["NetworkInterfaces"][0]["PrivateIpAddress"]


def listener(protocol):
    found = ELB.describe_listeners(LoadBalancerArn=balancer()["LoadBalancerArn"])["Listeners"]
    arn, = [each["ListenerArn"] for each in found if each["Protocol"] == protocol]
    return arn


def curl(*arguments, host=HOST, trust):
    own = address()
    to = [part for port in (80, PORT) for part in ("--connect-to", f"{host}:{port}:{own}:{port}")]
    done = subprocess.run(["curl", "-sS", "-m", "20", "--cacert", trust, *to, "-w", " %{http_version} %{http_code}",
                           *arguments], capture_output=True, text=True, timeout=60)
    return done.stdout if done.returncode == 0 else f"curl: {done.stderr}"


def handshake(*arguments):
    done = subprocess.run(["openssl", "s_client", "-connect", f"{address()}:{PORT}", *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def create(directory):
    """An HTTPS listener beside the service's own, which sends some over to it."""
    first = upload("first", HOST, directory, ("rsa:2048",))
    trust, _ = pem("first", directory)
    vpc_groups = balancer()["SecurityGroups"]
    client("ec2").authorize_security_group_ingress(GroupId=vpc_groups[0], IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    group = ELB.describe_target_groups(Names=["web"])["TargetGroups"][0]["TargetGroupArn"]
    made = {"LoadBalancerArn": balancer()["LoadBalancerArn"], "Protocol": "HTTPS", "Port": PORT,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]}
    fails("ValidationError", ELB.create_listener, 400, "certificate must be specified", **made)
    missing = [{"CertificateArn": first + "-none"}]
    fails("CertificateNotFound", ELB.create_listener, 400, "not found", Certificates=missing, **made)
    secure = ELB.create_listener(Certificates=[{"CertificateArn": first}], **made)["Listeners"][0]
    assert secure["SslPolicy"] == "ELBSecurityPolicy-2016-08", secure
    arn = secure["ListenerArn"]
    wait("HTTPS answers over HTTP/2", 20, lambda: curl(f"https://{HOST}/", trust=trust).endswith(" 2 200"))
    assert curl("--http1.1", f"https://{HOST}/", trust=trust).endswith(" 1.1 200")
    assert curl(f"https://{HOST}/cgi-bin/proto", trust=trust).split() == ["https", "2", "200"]
    trail = client("cloudtrail").lookup_events(LookupAttributes=[
        {"AttributeKey": "EventName", "AttributeValue": "UploadServerCertificate"}])["Events"]
    assert trail and not any("PRIVATE KEY" in event["CloudTrailEvent"] for event in trail), trail
    # The policy decides the versions of TLS.
    assert "Cipher is ECDHE-RSA-AES" in handshake("-tls1_2") and "Cipher is (NONE)" in handshake("-tls1_3")
    ELB.modify_listener(ListenerArn=arn, SslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06")
    wait("TLS 1.3 is spoken", 10, lambda: "Cipher is TLS_" in handshake("-tls1_3"))
    assert "Cipher is (NONE)" in handshake("-tls1_2")
    # By server name.
    other = upload("other", OTHER, directory)
    ELB.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": other}])
    other_trust, _ = pem("other", directory)
    wait("the other name has its own", 10, lambda: curl(f"https://{OTHER}/", host=OTHER, trust=other_trust)
         .endswith(" 2 200"))
    assert f"CN = {HOST}" in handshake("-servername", "unknown.example.com")
    # A certificate without a subjectAltName has its common name.
    old = upload("old", "old.example.com", directory, is_listed=False)
    ELB.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": old}])
    wait("a common name is chosen, too", 10, lambda: "CN = old.example.com" in handshake(
        "-servername", "old.example.com"))
    # From HTTP to HTTPS.
    to = {"Protocol": "HTTPS", "Port": str(PORT), "StatusCode": "HTTP_301"}
    ELB.create_rule(ListenerArn=listener("HTTP"), Priority=7, Actions=[{"Type": "redirect", "RedirectConfig": to}],
                    Conditions=[{"Field": "path-pattern", "Values": ["/index.html"]}])
    moved = f"http://{HOST}/index.html"
    wait("HTTP leads to HTTPS", 10, lambda: " 301" in curl(moved, trust=trust))
    assert curl("-L", moved, trust=trust).endswith(" 2 200")


def request(connection):
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(4096)
        assert more, "the connection was closed"
        head += more
    head, body = head.split(b"\r\n\r\n", 1)
    length, = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < length:
        body += connection.recv(4096)
    return head.split(b"\r\n")[0]


def renew(directory):
    """Another certificate for the same name: who is connected stays so, who comes sees the new one."""
    old_trust, _ = pem("first", directory)
    context = ssl.create_default_context(cafile=old_trust)
    arn, name = listener("HTTPS"), "second"
    with socket.create_connection((address(), PORT), timeout=20) as plain, \
            context.wrap_socket(plain, server_hostname=HOST) as connection:
        assert request(connection) == b"HTTP/1.1 200 OK"
        ELB.modify_listener(ListenerArn=arn, Certificates=[{"CertificateArn": upload(name, HOST, directory)}])
        check(directory)
        assert request(connection) == b"HTTP/1.1 200 OK"
    assert "curl:" in curl(f"https://{HOST}/", trust=old_trust)
    IAM.delete_server_certificate(ServerCertificateName="first")
    fails("DeleteConflict", IAM.delete_server_certificate, 409, "is currently in use by", ServerCertificateName=name)
    # Under another name it goes on to be the listener's.
    IAM.update_server_certificate(ServerCertificateName=name, NewServerCertificateName="renewed", NewPath="/web/")
    shown = ELB.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    default, = [each["CertificateArn"] for each in shown if each["IsDefault"]]
    assert default.endswith(":server-certificate/web/renewed"), shown


def check(directory):
    trust, _ = pem("second", directory)
    wait("the renewed certificate serves", 60, lambda: curl(f"https://{HOST}/", trust=trust).endswith(" 2 200"))


def delete():
    """After the load balancer nobody uses them."""
    for each in IAM.list_server_certificates()["ServerCertificateMetadataList"]:
        IAM.delete_server_certificate(ServerCertificateName=each["ServerCertificateName"])


if __name__ == "__main__":
    main({"create": create, "renew": renew, "check": check, "delete": delete})
