"""What the clients' scripts share: boto3 clients, waiting, and what an error must be. The scripts assert."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
REGION = os.environ["AWS_DEFAULT_REGION"]
PORT = int(os.environ["HONMARU_PORT"])
HTTP_PORT = int(os.environ["HONMARU_HTTP_PORT"])
PAUSE_S = 0.1


def client(service, inject_host_prefix=True, **credentials):
    """A client of a service; `credentials` are those of STS or of CreateAccessKey in boto3's words."""
    config = botocore.config.Config(
        connect_timeout=30, read_timeout=60, retries={"max_attempts": 0}, inject_host_prefix=inject_host_prefix
    )
    return boto3.client(service, config=config, region_name=REGION, endpoint_url=ENDPOINT, **credentials)


def keys(answer):
    """Credentials of an answer as `client` takes them."""
    found = {
        "aws_access_key_id": answer["AccessKeyId"],
        "aws_secret_access_key": answer["SecretAccessKey"],
    }
    if "SessionToken" in answer:
        found["aws_session_token"] = answer["SessionToken"]
    return found


def wait(what, limit_s, condition):
    """Waits until a condition yields something true, and returns that. The limit is one for a quiet machine: whoever
    waits in vain waits for a minute at least."""
    limit_s = max(limit_s, 60)
    deadline = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {limit_s} s")
        time.sleep(PAUSE_S)


def fails(code, call, status=400, text=None, **arguments):
    """Calls, and asserts that the answer is this error."""
    try:
        answer = call(**arguments)
    except botocore.exceptions.ClientError as error:
        shown = f"{error} (status {error.response['ResponseMetadata']['HTTPStatusCode']})"
        assert error.response["Error"]["Code"] == code, f"wanted {code}: {shown}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, f"wanted status {status}: {shown}"
        message = error.response["Error"].get("Message", "")
        assert text is None or text in message, f"wanted `{text}` in: {shown}"
        assert error.response["ResponseMetadata"].get("RequestId"), f"no request id: {shown}"
        return error.response
    raise AssertionError(f"wanted {code}, got an answer: {answer}")


def signed(service, body, headers, secret=None, key=None, method="POST", path="/", mangle=None, region=REGION):
    """Sends a request that botocore signs but does not build: status, headers, body."""
    credentials = botocore.credentials.Credentials(
        key or os.environ["AWS_ACCESS_KEY_ID"], secret or os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    request = botocore.awsrequest.AWSRequest(method=method, url=ENDPOINT + path, data=body, headers=headers)
    botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
    prepared = request.prepare()
    return send(prepared.url, body, dict(prepared.headers.items()), method, mangle)


def send(url, body=None, headers=None, method="GET", mangle=None):
    """Sends a request as it is: status, headers, body."""
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in (headers or {}).items()}
    if mangle:
        mangle(headers)
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers.items()), error.read()


def default_network(ec2=None):
    """The default VPC's id, its subnets' ids, and its default security group's id."""
    ec2 = ec2 or client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets(Filters=of_vpc)["Subnets"]]
    groups = ec2.describe_security_groups(Filters=[*of_vpc, {"Name": "group-name", "Values": ["default"]}])
    return vpc, subnets, groups["SecurityGroups"][0]["GroupId"]


def push(repository, tag, mark="1"):
    """Makes a busybox image, pushes it with skopeo into a repository that is made when missing; the image's name."""
    import image

    ecr = client("ecr")
    try:
        ecr.create_repository(repositoryName=repository)
    except ecr.exceptions.RepositoryAlreadyExistsException:
        pass
    data = ecr.get_authorization_token()["authorizationData"][0]
    credentials = base64.b64decode(data["authorizationToken"]).decode()
    with tempfile.TemporaryDirectory() as directory:
        image.write(directory, mark)
        command = ["skopeo", "copy", "--dest-tls-verify=false", "--dest-creds", credentials]
        command += [f"oci:{directory}:latest", f"docker://127.0.0.1:{PORT}/{repository}:{tag}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    return f"localhost:{PORT}/{repository}:{tag}"


def execution_role(name="execution", also=()):
    """A role for tasks with AWS's managed policy for it, and more actions; its ARN."""
    more = [{"Effect": "Allow", "Action": list(also), "Resource": "*"}] if also else ()
    return role(name, more, attached=["arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"])


def role(name, statements=(), attached=()):
    """A role that tasks may take; its ARN."""
    iam = client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    for policy in attached:
        iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    return arn


def main(phases):
    """Runs the phase that the first argument names, with the others as its arguments, and prints what it returns."""
    answer = phases[sys.argv[1]](*sys.argv[2:])
    if answer is not None:
        print(json.dumps(answer, default=str))
