//! Goal: an app that was deployed without further ado is as safe as any app bears, `honmaru check` says what is left, and
//! following its words to the letter makes that pass. What somebody has changed stays changed.
//! Method: two directories, deployed by the command; the aws CLI and boto3 look at what it made; commands as printed.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, root, text};
use honmaru_tests::scratch::Scratch;
use honmaru_tests::tls::{issued, self_signed_for};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const CURL_TIMEOUT: Duration = Duration::from_secs(60);
/// What a default deploy sets by itself, as it says it.
const SET: [&str; 4] = [
    "set: logs are kept for 365 days",
    "set: headers whose names",
    "set: tags of images cannot be moved, apart from `latest`",
    "set: the newest 30 images are kept",
];
/// An app that writes to its root, and shows the headers that it gets.
const WRITER: &str = "FROM localhost/honmaru/busybox:latest\nCOPY env /env\nEXPOSE 8080\nCMD [\"/bin/sh\", \"-c\", \"mkdir -p \
                      /var/www/cgi-bin && cp /env /var/www/cgi-bin/ && echo ok > /var/www/health && exec httpd -f -p 8080 -h \
                      /var/www\"]\n";
const ENV: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nenv\n";

#[test]
fn deploy() -> Result<()> {
    let cloud = Cloud::start()?;
    let scratch = Scratch::new("deploy")?;
    let hello = root().join("examples/hello").display().to_string();
    let writer = writer(scratch.path())?;
    phase("an app that writes to its root, as it is", || {
        let said = ok(&cloud, &["deploy", &writer, "--count", "1"])?;
        for wanted in SET {
            ensure!(said.contains(wanted), "no `{wanted}`: {said}");
        }
        ensure!(
            failing(&cloud, "writer", &[])? == ids(&["I-09", "N-05", "N-11", "T-07"]),
            "{:?}",
            failing(&cloud, "writer", &[])?
        );
        Ok(())
    })?;
    settings(&cloud, "writer", &["hurry"])?;
    phase("odd headers are dropped", || odd_headers(&cloud, &writer))?;
    phase(
        "a version that cannot live within its walls is taken back, and its walls too",
        || refused(&cloud, &writer),
    )?;
    phase(
        "the default leaves three open, and each is closed by the words of check",
        || {
            let said = ok(&cloud, &["deploy", &hello, "--count", "1"])?;
            ensure!(SET.iter().all(|wanted| said.contains(wanted)), "{said}");
            let open = failing(&cloud, "hello", &[])?;
            ensure!(open == ids(&["N-05", "N-11", "T-07"]), "{open:?}");
            settings(&cloud, "hello", &["hurry"])?;
            ensure!(reaches(&cloud, "hello")?, "there is no way out from the first");
            follow(&cloud, &hello, scratch.path())
        },
    )?;
    phase("what is not said again stays; no image that is needed expires", || {
        images(&cloud)
    })?;
    phase(
        "what somebody has changed stays, unless the file says otherwise",
        || changed(&cloud, &writer),
    )?;
    phase(
        "an app of an earlier version gets the defaults with the next deploy",
        || earlier(&cloud, &writer),
    )?;
    phase("who may not set defaults is warned, and deploys", || {
        without_rights(&cloud, &writer, scratch.path())
    })?;
    cloud.finish()
}

fn writer(dir: &Path) -> Result<String> {
    let dir = dir.join("writer");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("Dockerfile"), WRITER)?;
    let env = dir.join("env");
    std::fs::write(&env, ENV)?;
    std::fs::set_permissions(&env, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(dir.display().to_string())
}

fn ids(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|id| (*id).to_owned()).collect()
}

/// Runs a command that must succeed, and returns all that it says.
fn ok(cloud: &Cloud, arguments: &[&str]) -> Result<String> {
    let output = cloud.honmaru(arguments)?;
    let said = format!("{}{}", text(&output.stderr), text(&output.stdout));
    ensure!(
        output.status.success(),
        "honmaru {} failed:\n{said}",
        arguments.join(" ")
    );
    Ok(said)
}

fn rows(cloud: &Cloud, app: &str) -> Result<Vec<Value>> {
    let output = cloud.honmaru(&["check", app, "--output", "json", "--fail-on", "never"])?;
    let tree: Value = serde_json::from_slice(&output.stdout).with_context(|| text(&output.stderr))?;
    Ok(tree["controls"].as_array().cloned().unwrap_or_default())
}

/// The ids of what fails, apart from what this host cannot have.
fn failing(cloud: &Cloud, app: &str, apart: &[&str]) -> Result<BTreeSet<String>> {
    let rows = rows(cloud, app)?;
    let failed = rows.iter().filter(|row| row["status"] == "fail");
    let id = |row: &Value| row["id"].as_str().unwrap_or_default().to_owned();
    Ok(failed
        .map(id)
        .filter(|id| id != "T-05" && !apart.contains(&id.as_str()))
        .collect())
}

/// The headers that the app gets, as CGI names them.
fn headers(cloud: &Cloud) -> Result<String> {
    let url = format!("http://127.0.0.1:{}/cgi-bin/env", cloud.http_port);
    let mut curl = cloud.command("curl")?;
    curl.args([
        "-sS",
        "-H",
        "Host: writer.localhost",
        "-H",
        "X-Fine: 1",
        "-H",
        "X_Odd: 1",
    ]);
    let output = bounded(curl.arg(url), CURL_TIMEOUT)?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    Ok(text(&output.stdout))
}

fn odd_headers(cloud: &Cloud, writer: &str) -> Result<()> {
    let seen = headers(cloud)?;
    ensure!(seen.contains("HTTP_X_FINE=1") && !seen.contains("X_ODD"), "{seen}");
    ok(cloud, &["deploy", writer, "--odd-headers"])?;
    let seen = headers(cloud)?;
    ensure!(
        seen.contains("HTTP_X_FINE=1") && seen.contains("HTTP_X_ODD=1"),
        "{seen}"
    );
    ensure!(failing(cloud, "writer", &[])?.contains("N-07"), "N-07 does not see it");
    ok(cloud, &["deploy", writer, "--odd-headers=false"])?;
    ensure!(!headers(cloud)?.contains("X_ODD"), "they are passed on still");
    Ok(())
}

fn egress(cloud: &Cloud, app: &str) -> Result<Value> {
    let group = format!("{app}-task");
    let answer = cloud.aws(&["ec2", "describe-security-groups", "--group-names", &group])?;
    Ok(answer["SecurityGroups"][0]["IpPermissionsEgress"].clone())
}

fn refused(cloud: &Cloud, writer: &str) -> Result<()> {
    let before = egress(cloud, "writer")?;
    let output = cloud.honmaru(&["deploy", writer, "--read-only", "--egress", "none"])?;
    let said = text(&output.stderr);
    for wanted in [
        "Read-only file system",
        "keeps serving with 1 task",
        "`--writable PATH`",
    ] {
        ensure!(said.contains(wanted), "no `{wanted}`: {said}");
    }
    ensure!(output.status.code() == Some(1), "{said}");
    ensure!(
        egress(cloud, "writer")? == before,
        "the way out of the old version is closed"
    );
    let walls = ["--read-only", "--writable", "/var/www:8", "--egress", "0.0.0.0/0:443"];
    ok(cloud, &[&["deploy", writer], walls.as_slice()].concat())?;
    let failed = failing(cloud, "writer", &["I-09"])?;
    ensure!(failed == ids(&["N-05"]), "{failed:?}");
    Ok(())
}

/// Whether a task of the app reaches a load balancer by its address.
fn reaches(cloud: &Cloud, app: &str) -> Result<bool> {
    let filter = "Name=description,Values=ELB app/writer/*";
    let answer = cloud.aws(&["ec2", "describe-network-interfaces", "--filters", filter])?;
    let address = answer["NetworkInterfaces"][0]["PrivateIpAddress"].as_str();
    let address = address.context("the load balancer's address")?;
    let ask = format!("(printf 'GET /health HTTP/1.0\\r\\n\\r\\n'; sleep 1) | nc -w 2 {address} 80");
    let output = cloud.honmaru(&["exec", app, "--", "sh", "-c", &ask])?;
    // The web ACL may refuse it: an answer it is.
    Ok(text(&output.stdout).contains("HTTP/1."))
}

/// Closes what is open by the commands of check: with the directory's name, and that of a certificate's files.
fn follow(cloud: &Cloud, hello: &str, dir: &Path) -> Result<()> {
    let (cert, key) = (dir.join("fullchain.pem"), dir.join("key.pem"));
    let authority = (dir.join("authority.pem"), dir.join("authority.key"));
    self_signed_for("Test", "DNS:authority.example", &authority.0, &authority.1)?;
    issued((&authority.0, &authority.1), "DNS:hello.localhost", 90, &cert, &key)?;
    let open = rows(cloud, "hello")?;
    for id in ["T-07", "N-11", "N-05"] {
        let row = open.iter().find(|row| row["id"] == id && row["status"] == "fail");
        let command = row.and_then(|row| row["fix"]["command"].as_str());
        let command = command.with_context(|| format!("{id} has no command"))?;
        let words = command.strip_prefix("honmaru ").context("a command of honmaru")?;
        let mut shell = cloud.command("sh")?;
        shell.env("HONMARU", cloud.binary()).current_dir(dir);
        for name in ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            shell.env_remove(name);
        }
        let line = format!("\"$HONMARU\" {}", words.replacen("DIR", hello, 1));
        let output = bounded(shell.args(["-c", &line]), Duration::from_secs(120))?;
        ensure!(output.status.success(), "{line}: {}", text(&output.stderr));
        ensure!(!failing(cloud, "hello", &[])?.contains(id), "{id} fails still");
    }
    let failed = failing(cloud, "hello", &[])?;
    ensure!(failed.is_empty(), "{failed:?}");
    walled(cloud)
}

/// The walls of `hello` as AWS's answers and the container show them.
fn walled(cloud: &Cloud) -> Result<()> {
    ensure!(egress(cloud, "hello")? == json!([]), "{}", egress(cloud, "hello")?);
    ensure!(!reaches(cloud, "hello")?, "it reaches others");
    let service = cloud.aws(&["ecs", "describe-services", "--services", "hello"])?;
    let definition = service["services"][0]["taskDefinition"]
        .as_str()
        .context("a definition")?;
    let described = cloud.aws(&["ecs", "describe-task-definition", "--task-definition", definition])?;
    let container = &described["taskDefinition"]["containerDefinitions"][0];
    ensure!(
        container["readonlyRootFilesystem"] == true
            && container["linuxParameters"]["tmpfs"][0]["containerPath"] == "/tmp",
        "{container}"
    );
    let said = cloud.honmaru(&[
        "exec",
        "hello",
        "--",
        "sh",
        "-c",
        "touch /tmp/x && echo tmp; touch /app/x",
    ])?;
    let (out, err) = (text(&said.stdout), text(&said.stderr));
    ensure!(
        out.contains("tmp") && err.contains("Read-only file system"),
        "{out}{err}"
    );
    let explained = ok(cloud, &["explain", "hello"])?;
    for wanted in ["is read-only, apart from /tmp", "may open connections to nobody"] {
        ensure!(explained.contains(wanted), "no `{wanted}`: {explained}");
    }
    Ok(())
}

/// The digests of the images that the service's tasks run.
fn running(cloud: &Cloud) -> Result<BTreeSet<String>> {
    let tasks = cloud.aws(&["ecs", "list-tasks", "--service-name", "hello"])?;
    let mut arguments = vec!["ecs", "describe-tasks", "--tasks"];
    arguments.extend(
        tasks["taskArns"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str),
    );
    let tasks = cloud.aws(&arguments)?;
    let containers = tasks["tasks"].as_array().into_iter().flatten();
    let digest = |task: &Value| {
        task["containers"][0]["imageDigest"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    Ok(containers.map(digest).collect())
}

fn images(cloud: &Cloud) -> Result<()> {
    let scratch = Scratch::new("deploy-images")?;
    let dir = scratch.path().join("hello");
    std::fs::create_dir_all(dir.join("www"))?;
    let example = root().join("examples/hello");
    for file in ["Dockerfile", "start.sh", "www/index.html"] {
        std::fs::copy(example.join(file), dir.join(file))?;
    }
    let first = running(cloud)?;
    // What the image declares as a volume is there, with what it has, and is writable within a read-only root.
    let file = dir.join("Dockerfile");
    let volumes = "COPY --chown=65534 www /app/data\nVOLUME /app/data /app/new\nEXPOSE";
    std::fs::write(&file, std::fs::read_to_string(&file)?.replacen("EXPOSE", volumes, 1))?;
    std::fs::write(dir.join("www/other.html"), "another image")?;
    // What is not said again stays: read-only, and no way out.
    let said = ok(cloud, &["deploy", &dir.display().to_string()])?;
    ensure!(!said.contains("set: "), "something was set again: {said}");
    ensure!(failing(cloud, "hello", &[])?.is_empty(), "something is open again");
    walled(cloud)?;
    let ask = "ls /app/data/other.html && touch /app/data/x && ls -d /app/new && mount | grep -c ' /app/'";
    let seen = ok(cloud, &["exec", "hello", "--", "sh", "-c", ask])?;
    ensure!(seen.contains("/app/new\n2"), "{seen}");
    let second = running(cloud)?;
    ensure!(first.len() == 1 && first.is_disjoint(&second), "{first:?} {second:?}");
    let digests = |answer: &Value, member: &str| -> BTreeSet<String> {
        let list = answer[member].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let after = cloud.python("expire.py", &["hello", "40"])?;
    let (expired, pushed) = (digests(&after, "expired"), digests(&after, "pushed"));
    // Of 42 images the two of the app count among the newest 30 or not: they stay either way.
    ensure!(expired.len() == 10 && expired.is_subset(&pushed), "{expired:?}");
    ok(cloud, &["rollback", "hello"])?;
    // Whoever lets no tag move at all is told which one `deploy` moves.
    let mut freeze = vec!["ecr", "put-image-tag-mutability", "--repository-name", "hello"];
    freeze.extend(["--image-tag-mutability", "IMMUTABLE"]);
    cloud.aws(&freeze)?;
    std::fs::write(dir.join("www/other.html"), "a third image")?;
    let output = cloud.honmaru(&["deploy", &dir.display().to_string()])?;
    let said = text(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && said.contains("lets no tag be moved") && said.len() < 1_500,
        "{said}"
    );
    ensure!(running(cloud)? == first, "the rollback has not brought the first image");
    let after = cloud.python("expire.py", &["hello", "1"])?;
    let expired = digests(&after, "expired");
    ensure!(
        expired.is_disjoint(&first) && expired.is_disjoint(&second),
        "{expired:?}"
    );
    Ok(())
}

/// What the repository, the load balancer and the log group of an app are set to, after a change.
fn settings(cloud: &Cloud, app: &str, change: &[&str]) -> Result<Value> {
    cloud.python("defaults.py", &[&[app], change].concat())
}

fn changed(cloud: &Cloud, writer: &str) -> Result<()> {
    let loose = settings(cloud, "writer", &["loosen"])?;
    let said = ok(cloud, &["deploy", writer])?;
    let after = settings(cloud, "writer", &[])?;
    ensure!(after == loose && !said.contains("set: "), "{after} {said}");
    let file = Path::new(writer).join("honmaru.toml");
    std::fs::write(&file, "odd-headers = false\nlog-days = 90\negress = \"none\"\n")?;
    let said = ok(cloud, &["deploy", writer])?;
    std::fs::remove_file(file)?;
    for wanted in [
        "logs are kept for 90 days, no longer for 30",
        "may open connections to nobody",
    ] {
        ensure!(said.contains(wanted), "no `{wanted}`: {said}");
    }
    let after = settings(cloud, "writer", &[])?;
    ensure!(
        after == json!({ "tags": "MUTABLE", "rules": 0, "drops": "true", "days": 90 }),
        "{after}"
    );
    Ok(())
}

/// Whoever has the rights that an earlier `deploy` needed, and no more, deploys still.
fn without_rights(cloud: &Cloud, writer: &str, cache: &Path) -> Result<()> {
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Resource": "*", "Action": ["ecr:ListTagsForResource", "ecr:PutLifecyclePolicy",
          "ecr:BatchDeleteImage", "ecr:DescribeImages", "elasticloadbalancing:DescribeTags", "logs:ListTagsForResource"] },
    ] });
    cloud.aws(&["iam", "create-user", "--user-name", "ci"])?;
    let mut put = vec![
        "iam",
        "put-user-policy",
        "--user-name",
        "ci",
        "--policy-name",
        "deploys",
    ];
    let policy = policy.to_string();
    put.extend(["--policy-document", &policy]);
    cloud.aws(&put)?;
    let key = cloud.aws(&["iam", "create-access-key", "--user-name", "ci"])?;
    let key = |name: &str| key["AccessKey"][name].as_str().unwrap_or_default().to_owned();
    let before = settings(cloud, "writer", &[])?;
    let deploy = |options: &[&str]| {
        let mut command = cloud.command(cloud.binary())?;
        command.env("AWS_ACCESS_KEY_ID", key("AccessKeyId"));
        command.env("AWS_SECRET_ACCESS_KEY", key("SecretAccessKey"));
        // Not root's keys, which the state directory has.
        command
            .env("HONMARU_STATE", "/nonexistent")
            .env("XDG_CACHE_HOME", cache);
        command.args(["deploy", writer]);
        bounded(command.args(options), Duration::from_secs(120))
    };
    let output = deploy(&[])?;
    let said = text(&output.stderr);
    ensure!(
        output.status.success() && said.matches("warning: ").count() >= 3,
        "{said}"
    );
    ensure!(
        settings(cloud, "writer", &[])? == before,
        "something was changed: {said}"
    );
    let output = deploy(&["--odd-headers"])?;
    let said = text(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && said.contains("DescribeTags: AccessDenied"),
        "{said}"
    );
    Ok(())
}

fn earlier(cloud: &Cloud, writer: &str) -> Result<()> {
    settings(cloud, "writer", &["loosen", "forget"])?;
    let said = ok(cloud, &["deploy", writer])?;
    ensure!(SET.iter().all(|wanted| said.contains(wanted)), "{said}");
    let after = settings(cloud, "writer", &[])?;
    ensure!(
        after == json!({ "tags": "IMMUTABLE_WITH_EXCLUSION", "rules": 3, "drops": "true", "days": 365 }),
        "{after}"
    );
    let again = ok(cloud, &["deploy", writer])?;
    ensure!(
        !again.contains("set: "),
        "the second deploy sets something again: {again}"
    );
    Ok(())
}
