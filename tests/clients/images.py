"""ECR and ECR Public as boto3 sees them, for the images of many clients."""

import base64
import hashlib
import json
import ssl
import urllib.request

from common import ENDPOINT, PORT, client, default_network, execution_role, fails, main, send, wait

REGION_ACCOUNT = "us-east-1:000000000000"
SECRET = f"arn:aws:secretsmanager:{REGION_ACCOUNT}:secret:ecr-pullthroughcache/"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
# Every part but the last has 5 MiB at least. Ref: LayerPartTooSmallException.
PART = 5 << 20


def repositories():
    """Makes what the clients push to; user, password and the public registry's alias."""
    ecr, public = client("ecr"), client("ecr-public")
    for name in ("app", "index", "artifacts", "layers"):
        ecr.create_repository(repositoryName=name)
    data = ecr.get_authorization_token()["authorizationData"][0]
    user, password = base64.b64decode(data["authorizationToken"]).decode().split(":", 1)
    registry = public.describe_registries()["registries"][0]
    alias = registry["aliases"][0]["name"]
    assert registry["registryUri"] == f"public.ecr.localhost:{PORT}/{alias}", registry
    made = public.create_repository(
        repositoryName="team/app",
        catalogData={"description": "for everybody", "architectures": ["x86-64"], "operatingSystems": ["Linux"]},
        tags=[{"Key": "made-by", "Value": "test"}],
    )
    assert made["repository"]["repositoryUri"] == f"{registry['registryUri']}/team/app", made
    assert made["repository"]["repositoryArn"] == "arn:aws:ecr-public::000000000000:repository/team/app", made
    public.create_repository(repositoryName="layers")
    fails("RepositoryAlreadyExistsException", public.create_repository, repositoryName="team/app")
    data = public.get_authorization_token()["authorizationData"]
    user, public_password = base64.b64decode(data["authorizationToken"]).decode().split(":", 1)
    assert user == "AWS", user
    return {"password": password, "public_password": public_password, "alias": alias}


def layer(api):
    """A layer in two parts, and what becomes of parts that are too small; its descriptor."""
    content = bytes(PART) + b"end"
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    upload = {"repositoryName": "layers", "uploadId": api.initiate_layer_upload(repositoryName="layers")["uploadId"]}
    first = api.upload_layer_part(partFirstByte=0, partLastByte=PART - 1, layerPartBlob=content[:PART], **upload)
    assert first["lastByteReceived"] == PART - 1, first
    error = fails("InvalidLayerPartException", api.upload_layer_part, partFirstByte=PART + 1, partLastByte=PART + 1,
                  layerPartBlob=b"x", **upload)
    assert error["lastValidByteReceived"] == PART - 1, error
    api.upload_layer_part(partFirstByte=PART, partLastByte=PART + 2, layerPartBlob=b"end", **upload)
    api.complete_layer_upload(layerDigests=[digest], **upload)
    fails("UploadNotFoundException", api.complete_layer_upload, layerDigests=["sha256:" + "2" * 64], **upload)
    return {"mediaType": LAYER, "digest": digest, "size": len(content)}


def layer_api():
    """An image through the layer upload API alone, in a private and in a public repository."""
    for service in ("ecr", "ecr-public"):
        api = client(service)
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
                             "for": service}).encode()
        digest = "sha256:" + hashlib.sha256(config).hexdigest()
        known = api.batch_check_layer_availability(repositoryName="layers", layerDigests=[digest])
        assert known["layers"][0]["layerAvailability"] == "UNAVAILABLE", known
        upload = api.initiate_layer_upload(repositoryName="layers")
        identity = {"repositoryName": "layers", "uploadId": upload["uploadId"]}
        fails("InvalidLayerPartException", api.upload_layer_part, partFirstByte=1, partLastByte=1, layerPartBlob=b"x",
              **identity)
        part = api.upload_layer_part(partFirstByte=0, partLastByte=len(config) - 1, layerPartBlob=config, **identity)
        assert part["lastByteReceived"] == len(config) - 1, part
        done = api.complete_layer_upload(layerDigests=[digest], **identity)
        assert done["layerDigest"] == digest, done
        fails("LayerAlreadyExistsException", api.complete_layer_upload, layerDigests=[digest], **identity)
        large = layer(api)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [large],
                               "config": {"mediaType": CONFIG, "digest": digest, "size": len(config)}})
        put = api.put_image(repositoryName="layers", imageManifest=manifest, imageTag="v1")
        image = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
        assert put["image"]["imageId"] == {"imageDigest": image, "imageTag": "v1"}, put
        fails("ImageAlreadyExistsException", api.put_image, repositoryName="layers", imageManifest=manifest,
              imageTag="v1")
        described = api.describe_images(repositoryName="layers")["imageDetails"]
        assert [found["imageTags"] for found in described] == [["v1"]], described
        deleted = api.batch_delete_image(repositoryName="layers", imageIds=[{"imageTag": "v1"}, {"imageTag": "v2"}])
        assert deleted["imageIds"][0]["imageDigest"] == image, deleted
        assert deleted["failures"][0]["failureCode"] == "ImageNotFound", deleted
        api.delete_repository(repositoryName="layers")
    ecr = client("ecr")
    fails("SigningConfigurationNotFoundException", ecr.get_signing_configuration)


def referrers(digest, kind):
    """What refers to an image: ListImageReferrers with and without a filter."""
    ecr = client("ecr")
    subject = {"imageDigest": digest}
    all_of_them = ecr.list_image_referrers(repositoryName="artifacts", subjectId=subject)["referrers"]
    of_kind = ecr.list_image_referrers(
        repositoryName="artifacts", subjectId=subject, filter={"artifactTypes": [kind]})["referrers"]
    none = ecr.list_image_referrers(
        repositoryName="artifacts", subjectId=subject, filter={"artifactTypes": ["application/none"]})["referrers"]
    assert none == [], none
    status = ecr.describe_image_signing_status(repositoryName="artifacts", imageId=subject)
    assert status["signingStatuses"] == [], status
    return {"all": [found["digest"] for found in all_of_them], "of_kind": [found["digest"] for found in of_kind]}


def public(digest, alias):
    """What ECR Public says of the image that a client pushed."""
    api = client("ecr-public")
    details = api.describe_images(repositoryName="team/app")["imageDetails"]
    assert details[0]["imageDigest"] == digest and details[0]["imageTags"] == ["v1"], details
    tags = api.describe_image_tags(repositoryName="team/app")["imageTagDetails"]
    assert tags[0]["imageTag"] == "v1" and tags[0]["imageDetail"]["imageDigest"] == digest, tags
    by_alias = api.batch_check_layer_availability(
        registryId=alias, repositoryName="team/app", layerDigests=["sha256:" + "0" * 64])
    assert by_alias["layers"][0]["layerAvailability"] == "UNAVAILABLE", by_alias
    found = api.describe_repositories(repositoryNames=["team/app"])["repositories"]
    assert len(found) == 1, found
    arn = found[0]["repositoryArn"]
    api.tag_resource(resourceArn=arn, tags=[{"Key": "more", "Value": "1"}])
    api.untag_resource(resourceArn=arn, tagKeys=["made-by"])
    assert api.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "more", "Value": "1"}]
    data = api.get_repository_catalog_data(repositoryName="team/app")["catalogData"]
    assert data["description"] == "for everybody" and data["operatingSystems"] == ["Linux"], data
    api.put_registry_catalog_data(displayName="We")
    assert api.get_registry_catalog_data()["registryCatalogData"]["displayName"] == "We"
    fails("RepositoryPolicyNotFoundException", api.get_repository_policy, repositoryName="team/app")
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "ecr-public:BatchCheckLayerAvailability"}]}
    api.set_repository_policy(repositoryName="team/app", policyText=json.dumps(policy))
    assert json.loads(api.get_repository_policy(repositoryName="team/app")["policyText"]) == policy
    api.delete_repository_policy(repositoryName="team/app")
    assert client("ecr").describe_repositories()["repositories"], "private ones are there"
    fails("RepositoryNotFoundException", client("ecr").describe_repositories, repositoryNames=["team/app"])


def anonymous(alias, digest):
    """The token flow of public registries step by step, and what a token that names nobody does not open."""
    host = {"Host": f"public.ecr.localhost:{PORT}"}
    manifest = f"{ENDPOINT}/v2/{alias}/team/app/manifests/v1"
    for url in (f"{ENDPOINT}/v2/", manifest):
        status, headers, body = send(url, headers=host)
        assert status == 401, (status, body)
        challenge = {name.lower(): value for name, value in headers.items()}["www-authenticate"]
        assert challenge == (f'Bearer realm="http://public.ecr.localhost:{PORT}/token/",'
                             f'service="public.ecr.aws",scope="aws"'), challenge
    status, _, body = send(f"{ENDPOINT}/token/?scope=aws&service=public.ecr.aws", headers=host)
    assert status == 200, (status, body)
    token = {"Authorization": f"Bearer {json.loads(body)['token']}"}
    status, _, body = send(manifest, headers={**host, **token})
    assert status == 200 and "sha256:" + hashlib.sha256(body).hexdigest() == digest, (status, body)
    status, _, body = send(f"{ENDPOINT}/v2/{alias}/team/app/tags/list", headers={**host, **token})
    assert json.loads(body)["tags"] == ["v1"], body
    # No writing, no private repository, not even by another name, and nothing without a token.
    status, _, body = send(f"{ENDPOINT}/v2/{alias}/team/app/blobs/uploads/", b"", {**host, **token}, "POST")
    assert (status, json.loads(body)["errors"][0]["code"]) == (403, "DENIED"), (status, body)
    status, _, body = send(f"{ENDPOINT}/v2/{alias}/team/app/manifests/v1", None, {**host, **token}, "DELETE")
    assert status == 403, (status, body)
    for path in ("app/manifests/docker", "app/tags/list"):
        status, _, _ = send(f"{ENDPOINT}/v2/{path}", headers=token)
        assert status == 401, (path, status)
        status, _, body = send(f"{ENDPOINT}/v2/{path}", headers={**host, **token})
        assert (status, json.loads(body)["errors"][0]["code"]) == (404, "NAME_UNKNOWN"), (path, status, body)
    status, _, _ = send(f"{ENDPOINT}/token/", headers={**host, "Authorization": "Basic QVdTOm5vbnNlbnNl"})
    assert status == 401, status
    # By path, on a host that names no registry.
    status, _, body = send(f"{ENDPOINT}/v2/public/{alias}/team/app/manifests/v1")
    assert status == 200, (status, body)
    status, _, body = send(f"{ENDPOINT}/v2/public/{alias}/none/manifests/v1")
    assert (status, json.loads(body)["errors"][0]["code"]) == (404, "NAME_UNKNOWN"), (status, body)
    status, _, _ = send(f"{ENDPOINT}/v2/public/{alias}/team/app/blobs/uploads/", b"", {}, "POST")
    assert status == 403, status
    status, _, _ = send(f"{ENDPOINT}/v2/public/app/manifests/v1")
    assert status == 401, status


def tasks_of_mirrors(host, digest):
    """Images of mirrors that nobody has pulled yet: a task and a service get them; what upstream lacks ends the task."""
    from tasks import CLUSTER, ECS, register, run, running, stopped

    ecr = client("ecr")
    ECS.create_cluster(clusterName=CLUSTER)
    client("logs").create_log_group(logGroupName="/tasks")
    # What AWS's managed policy lacks: a role needs more to have a mirror filled and made, and no template to tag it.
    execution_role(also=["ecr:BatchImportUpstreamImage", "ecr:CreateRepository", "ecr:TagResource"])
    execution_role("only-pulls")
    for prefix in ("task", "service", "nothing"):
        ecr.create_pull_through_cache_rule(ecrRepositoryPrefix=prefix, upstreamRegistryUrl=host)
    ecr.create_repository_creation_template(
        prefix="task", appliedFor=["PULL_THROUGH_CACHE"], resourceTags=[{"Key": "made-by", "Value": "template"}])
    registry = f"localhost:{PORT}"
    command = {"command": ["sleep", "300"]}
    register("pulled", {"image": f"{registry}/task/open/app:v1", **command},
             {"image": f"{registry}/task/open/app@{digest}", **command})
    register("served", {"image": f"{registry}/service/open/app:v1", **command})
    register("lost", {"image": f"{registry}/nothing/open/none:v1", **command})
    register("closed", {"image": f"{registry}/nothing/shut/app:v1", **command})
    register("barred", {"image": f"{registry}/task/open/other:v1", **command},
             executionRoleArn="arn:aws:iam::000000000000:role/only-pulls")
    arns = {family: run(family)[0] for family in ("pulled", "lost", "closed", "barred")}
    _, subnets, group = default_network()
    network = {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": [group], "assignPublicIp": "ENABLED"}}
    ECS.create_service(cluster=CLUSTER, serviceName="served", taskDefinition="served", desiredCount=2,
                       launchType="FARGATE", networkConfiguration=network)
    task = running(arns["pulled"], 60)
    assert {container["imageDigest"] for container in task["containers"]} == {digest}, task
    arn = ecr.describe_repositories(repositoryNames=["task/open/app"])["repositories"][0]["repositoryArn"]
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "made-by", "Value": "template"}]
    wait("the service's tasks run", 60, lambda: ECS.describe_services(
        cluster=CLUSTER, services=["served"])["services"][0]["runningCount"] == 2)
    for family in ("lost", "closed", "barred"):
        task = stopped(arns[family], 60)
        assert task["stopCode"] == "TaskFailedToStart", task
        assert task["stoppedReason"].startswith("CannotPullContainerError: "), task
    assert "not found" in stopped(arns["lost"])["stoppedReason"], stopped(arns["lost"])
    assert "ecr:BatchImportUpstreamImage" in stopped(arns["barred"])["stoppedReason"], stopped(arns["barred"])
    ECS.delete_service(cluster=CLUSTER, service="served", force=True)
    ECS.stop_task(cluster=CLUSTER, task=arns["pulled"])
    stopped(arns["pulled"])
    wait("the service's tasks end", 60, lambda: not ECS.list_tasks(cluster=CLUSTER)["taskArns"])


def rules(host):
    """Pull-through rules with and without a secret, and what their upstream says to them."""
    ecr = client("ecr")
    fails("SecretNotFoundException", ecr.create_pull_through_cache_rule, ecrRepositoryPrefix="mirror",
          upstreamRegistryUrl=host, credentialArn=SECRET + "nobody")
    fails("UnableToAccessSecretException", ecr.create_pull_through_cache_rule, ecrRepositoryPrefix="mirror",
          upstreamRegistryUrl=host, credentialArn=SECRET.replace("000000000000", "111111111111") + "upstream")
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="free", upstreamRegistryUrl=host)
    ecr.create_pull_through_cache_rule(
        ecrRepositoryPrefix="mirror", upstreamRegistryUrl=host, credentialArn=SECRET + "upstream-AbCdEf")
    ecr.create_pull_through_cache_rule(
        ecrRepositoryPrefix="wrong", upstreamRegistryUrl=host, credentialArn=SECRET + "wrong")
    valid = ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="mirror")
    assert valid["isValid"] and "failure" not in valid, valid
    wrong = ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="wrong")
    assert not wrong["isValid"] and "wrong password" in wrong["failure"], wrong
    free = ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="free")
    assert not free["isValid"] and free["failure"], free
    fails("PullThroughCacheRuleNotFoundException", ecr.validate_pull_through_cache_rule, ecrRepositoryPrefix="none")
    by_api(ecr, host)
    imports(ecr, host)


def by_api(ecr, host):
    """BatchGetImage has a mirror filled as a pull has; archived, its image is not pulled until it is restored."""
    ecr.create_pull_through_cache_rule(
        ecrRepositoryPrefix="api/", upstreamRegistryUrl=host, credentialArn=SECRET + "upstream-AbCdEf")
    name, tags = "api/shut/app", [{"imageTag": "v1"}, {"imageTag": "none"}]
    got = ecr.batch_get_image(repositoryName=name, imageIds=tags)
    assert [image["imageId"]["imageTag"] for image in got["images"]] == ["v1"], got
    assert [failure["failureCode"] for failure in got["failures"]] == ["ImageNotFound"], got
    layer = json.loads(got["images"][0]["imageManifest"])["layers"][0]["digest"]
    ecr.get_download_url_for_layer(repositoryName=name, layerDigest=layer)
    shut = ecr.batch_get_image(repositoryName="wrong/shut/app", imageIds=tags[:1])
    assert [failure["failureCode"] for failure in shut["failures"]] == ["UpstreamAccessDenied"], shut
    fails("RepositoryNotFoundException", ecr.describe_repositories, repositoryNames=["wrong/shut/app"])
    for nothing in ("nowhere/app", "api/shut/typo"):
        fails("RepositoryNotFoundException", ecr.batch_get_image, repositoryName=nothing, imageIds=tags[:1])
    ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="api/")
    stored = lambda kind: ecr.update_image_storage_class(
        repositoryName=name, imageId=tags[0], targetStorageClass=kind)["imageStatus"]
    assert stored("ARCHIVE") == "ARCHIVED"
    assert not ecr.batch_get_image(repositoryName=name, imageIds=tags[:1])["images"]
    assert not ecr.list_images(repositoryName=name)["imageIds"]
    assert ecr.list_images(repositoryName=name, filter={"imageStatus": "ARCHIVED"})["imageIds"]
    fails("LayerInaccessibleException", ecr.get_download_url_for_layer, repositoryName=name, layerDigest=layer)
    assert stored("STANDARD") == "ACTIVE"
    assert ecr.batch_get_image(repositoryName=name, imageIds=tags[:1])["images"]


def imports(ecr, host):
    """Who may pull may not yet have a mirror filled: the registry's policy, or another, lets them."""
    from access import REGISTRY, allow, ask, document, repository_statement, user

    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="asked", upstreamRegistryUrl=host)
    _, header = user("reader", allow("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"))
    read = ("GET", "/v2/asked/open/app/manifests/v1")

    def refused(action):
        status, code, _, message = ask(header, *read)
        assert (status, code) == (403, "DENIED") and action in message, (status, code, message)
        fails("RepositoryNotFoundException", ecr.describe_repositories, repositoryNames=["asked/open/app"])

    def let(*actions):
        who = {"AWS": "arn:aws:iam::000000000000:user/reader"}
        statement = repository_statement("Allow", who, *actions, Resource=REGISTRY + "asked/*")
        ecr.put_registry_policy(policyText=document(statement))

    refused("ecr:BatchImportUpstreamImage")
    let("ecr:BatchImportUpstreamImage")
    refused("ecr:CreateRepository")
    let("ecr:BatchImportUpstreamImage", "ecr:CreateRepository")
    assert ask(header, *read)[0] == 200
    ecr.delete_registry_policy()
    assert ask(header, *read)[0] == 200, "what is cached needs no permission to import"
    status, code, _, _ = ask(header, "GET", "/v2/asked/open/app/manifests/none")
    assert (status, code) == (403, "DENIED"), (status, code)
    client("iam").delete_access_key(
        UserName="reader", AccessKeyId=client("iam").list_access_keys(UserName="reader")["AccessKeyMetadata"][0]["AccessKeyId"])
    client("iam").delete_user_policy(UserName="reader", PolicyName="p")
    client("iam").delete_user(UserName="reader")


def own_rule(host):
    """A mirror of the public registries of this very cloud."""
    client("ecr").create_pull_through_cache_rule(ecrRepositoryPrefix="ours", upstreamRegistryUrl=host)
    valid = client("ecr").validate_pull_through_cache_rule(ecrRepositoryPrefix="ours")
    assert valid["isValid"], valid


def trail():
    """What clients pushed to a public repository is in the trail under its name; what strangers read is not."""
    found = client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "PutImage"}])["Events"]
    events = [json.loads(event["CloudTrailEvent"]) for event in found]
    public = [event for event in events if event["eventSource"] == "ecr-public.amazonaws.com"]
    assert public, events
    arns = {resource["ARN"] for event in public for resource in event.get("resources", [])}
    assert "arn:aws:ecr-public::000000000000:repository/team/app" in arns, public[:2]


def cached(name, digest):
    """A pull made the repository, and the image lies in it."""
    details = client("ecr").describe_images(repositoryName=name, imageIds=[{"imageTag": "v1"}])["imageDetails"]
    assert details[0]["imageDigest"] == digest, details


def ask(host, authority, method, path):
    """Asks the upstream registry itself."""
    context = ssl.create_default_context(cafile=authority)
    request = urllib.request.Request(f"https://{host}{path}", method=method)
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.loads(answer.read() or b"null")


if __name__ == "__main__":
    main({
        "repositories": repositories,
        "layer_api": layer_api,
        "referrers": referrers,
        "public": public,
        "anonymous": anonymous,
        "tasks_of_mirrors": tasks_of_mirrors,
        "rules": rules,
        "own_rule": own_rule,
        "trail": trail,
        "cached": cached,
        "ask": ask,
    })
