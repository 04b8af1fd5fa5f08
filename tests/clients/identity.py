"""STS and IAM as boto3 sees them: last accessed services, federated users, refusals that can be decoded, passwords and
other credentials of users, and tokens of issuers, good and hostile."""

import concurrent.futures
import csv
import io
import json
import subprocess
import tempfile
import threading
import time

import boto3
import botocore.config
import botocore.exceptions
from common import ENDPOINT, client, fails, keys, main, wait

ACCOUNT = "000000000000"


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resource="*", **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def user(name, *statements):
    """A user with a key of its own; clients' arguments."""
    iam = client("iam")
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*statements))
    return keys(iam.create_access_key(UserName=name)["AccessKey"])


def gone(name):
    iam = client("iam")
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    iam.delete_user(UserName=name)


def advisor():
    """What a user's policies grant, and what it called of it, told after a moment."""
    iam = client("iam")
    eve = user("eve", allow(["ecs:List*", "logs:*"]))
    arn = iam.get_user(UserName="eve")["User"]["Arn"]
    client("ecs", **eve).list_clusters()
    # Without a permission: an attempt all the same.
    fails("AccessDeniedException", client("ecs", **eve).create_cluster, 400, clusterName="x")

    def services(granularity):
        job = iam.generate_service_last_accessed_details(Arn=arn, Granularity=granularity)["JobId"]
        told = iam.get_service_last_accessed_details(JobId=job)
        assert (told["JobStatus"], told["JobType"]) == ("COMPLETED", granularity), told
        return job, {one["ServiceNamespace"]: one for one in told["ServicesLastAccessed"]}

    wait("the call is known", 60, lambda: "LastAuthenticated" in services("SERVICE_LEVEL")[1]["ecs"])
    job, told = services("ACTION_LEVEL")
    assert sorted(told) == ["ecs", "logs"], told
    assert told["ecs"]["LastAuthenticatedEntity"] == arn and told["ecs"]["TotalAuthenticatedEntities"] == 1, told
    assert "LastAuthenticated" not in told["logs"] and told["logs"]["TotalAuthenticatedEntities"] == 0, told
    actions = {one["ActionName"]: one for one in told["ecs"]["TrackedActionsLastAccessed"]}
    assert actions["ListClusters"]["LastAccessedRegion"] == "us-east-1", actions
    assert "LastAccessedTime" not in actions["ListTasks"] and "CreateCluster" not in actions, actions
    entities = iam.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="ecs")
    assert [one["EntityInfo"]["Name"] for one in entities["EntityDetailsList"]] == ["eve"], entities
    granting = iam.list_policies_granting_service_access(Arn=arn, ServiceNamespaces=["ecs", "iam"])
    assert [one["Policies"] for one in granting["PoliciesGrantingServiceAccess"]] == [
        [{"PolicyName": "p", "PolicyType": "INLINE", "EntityType": "USER", "EntityName": "eve"}], []], granting
    fails("NoSuchEntity", iam.get_service_last_accessed_details, 404, JobId="0" * 36)
    gone("eve")


def federation():
    """A federated user has what its user's policies and its session's both allow, and no IAM and no STS."""
    broker = user("broker", allow(["sts:*", "ecs:*", "iam:*"]))
    sts = client("sts", **broker)
    answer = sts.get_federation_token(
        Name="bob", DurationSeconds=900, Policy=document(allow(["ecs:List*", "iam:*", "logs:*"])),
        Tags=[{"Key": "team", "Value": "blue"}])
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/bob"
    assert answer["FederatedUser"] == {"FederatedUserId": f"{ACCOUNT}:bob", "Arn": arn}, answer
    assert answer["PackedPolicySize"] > 0, answer
    bob = keys(answer["Credentials"])
    who = client("sts", **bob).get_caller_identity()
    assert (who["Arn"], who["UserId"]) == (arn, f"{ACCOUNT}:bob"), who
    client("ecs", **bob).list_clusters()
    fails("AccessDeniedException", client("ecs", **bob).create_cluster, 400,
          f"User: {arn} is not authorized to perform: ecs:CreateCluster", clusterName="x")
    fails("AccessDeniedException", client("logs", **bob).describe_log_groups, 400, "identity-based policy")
    fails("InvalidClientTokenId", client("iam", **bob).list_users, 403)
    fails("AccessDenied", client("sts", **bob).get_federation_token, 403,
          "Cannot call GetFederationToken with session credentials", Name="eve")
    # Without a session's policy there is nothing that it may.
    nothing = keys(sts.get_federation_token(Name="eve")["Credentials"])
    client("sts", **nothing).get_caller_identity()
    fails("AccessDeniedException", client("ecs", **nothing).list_clusters, 400, "no session policy")
    fails("MalformedPolicyDocument", sts.get_federation_token, 400, Name="eve", Policy="{}")
    gone("broker")
    fails("UnrecognizedClientException", client("ecs", **bob).list_clusters, 400)


def refusals():
    """EC2's refusals carry a message that whoever may decode it reads, and nobody else."""
    watched = user("watched", allow("ec2:*"), {**allow("ec2:CreateSecurityGroup"), "Effect": "Deny", "Sid": "NoGroups"})
    try:
        client("ec2", **watched).create_security_group(GroupName="x", Description="x")
        raise AssertionError("it was allowed")
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "UnauthorizedOperation", error
        said = error.response["Error"]["Message"]
    said, encoded = said.split(" Encoded authorization failure message: ")
    assert said.startswith("You are not authorized to perform this operation. User: arn:aws:iam::"), said
    assert encoded and " " not in encoded, encoded
    sts = client("sts")
    decoded = json.loads(sts.decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"])
    assert (decoded["allowed"], decoded["explicitDeny"]) == (False, True), decoded
    assert [found["statementId"] for found in decoded["matchedStatements"]["items"]] == ["NoGroups"], decoded
    context = decoded["context"]
    assert context["action"] == "ec2:CreateSecurityGroup" and context["principal"]["name"] == "watched", context
    assert any(item["key"] == "aws:SourceIp" for item in context["conditions"]["items"]), context
    fails("AccessDenied", client("sts", **watched).decode_authorization_message, 403, EncodedMessage=encoded)
    for bad in ("nonsense", encoded[:-2], encoded + "AA"):
        fails("InvalidAuthorizationMessageException", sts.decode_authorization_message, 400, EncodedMessage=bad)
    gone("watched")


def report(name):
    """A user's line of the credential report."""
    iam = client("iam")
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    lines = csv.DictReader(io.StringIO(iam.get_credential_report()["Content"].decode()))
    return next(line for line in lines if line["user"] == name)


def passwords():
    """An account's rules, a user's password, and the user's own change of it. None of them is told anywhere."""
    iam = client("iam")
    fails("NoSuchEntity", iam.get_account_password_policy, 404, "Password Policy with domain name")
    fails("ValidationError", iam.update_account_password_policy, 400, MinimumPasswordLength=129)
    fails("ValidationError", iam.update_account_password_policy, 400, MaxPasswordAge=1096)
    fails("ValidationError", iam.update_account_password_policy, 400, PasswordReusePrevention=25)
    iam.update_account_password_policy(MinimumPasswordLength=10, RequireSymbols=True, MaxPasswordAge=30,
                                       PasswordReusePrevention=24, AllowUsersToChangePassword=True)
    policy = iam.get_account_password_policy()["PasswordPolicy"]
    assert policy == {
        "MinimumPasswordLength": 10, "RequireSymbols": True, "RequireNumbers": False, "ExpirePasswords": True,
        "RequireUppercaseCharacters": False, "RequireLowercaseCharacters": False, "MaxPasswordAge": 30,
        "PasswordReusePrevention": 24, "AllowUsersToChangePassword": True}, policy
    mine = client("iam", **user("ada"))
    said = "Password should have a minimum length of 10, Password should have at least one symbol"
    fails("PasswordPolicyViolation", iam.create_login_profile, 400, said, UserName="ada", Password="short")
    fails("NoSuchEntity", mine.change_password, 404, OldPassword="first-password", NewPassword="second-password")
    made = iam.create_login_profile(UserName="ada", Password="first-password", PasswordResetRequired=True)
    assert made["LoginProfile"]["PasswordResetRequired"] is True, made
    fails("EntityAlreadyExists", iam.create_login_profile, 409, UserName="ada", Password="first-password")
    assert mine.get_account_password_policy()["PasswordPolicy"] == policy
    fails("AccessDenied", mine.get_login_profile, 403)
    fails("AccessDenied", mine.change_password, 403, OldPassword="wrong-password", NewPassword="second-password")
    mine.change_password(OldPassword="first-password", NewPassword="second-password")
    assert iam.get_login_profile(UserName="ada")["LoginProfile"]["PasswordResetRequired"] is False
    fails("PasswordPolicyViolation", mine.change_password, 400, OldPassword="second-password",
          NewPassword="first-password")
    line = report("ada")
    assert (line["password_enabled"], line["password_last_used"]) == ("true", "no_information"), line
    assert line["password_last_changed"] < line["password_next_rotation"], line
    assert "PasswordLastUsed" not in iam.get_user(UserName="ada")["User"]
    fails("DeleteConflict", iam.delete_user, 409, "delete access keys", UserName="ada")

    # Many at once: each has its turn or is told that there are too many, and nobody else waits for them.
    def change(number):
        try:
            client("iam").update_login_profile(UserName="ada", Password=f"third-password-{number}")
            return "done"
        except botocore.exceptions.ClientError as error:
            return error.response["Error"]["Code"]

    with concurrent.futures.ThreadPoolExecutor(48) as many:
        ended = [many.submit(change, number) for number in range(96)]
        client("sts").get_caller_identity()
        codes = {one.result() for one in ended}
    assert "done" in codes and codes <= {"done", "Throttling", "EntityTemporarilyUnmodifiable"}, codes

    # Neither passwords nor what is kept of them are in the trail.
    trail = client("cloudtrail")

    def told():
        found = []
        for name in ("CreateLoginProfile", "ChangePassword", "UpdateLoginProfile"):
            attributes = [{"AttributeKey": "EventName", "AttributeValue": name}]
            events = trail.lookup_events(LookupAttributes=attributes)["Events"]
            found.append([event["CloudTrailEvent"] for event in events])
        return found if all(found) else None

    text = json.dumps(wait("the calls are in the trail", 60, told))
    assert "-password" not in text and "argon2" not in text, text
    assert "HIDDEN_DUE_TO_SECURITY_REASONS" in text, text
    iam.delete_login_profile(UserName="ada")
    fails("NoSuchEntity", iam.delete_login_profile, 404, UserName="ada")
    iam.delete_account_password_policy()
    gone("ada")


def credentials():
    """SSH keys and signing certificates of a user: in, told, and out."""
    iam = client("iam")
    iam.create_user(UserName="bob")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=bob", "-days", "30",
                        "-keyout", f"{folder}/key", "-out", f"{folder}/certificate"], check=True, capture_output=True)
        spki = subprocess.run(["openssl", "rsa", "-in", f"{folder}/key", "-pubout"], check=True, capture_output=True,
                              text=True).stdout
        with open(f"{folder}/certificate", encoding="ascii") as file:
            certificate = file.read()
    made = iam.upload_ssh_public_key(UserName="bob", SSHPublicKeyBody=spki)["SSHPublicKey"]
    assert (made["Status"], len(made["Fingerprint"]), made["SSHPublicKeyBody"]) == ("Active", 47, spki), made
    of_key = {"UserName": "bob", "SSHPublicKeyId": made["SSHPublicKeyId"]}
    line = iam.get_ssh_public_key(**of_key, Encoding="SSH")["SSHPublicKey"]["SSHPublicKeyBody"]
    assert line.startswith("ssh-rsa AAAAB3NzaC1yc2E"), line
    assert iam.get_ssh_public_key(**of_key, Encoding="PEM")["SSHPublicKey"]["SSHPublicKeyBody"] == spki
    fails("DuplicateSSHPublicKey", iam.upload_ssh_public_key, 400, UserName="bob", SSHPublicKeyBody=line)
    fails("InvalidPublicKey", iam.upload_ssh_public_key, 400, UserName="bob", SSHPublicKeyBody="ssh-rsa AAAA")
    fails("UnrecognizedPublicKeyEncoding", iam.upload_ssh_public_key, 400, UserName="bob", SSHPublicKeyBody="x")
    iam.update_ssh_public_key(**of_key, Status="Inactive")
    assert [key["Status"] for key in iam.list_ssh_public_keys(UserName="bob")["SSHPublicKeys"]] == ["Inactive"]
    signing = iam.upload_signing_certificate(UserName="bob", CertificateBody=certificate)["Certificate"]
    assert (signing["Status"], signing["CertificateBody"]) == ("Active", certificate), signing
    fails("DuplicateCertificate", iam.upload_signing_certificate, 409, UserName="bob", CertificateBody=certificate)
    fails("MalformedCertificate", iam.upload_signing_certificate, 400, UserName="bob", CertificateBody=spki)
    of_it = {"UserName": "bob", "CertificateId": signing["CertificateId"]}
    iam.update_signing_certificate(**of_it, Status="Inactive")
    assert report("bob")["cert_1_active"] == "false"
    fails("DeleteConflict", iam.delete_user, 409, "must delete certificates first", UserName="bob")
    iam.delete_signing_certificate(**of_it)
    fails("DeleteConflict", iam.delete_user, 409, "must remove referenced objects first", UserName="bob")
    iam.delete_ssh_public_key(**of_key)
    gone("bob")


METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example.com">
<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><KeyDescriptor use="signing">
<KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>%s</X509Certificate></X509Data></KeyInfo>
</KeyDescriptor><SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
Location="https://idp.example.com/sso"/></IDPSSODescriptor></EntityDescriptor>""" % ("QUJD" * 300)


def saml():
    """A SAML provider with a key that is told nobody, in the trust of a role; nobody signs in with it."""
    iam = client("iam")
    key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True, text=True).stdout
    fails("InvalidInput", iam.create_saml_provider, 400, "Could not parse metadata", Name="idp",
          SAMLMetadataDocument=METADATA.replace("</EntityDescriptor>", ""))
    made = iam.create_saml_provider(Name="idp", SAMLMetadataDocument=METADATA, AssertionEncryptionMode="Required",
                                    AddPrivateKey=key, Tags=[{"Key": "team", "Value": "blue"}])
    of_it = {"SAMLProviderArn": made["SAMLProviderArn"]}
    assert made["SAMLProviderArn"] == f"arn:aws:iam::{ACCOUNT}:saml-provider/idp", made
    told = iam.get_saml_provider(**of_it)
    assert (told["SAMLMetadataDocument"], told["AssertionEncryptionMode"]) == (METADATA, "Required"), told
    assert told["ValidUntil"].year == told["CreateDate"].year + 100 and len(told["PrivateKeyList"]) == 1, told
    assert "PRIVATE" not in json.dumps(told, default=str), told
    trust = {"Effect": "Allow", "Principal": {"Federated": made["SAMLProviderArn"]},
             "Action": "sts:AssumeRoleWithSAML", "Condition": {"StringEquals": {"SAML:aud": "https://x"}}}
    iam.create_role(RoleName="federated", AssumeRolePolicyDocument=document(trust))
    fails("NotImplemented", client("sts").assume_role_with_saml, 501, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/federated",
          PrincipalArn=made["SAMLProviderArn"], SAMLAssertion="QUJD")
    iam.update_saml_provider(**of_it, AssertionEncryptionMode="Allowed",
                             RemovePrivateKey=told["PrivateKeyList"][0]["KeyId"])
    iam.untag_saml_provider(**of_it, TagKeys=["team"])
    assert iam.list_saml_provider_tags(**of_it)["Tags"] == []
    assert [one["Arn"] for one in iam.list_saml_providers()["SAMLProviderList"]] == [made["SAMLProviderArn"]]
    iam.delete_role(RoleName="federated")
    iam.delete_saml_provider(**of_it)
    fails("NoSuchEntity", iam.get_saml_provider, 404, **of_it)


def web(role, token):
    """The web identity call, without the client's own repetitions."""
    once = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=60)
    sts = boto3.client("sts", endpoint_url=ENDPOINT, config=once)
    return sts.assume_role_with_web_identity, {"RoleArn": role, "RoleSessionName": "ci", "WebIdentityToken": token}


def issuers(said):
    """Hostile tokens are refused; issuers that are slow, away, huge, lying or elsewhere harm nobody but themselves."""
    said = json.loads(said)
    iam, base, tokens = client("iam"), said["issuer"], said["tokens"]
    paths = ["", "/huge", "/redirect", "/slow1", "/slow2", "/slow3", "/lying", "/fresh", "/slash/"]
    providers = [
        iam.create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"])["OpenIDConnectProviderArn"]
        for url in [*(base + path for path in paths), "https://localhost:9"]
    ]
    actions = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]
    trust = {"Effect": "Allow", "Principal": {"Federated": providers}, "Action": actions}
    role = iam.create_role(RoleName="web", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]

    def refused(code, name, status=400, text=None):
        call, arguments = web(role, tokens[name])
        fails(code, call, status, text, **arguments)

    def taken(name):
        call, arguments = web(role, tokens[name])
        return call(**arguments)

    for name in ("none", "symmetric", "critical", "embedded", "twice", "early", "trailing", "nobody"):
        refused("InvalidIdentityToken", name)
    refused("InvalidIdentityToken", "huge", text="Couldn't retrieve verification key")
    refused("InvalidIdentityToken", "redirect", text="Couldn't retrieve verification key")
    refused("InvalidIdentityToken", "lying", text="Couldn't retrieve verification key")
    refused("IDPCommunicationError", "away")
    # While one issuer is slow, another one's callers are answered; a slow machine has three tries.
    first = []
    for name in ("slow1", "slow2", "slow3"):
        said = []
        waiting = threading.Thread(target=lambda name=name: said.append(refused("IDPCommunicationError", name)))
        waiting.start()
        time.sleep(0.5)
        taken("fresh")
        first.append(waiting.is_alive())
        waiting.join()
        assert said == [None], (name, said)
        if first[-1]:
            break
    assert any(first), "whoever had another issuer waited for the slow one"
    assert taken("slash")["Provider"].endswith("/slash/")
    # A token's tags and source identity are the session's.
    answer = taken("tagged")
    assert answer["SourceIdentity"] == "ada" and answer["PackedPolicySize"] > 0, answer
    condition = {"StringEquals": {"aws:PrincipalTag/team": "blue", "aws:SourceIdentity": "ada"}}
    iam.put_role_policy(RoleName="web", PolicyName="p",
                        PolicyDocument=document(allow("ecs:ListClusters", Condition=condition)))
    client("ecs", **keys(answer["Credentials"])).list_clusters()
    fails("AccessDeniedException", client("ecs", **keys(taken("plain")["Credentials"])).list_clusters)
    iam.delete_role_policy(RoleName="web", PolicyName="p")
    iam.delete_role(RoleName="web")
    for provider in providers:
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)


if __name__ == "__main__":
    main({"advisor": advisor, "federation": federation, "refusals": refusals, "passwords": passwords,
          "credentials": credentials, "saml": saml, "issuers": issuers})
