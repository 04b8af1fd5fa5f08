"""Who may do what with a registry client: a request needs the permission of the ECR action that it is, whoever grants it."""

import hashlib
import json

from common import ENDPOINT, client, keys, main, send

ACCOUNT = "000000000000"
REGISTRY = f"arn:aws:ecr:{client('ecr').meta.region_name}:{ACCOUNT}:repository/"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b"{}"
NONE = "sha256:" + "0" * 64


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions, resource="*", **more):
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def user(name, *statements):
    """A user, the credentials of one of its keys, and a header with a token that it asked for."""
    iam = client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return keys(key), token(keys(key))


def token(credentials):
    data = client("ecr", **credentials).get_authorization_token()["authorizationData"][0]
    return {"Authorization": "Basic " + data["authorizationToken"]}


def ask(header, method, path, body=None, kind="application/octet-stream"):
    """Status, error code (nothing where there is none), headers, message."""
    headers = {**header, "Content-Type": kind} if body is not None else header
    status, found, content = send(ENDPOINT + path if path.startswith("/") else path, body, headers, method)
    found = {name.lower(): value for name, value in found.items()}
    if status < 400 or method == "HEAD":
        return status, None, found, ""
    error = json.loads(content)["errors"][0]
    return status, error["code"], found, error["message"]


def upload(header, repository, content):
    """Uploads a blob; the statuses of its three requests, until one is refused."""
    status, _, found, _ = ask(header, "POST", f"/v2/{repository}/blobs/uploads/", b"")
    statuses = [status]
    if status == 202:
        location = found["location"]
        statuses.append(ask(header, "PATCH", location, content)[0])
        statuses.append(ask(header, "PUT", f"{location}?digest={digest_of(content)}", b"")[0])
    return statuses


def manifest(content=CONFIG):
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(content), "size": len(content)}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}).encode()


def put(header, repository, tag, content=CONFIG):
    return ask(header, "PUT", f"/v2/{repository}/manifests/{tag}", manifest(content), MANIFEST)[:2]


def set_policy(repository, *statements):
    """Sets the repository's policy, or takes it away."""
    ecr = client("ecr")
    if statements:
        ecr.set_repository_policy(repositoryName=repository, policyText=document(*statements))
    else:
        ecr.delete_repository_policy(repositoryName=repository)


def repository_statement(effect, principal, *actions, **more):
    return {"Effect": effect, "Principal": principal, "Action": list(actions), **more}


def singles(repository):
    """Every kind of request with the action that it needs; what is asked is there, or is answered with 404."""
    image = f"/v2/{repository}/manifests/v1"
    blob = f"/v2/{repository}/blobs/{digest_of(CONFIG)}"
    uploads = f"/v2/{repository}/blobs/uploads/"
    begun = ask(ADMIN, "POST", uploads, b"")[2]["location"]
    return [
        ("ecr:BatchGetImage", "GET", image, None),
        ("ecr:BatchGetImage", "HEAD", image, None),
        ("ecr:GetDownloadUrlForLayer", "GET", blob, None),
        ("ecr:BatchCheckLayerAvailability", "HEAD", blob, None),
        ("ecr:InitiateLayerUpload", "POST", uploads, b""),
        ("ecr:UploadLayerPart", "PATCH", begun, b"x"),
        ("ecr:UploadLayerPart", "GET", begun, None),
        ("ecr:CompleteLayerUpload", "PUT", f"{begun}?digest={digest_of(b'x')}", b""),
        ("ecr:PutImage", "PUT", f"/v2/{repository}/manifests/v2", manifest()),
        ("ecr:ListImages", "GET", f"/v2/{repository}/tags/list", None),
        ("ecr:BatchGetImage", "GET", f"/v2/{repository}/referrers/{NONE}", None),
        ("ecr:BatchDeleteImage", "DELETE", f"/v2/{repository}/manifests/none", None),
        ("ecr:BatchDeleteImage", "DELETE", f"/v2/{repository}/blobs/{NONE}", None),
    ]


def actions():
    """One action denied by the repository: requests that are that action are refused and say so, no others are."""
    _, ada = user("ada", allow("ecr:*"))
    _, eve = user("eve", allow("ecr:*"))
    arn = f"arn:aws:iam::{ACCOUNT}:user/ada"
    for denied in dict.fromkeys(action for action, *_ in singles("access/app")):
        set_policy("access/app", repository_statement("Deny", {"AWS": arn}, denied))
        status, _, listed = send(ENDPOINT + "/v2/_catalog", headers=ada)
        assert status == 200, (status, listed)
        is_listed = "access/app" in json.loads(listed)["repositories"]
        assert is_listed == (denied != "ecr:ListImages"), (denied, listed)
        for action, method, path, body in singles("access/app"):
            kind = MANIFEST if action == "ecr:PutImage" else "application/octet-stream"
            status, code, _, message = ask(ada, method, path, body, kind)
            if action != denied:
                # 400: nothing was uploaded that could be completed.
                assert status in (200, 201, 202, 204, 400, 404), (denied, action, method, status, message)
                continue
            assert status == 403, (denied, method, path, status)
            if method != "HEAD":
                assert code == "DENIED" and denied in message and "explicit deny" in message, (code, message)
        # Whom the statement does not name may.
        for action, method, path, _ in singles("access/app"):
            if action == denied and method == "GET":
                assert ask(eve, method, path)[0] in (200, 204, 404), (denied, method, path)
    set_policy("access/app")


def conditions():
    """Policies with conditions: where from, how, who with which tags, on what with which tags."""
    ecr, iam = client("ecr"), client("iam")
    _, bob = user("bob", allow("ecr:GetAuthorizationToken"))
    arn = f"arn:aws:iam::{ACCOUNT}:user/bob"
    read = ("GET", "/v2/access/app/manifests/v1")
    assert ask(bob, *read)[:2] == (403, "DENIED")
    cases = [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, 200),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, 403),
        ({"Bool": {"aws:SecureTransport": "true"}}, 403),
        ({"Bool": {"aws:SecureTransport": "false"}}, 200),
        ({"ArnEquals": {"aws:PrincipalArn": arn}}, 200),
        ({"ArnEquals": {"aws:PrincipalArn": arn + "2"}}, 403),
        ({"StringEquals": {"aws:PrincipalTag/team": "web"}}, 403),
        ({"StringEquals": {"ecr:ResourceTag/stage": "test"}}, 200),
        ({"StringEquals": {"aws:ResourceTag/stage": "production"}}, 403),
    ]
    for condition, expected in cases:
        set_policy("access/app", repository_statement("Allow", {"AWS": arn}, "ecr:BatchGetImage", Condition=condition))
        assert ask(bob, *read)[0] == expected, condition
    tagged = {"StringEquals": {"aws:PrincipalTag/team": "web"}}
    set_policy("access/app", repository_statement("Allow", "*", "ecr:BatchGetImage", Condition=tagged))
    assert ask(bob, *read)[0] == 403
    iam.tag_user(UserName="bob", Tags=[{"Key": "team", "Value": "web"}])
    assert ask(bob, *read)[0] == 200, "the tags are those of now, not of the token"
    # Whoever is not excepted is denied.
    iam.put_user_policy(UserName="bob", PolicyName="p", PolicyDocument=document(allow("ecr:*")))
    excepted = {"AWS": [f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:user/ada"]}
    denied = {"Effect": "Deny", "NotPrincipal": excepted, "Action": "ecr:BatchGetImage"}
    set_policy("access/app", denied)
    assert ask(bob, *read)[0] == 403
    link = client("ecr").get_download_url_for_layer(repositoryName="access/app", layerDigest=digest_of(CONFIG))
    set_policy("access/app", repository_statement("Deny", "*", "ecr:GetDownloadUrlForLayer"))
    assert send(link["downloadUrl"])[0] == 200, "a link carries its permission itself"
    set_policy("access/app")
    assert ask(bob, *read)[0] == 200
    found = ecr.describe_repositories(repositoryNames=["access/app"])["repositories"]
    assert found[0]["repositoryArn"] == REGISTRY + "access/app", found


def registry_policy():
    """The registry's policy grants and denies over all of its repositories."""
    ecr = client("ecr")
    _, kim = user("kim", allow("ecr:GetAuthorizationToken"))
    arn = f"arn:aws:iam::{ACCOUNT}:user/kim"
    image = ("GET", "/v2/access/app/manifests/v1")
    other = ("GET", "/v2/access/other/manifests/v1")

    def set_registry(effect, resource):
        statement = repository_statement(effect, {"AWS": arn}, "ecr:BatchGetImage", Resource=resource)
        ecr.put_registry_policy(policyText=document(statement))

    assert [ask(kim, *path)[0] for path in (image, other)] == [403, 403]
    set_registry("Allow", REGISTRY + "access/app")
    assert [ask(kim, *path)[0] for path in (image, other)] == [200, 403]
    set_registry("Allow", REGISTRY + "*")
    assert [ask(kim, *path)[0] for path in (image, other)] == [200, 404]
    # Scope V1 does not ask it about pulls.
    ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V1")
    assert ask(kim, *image)[0] == 403
    ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
    set_policy("access/app", repository_statement("Allow", {"AWS": arn}, "ecr:BatchGetImage"))
    set_registry("Deny", REGISTRY + "access/*")
    assert ask(kim, *image)[0] == 403
    ecr.delete_registry_policy()
    assert ask(kim, *image)[0] == 200
    set_policy("access/app")


def sessions():
    """Sessions: what the session's policy and the boundary leave over, also with a token that was asked for before."""
    iam = client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="puller", AssumeRolePolicyDocument=document(trust))
    iam.put_role_policy(RoleName="puller", PolicyName="p", PolicyDocument=document(allow("ecr:*")))
    role = f"arn:aws:iam::{ACCOUNT}:role/puller"
    read = ("GET", "/v2/access/app/manifests/v1")
    tags = ("GET", "/v2/access/app/tags/list")
    narrow = document(allow("ecr:GetAuthorizationToken", "ecr:ListImages"))
    small = client("sts").assume_role(RoleArn=role, RoleSessionName="small", Policy=narrow)["Credentials"]
    small = token(keys(small))
    assert (ask(small, *read)[0], ask(small, *tags)[0]) == (403, 200)
    whole = token(keys(client("sts").assume_role(RoleArn=role, RoleSessionName="whole")["Credentials"]))
    assert (ask(whole, *read)[0], ask(whole, *tags)[0]) == (200, 200)
    boundary = iam.create_policy(PolicyName="bound", PolicyDocument=document(allow("ecr:BatchGetImage")))["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName="puller", PermissionsBoundary=boundary)
    assert (ask(whole, *read)[0], ask(whole, *tags)[0]) == (200, 403)
    iam.delete_role_permissions_boundary(RoleName="puller")
    iam.delete_policy(PolicyArn=boundary)
    iam.delete_role_policy(RoleName="puller", PolicyName="p")
    assert ask(whole, *read)[0] == 403, "the role's policy is gone"
    iam.delete_role(RoleName="puller")
    assert ask(whole, *read)[:2] == (401, "UNAUTHORIZED"), "the role is gone"


def gone():
    """A token ends with its user and rests with its key."""
    iam = client("iam")
    credentials, zoe = user("zoe", allow("ecr:*"))
    key = credentials["aws_access_key_id"]
    assert ask(zoe, "GET", "/v2/")[0] == 200
    iam.update_access_key(UserName="zoe", AccessKeyId=key, Status="Inactive")
    for path in ("/v2/", "/v2/access/app/manifests/v1"):
        assert ask(zoe, "GET", path)[:2] == (401, "UNAUTHORIZED"), path
    iam.update_access_key(UserName="zoe", AccessKeyId=key, Status="Active")
    assert ask(zoe, "GET", "/v2/")[0] == 200
    iam.delete_user_policy(UserName="zoe", PolicyName="p")
    assert ask(zoe, "GET", "/v2/access/app/manifests/v1")[:2] == (403, "DENIED")
    iam.delete_access_key(UserName="zoe", AccessKeyId=key)
    iam.delete_user(UserName="zoe")
    assert ask(zoe, "GET", "/v2/")[:2] == (401, "UNAUTHORIZED")


def mounts():
    """A blob is mounted from where the caller may read it, named or not; else it is uploaded."""
    secret, shared = b"secret layer", b"shared layer"
    assert upload(ADMIN, "access/other", secret) == [202, 202, 201]
    assert upload(ADMIN, "access/app", shared) == [202, 202, 201]
    write = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
    _, max_ = user("max", allow("ecr:GetAuthorizationToken"), allow(*write, resource=REGISTRY + "access/mine"),
                   allow("ecr:GetDownloadUrlForLayer", resource=[REGISTRY + "access/app", REGISTRY + "access/mine"]))
    base = "/v2/access/mine/blobs/uploads/?mount="
    for content, source, expected in [
        (secret, "&from=access/other", 202), (secret, "", 202), (secret, "&from=access/app", 202),
        (shared, "&from=access/other", 202), (shared, "&from=access/app", 201),
    ]:
        assert ask(max_, "POST", base + digest_of(content) + source, b"")[0] == expected, (content, source)
    assert ask(max_, "GET", f"/v2/access/mine/blobs/{digest_of(shared)}")[0] == 200
    assert ask(max_, "GET", f"/v2/access/mine/blobs/{digest_of(secret)}")[0] == 404
    more = b"another layer"
    assert upload(ADMIN, "access/app", more) == [202, 202, 201]
    assert ask(max_, "POST", base + digest_of(more), b"")[0] == 201, "from wherever it may be read"
    # One request that does it all needs the permission for each step.
    set_policy("access/mine", repository_statement("Deny", "*", "ecr:CompleteLayerUpload"))
    whole = f"/v2/access/mine/blobs/uploads/?digest={digest_of(b'whole')}"
    assert ask(max_, "POST", whole, b"whole")[:2] == (403, "DENIED")
    set_policy("access/mine")
    assert ask(max_, "POST", whole, b"whole")[0] == 201


def creation():
    """A push that makes its repository needs the permission to, and to tag it where its template does."""
    ecr = client("ecr")
    ecr.create_repository_creation_template(
        prefix="access/auto", appliedFor=["CREATE_ON_PUSH"], resourceTags=[{"Key": "team", "Value": "web"}])
    push = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
    _, tom = user("tom", allow("ecr:GetAuthorizationToken", *push))
    start = ("POST", "/v2/access/auto/new/blobs/uploads/", b"")
    for more, missing in [((), "ecr:CreateRepository"), (("ecr:CreateRepository",), "ecr:TagResource")]:
        client("iam").put_user_policy(UserName="tom", PolicyName="p",
                                      PolicyDocument=document(allow("ecr:GetAuthorizationToken", *push, *more)))
        status, code, _, message = ask(tom, *start)
        assert (status, code) == (403, "DENIED") and missing in message, (status, code, message)
    client("iam").put_user_policy(UserName="tom", PolicyName="p",
                                  PolicyDocument=document(allow("ecr:*")))
    assert upload(tom, "access/auto/new", CONFIG) == [202, 202, 201]
    assert put(tom, "access/auto/new", "v1") == (201, None)
    assert ecr.list_tags_for_resource(resourceArn=REGISTRY + "access/auto/new")["tags"] == [{"Key": "team", "Value": "web"}]


def access():
    """All of it; what it made goes again."""
    ecr = client("ecr")
    ecr.create_repository(repositoryName="access/app", tags=[{"Key": "stage", "Value": "test"}])
    for name in ("access/other", "access/mine"):
        ecr.create_repository(repositoryName=name)
    assert upload(ADMIN, "access/app", CONFIG) == [202, 202, 201]
    assert put(ADMIN, "access/app", "v1") == (201, None)
    for phase in (actions, conditions, registry_policy, sessions, gone, mounts, creation):
        phase()
    for name in ("access/app", "access/other", "access/mine", "access/auto/new"):
        ecr.delete_repository(repositoryName=name, force=True)
    ecr.delete_repository_creation_template(prefix="access/auto")
    iam = client("iam")
    for name in ("ada", "eve", "bob", "kim", "max", "tom"):
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName=name, PolicyName="p")
        iam.delete_user(UserName=name)


if __name__ == "__main__":
    ADMIN = token({})
    main({"access": access})
