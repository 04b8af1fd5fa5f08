// A life of the services with the AWS SDK for JavaScript v3: what it does otherwise than boto3 and the aws CLI. Errors are
// classes, targets have no namespace, waiters and paginators are its own, a wrong clock is corrected. The script asserts.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";

// The clients are where HONMARU_JAVASCRIPT says, not beside this file.
const require = createRequire(path.join(process.env.HONMARU_JAVASCRIPT, "package.json"));
const ecs = require("@aws-sdk/client-ecs");
const ec2 = require("@aws-sdk/client-ec2");
const elb = require("@aws-sdk/client-elastic-load-balancing-v2");
const logs = require("@aws-sdk/client-cloudwatch-logs");
const iam = require("@aws-sdk/client-iam");
const trail = require("@aws-sdk/client-cloudtrail");
const tagging = require("@aws-sdk/client-resource-groups-tagging-api");
const { fromTemporaryCredentials } = require("@aws-sdk/credential-providers");

const config = { region: process.env.AWS_REGION, endpoint: process.env.AWS_ENDPOINT_URL, maxAttempts: 1 };
const ecsClient = new ecs.ECSClient(config);
const ec2Client = new ec2.EC2Client(config);
const elbClient = new elb.ElasticLoadBalancingV2Client(config);
const logsClient = new logs.CloudWatchLogsClient(config);
const iamClient = new iam.IAMClient(config);
const trailClient = new trail.CloudTrailClient(config);
const taggingClient = new tagging.ResourceGroupsTaggingAPIClient(config);

// A call fails with this error, which is of this class and tells the request's id.
async function fails(kind, call, name = kind.name) {
  const error = await call.then(
    () => assert.fail(`wanted ${name}, got an answer`),
    (error) => error,
  );
  assert.equal(error.name, name, `${error.name}: ${error.message}`);
  assert.ok(error instanceof kind, `${error.name} is none of its class`);
  assert.ok(error.$metadata.requestId, `${error.name} tells no request id`);
  return error;
}

async function all(pages, list) {
  const found = [];
  for await (const page of pages) found.push(...(page[list] ?? []));
  return found;
}

const waiting = (client) => ({ client, minDelay: 1, maxDelay: 1, maxWaitTime: 30 });

async function clusters() {
  const tags = [{ key: "life", value: "js" }];
  const { cluster } = await ecsClient.send(new ecs.CreateClusterCommand({ clusterName: "js", tags }));
  await fails(ecs.ClusterNotFoundException, ecsClient.send(new ecs.ListTasksCommand({ cluster: "none" })));
  const containerDefinitions = [{ name: "c", image: "none", memory: 64, environment: [{ name: "P", value: "s3cret-value" }] }];
  for (let n = 0; n < 3; n++) {
    const { taskDefinition } = await ecsClient.send(
      new ecs.RegisterTaskDefinitionCommand({ family: "js", networkMode: "awsvpc", containerDefinitions }),
    );
    assert.ok(taskDefinition.registeredAt instanceof Date);
  }
  const pages = ecs.paginateListTaskDefinitions({ client: ecsClient, pageSize: 1 }, { familyPrefix: "js" });
  assert.equal((await all(pages, "taskDefinitionArns")).length, 3);
  const isDefault = [{ Name: "is-default", Values: ["true"] }];
  const { Vpcs } = await ec2Client.send(new ec2.DescribeVpcsCommand({ Filters: isDefault }));
  const ofVpc = [{ Name: "vpc-id", Values: [Vpcs[0].VpcId] }];
  const { Subnets } = await ec2Client.send(new ec2.DescribeSubnetsCommand({ Filters: ofVpc }));
  const networkConfiguration = { awsvpcConfiguration: { subnets: [Subnets[0].SubnetId] } };
  const service = { networkConfiguration, cluster: "js", serviceName: "s", taskDefinition: "js", desiredCount: 0, clientToken: "once" };
  const first = await ecsClient.send(new ecs.CreateServiceCommand(service));
  const again = await ecsClient.send(new ecs.CreateServiceCommand(service));
  assert.equal(first.service.serviceArn, again.service.serviceArn);
  await ecs.waitUntilServicesStable(waiting(ecsClient), { cluster: "js", services: ["s"] });
  await deploy("js", "s");
  await fails(ecs.ClusterContainsServicesException, ecsClient.send(new ecs.DeleteClusterCommand({ cluster: "js" })));
  await ecsClient.send(new ecs.DeleteServiceCommand({ cluster: "js", service: "s", force: true }));
  await ecs.waitUntilServicesInactive(waiting(ecsClient), { cluster: "js", services: ["s"] });
  return cluster.clusterArn;
}

// What GitHub's amazon-ecs-deploy-task-definition does with a definition that was described into a file.
async function deploy(cluster, service) {
  const include = ["TAGS"];
  const described = await ecsClient.send(new ecs.DescribeTaskDefinitionCommand({ taskDefinition: "js", include }));
  const {
    compatibilities, taskDefinitionArn, requiresAttributes, revision, status, registeredAt, registeredBy, ...file
  } = JSON.parse(JSON.stringify(described.taskDefinition));
  assert.equal(file.containerDefinitions[0].environment[0].value, "s3cret-value");
  const again = await ecsClient.send(new ecs.RegisterTaskDefinitionCommand({ ...file, tags: described.tags }));
  const taskDefinition = again.taskDefinition.taskDefinitionArn;
  assert.equal(taskDefinition, taskDefinitionArn.replace(`:${revision}`, `:${revision + 1}`));
  assert.deepEqual(again.taskDefinition.containerDefinitions, described.taskDefinition.containerDefinitions);
  const nothing = { enableECSManagedTags: null, propagateTags: null, volumeConfigurations: undefined };
  const update = { cluster, service, taskDefinition, forceNewDeployment: false, ...nothing };
  await ecsClient.send(new ecs.UpdateServiceCommand(update));
  await ecs.waitUntilServicesStable(waiting(ecsClient), { cluster, services: [service] });
  const now = await ecsClient.send(new ecs.DescribeServicesCommand({ cluster, services: [service] }));
  assert.equal(now.services[0].taskDefinition, taskDefinition);
  assert.equal(now.services[0].deployments.length, 1);
}

async function groups() {
  await logsClient.send(new logs.CreateLogGroupCommand({ logGroupName: "js", tags: { life: "js" } }));
  await fails(
    logs.ResourceAlreadyExistsException,
    logsClient.send(new logs.CreateLogGroupCommand({ logGroupName: "js" })),
  );
  await logsClient.send(new logs.CreateLogStreamCommand({ logGroupName: "js", logStreamName: "s" }));
  const logEvents = Array.from({ length: 30 }, (_, n) => ({ timestamp: Date.now(), message: `line ${n % 2}` }));
  await logsClient.send(new logs.PutLogEventsCommand({ logGroupName: "js", logStreamName: "s", logEvents }));
  const question = { logGroupName: "js", filterPattern: '"line 1"' };
  const pages = logs.paginateFilterLogEvents({ client: logsClient, pageSize: 4 }, question);
  assert.equal((await all(pages, "events")).length, 15);
  await follow();
}

// A stream of events: its begin, and what is written after that. The host name is the endpoint's, without `stream-`.
async function follow() {
  const client = new logs.CloudWatchLogsClient({ ...config, disableHostPrefix: true });
  const { logGroups } = await client.send(new logs.DescribeLogGroupsCommand({ logGroupNamePrefix: "js" }));
  const logGroupIdentifiers = [logGroups[0].logGroupArn];
  const { responseStream } = await client.send(new logs.StartLiveTailCommand({ logGroupIdentifiers }));
  let session;
  for await (const { sessionStart, sessionUpdate } of responseStream) {
    if (!session) {
      session = sessionStart;
      assert.deepEqual(session.logGroupIdentifiers, logGroupIdentifiers);
      const logEvents = [{ timestamp: Date.now(), message: "live" }];
      await logsClient.send(new logs.PutLogEventsCommand({ logGroupName: "js", logStreamName: "s", logEvents }));
    } else if (sessionUpdate.sessionResults.length > 0) {
      assert.equal(sessionUpdate.sessionResults[0].message, "live");
      // Whoever only stops reading keeps the connection, and with it the session.
      return client.destroy();
    }
  }
  assert.fail("the stream ended");
}

async function roles() {
  const trust = { Effect: "Allow", Principal: { AWS: "000000000000" }, Action: "sts:AssumeRole" };
  const document = JSON.stringify({ Version: "2012-10-17", Statement: [trust] });
  const exists = iam.waitUntilRoleExists(waiting(iamClient), { RoleName: "js" });
  const role = { RoleName: "js", AssumeRolePolicyDocument: document };
  const { Role } = await iamClient.send(new iam.CreateRoleCommand(role));
  assert.equal(Role.CreateDate.getMilliseconds(), 0, "IAM tells whole seconds");
  assert.equal((await exists).state, "SUCCESS");
  await fails(iam.EntityAlreadyExistsException, iamClient.send(new iam.CreateRoleCommand(role)));
  const statement = { Effect: "Allow", Action: "ecs:ListClusters", Resource: "*" };
  const policy = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  await iamClient.send(new iam.PutRolePolicyCommand({ RoleName: "js", PolicyName: "p", PolicyDocument: policy }));
  const params = { RoleArn: Role.Arn, RoleSessionName: "js" };
  const credentials = fromTemporaryCredentials({ params, clientConfig: config });
  const session = new ecs.ECSClient({ ...config, credentials });
  assert.ok((await session.send(new ecs.ListClustersCommand({}))).clusterArns.length > 0);
  await fails(ecs.AccessDeniedException, session.send(new ecs.CreateClusterCommand({})));
}

// An hour ahead: the first answer's Date puts it right, and the call is sent again.
async function clocks() {
  const now = Date.now;
  const client = new ecs.ECSClient({ ...config, maxAttempts: 3 });
  Date.now = () => now() + 3_600_000;
  try {
    const { $metadata } = await client.send(new ecs.ListClustersCommand({}));
    assert.equal($metadata.attempts, 2);
  } finally {
    Date.now = now;
  }
}

async function tags(cluster) {
  const group = `arn:aws:logs:${process.env.AWS_REGION}:000000000000:log-group:js`;
  const missing = cluster.replace(/js$/, "none");
  const { FailedResourcesMap } = await taggingClient.send(
    new tagging.TagResourcesCommand({ ResourceARNList: [cluster, group, missing], Tags: { both: "1" } }),
  );
  assert.deepEqual(Object.keys(FailedResourcesMap), [missing]);
  const found = tagging.paginateGetResources(
    { client: taggingClient, pageSize: 1 },
    { TagFilters: [{ Key: "both", Values: ["1"] }] },
  );
  const arns = (await all(found, "ResourceTagMappingList")).map((resource) => resource.ResourceARN);
  assert.deepEqual(arns, [cluster, group]);
  const bad = new tagging.TagResourcesCommand({ ResourceARNList: ["js"], Tags: { a: "b" } });
  await fails(tagging.InvalidParameterException, taggingClient.send(bad));
  const none = new elb.DescribeLoadBalancersCommand({ Names: ["none"] });
  await fails(elb.LoadBalancerNotFoundException, elbClient.send(none), "LoadBalancerNotFoundException");
}

async function records() {
  const pages = trail.paginateLookupEvents({ client: trailClient, pageSize: 50 }, {});
  const events = (await all(pages, "Events")).map((event) => JSON.parse(event.CloudTrailEvent));
  const of = (name) => events.find((event) => event.eventName === name && !event.errorCode);
  assert.equal(of("CreateCluster").responseElements.cluster.clusterName, "js");
  assert.equal(of("CreateRole").requestParameters.roleName, "js");
  assert.equal(of("CreateRole").responseElements.role.roleName, "js");
  assert.equal(of("ListClusters").responseElements, null);
  const session = of("AssumeRole").responseElements.credentials;
  assert.match(session.accessKeyId, /^ASIA/);
  assert.equal(session.secretAccessKey, "HIDDEN_DUE_TO_SECURITY_REASONS");
  assert.equal(session.sessionToken, "HIDDEN_DUE_TO_SECURITY_REASONS");
  assert.ok(!JSON.stringify(events).includes("s3cret-value"));
  const other = new trail.LookupEventsCommand({ NextToken: "none" });
  await fails(trail.InvalidNextTokenException, trailClient.send(other));
}

const cluster = await clusters();
await groups();
await roles();
await clocks();
await tags(cluster);
await records();
await ecsClient.send(new ecs.DeleteClusterCommand({ cluster: "js" }));
await logsClient.send(new logs.DeleteLogGroupCommand({ logGroupName: "js" }));
