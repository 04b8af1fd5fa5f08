//! Goal: a person with a directory gets a service with a few commands, and a deploy that cannot succeed names its cause
//! soon, while the old version serves on.
//! Method: the commands of `honmaru` without a terminal, on `examples/hello` and on broken variants of it.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, phase, root, text, wait_until};
use honmaru_tests::load::Load;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

const HOST: &str = "hello.localhost";
/// How long what goes on may stand still.
const GOES_ON: Duration = Duration::from_secs(60);
/// How soon a deploy whose cause is known must have failed: the build included.
const SOON: Duration = Duration::from_secs(90);

#[test]
fn cli() -> Result<()> {
    let cloud = Cloud::start()?;
    let apps = Apps::new()?;
    let hello = root().join("examples/hello").display().to_string();
    phase("deploy", || {
        let said = ok(&cloud, &["deploy", &hello, "--count", "2"])?;
        ensure!(said.contains("http://hello.localhost:"), "{said}");
        answering(&cloud, 2)
    })?;
    phase("deploy again: nothing to do", || {
        let before = tasks(&cloud)?;
        ok(&cloud, &["deploy", &hello])?;
        ensure!(tasks(&cloud)? == before, "the tasks changed");
        Ok(())
    })?;
    phase("ps, explain, env", || looks(&cloud))?;
    phase("logs", || logs(&cloud))?;
    phase("exec", || {
        let said = ok(&cloud, &["exec", "hello", "--", "sh", "-c", "echo port=$PORT; id -u"])?;
        ensure!(said.contains("65534"), "{said}");
        let failed = cloud.honmaru(&["exec", "hello", "--", "sh", "-c", "exit 9"])?;
        ensure!(failed.status.code() == Some(9), "the exit code is {:?}", failed.status);
        pipes(&cloud)
    })?;
    phase("an SQL injection is answered 403", || {
        let (status, _) = cloud.http(cloud.http_port, HOST, "/?id=1%27%20OR%20%271%27%3D%271")?;
        ensure!(status == 403, "the status is {status}");
        Ok(())
    })?;
    phase("scale", || {
        ok(&cloud, &["scale", "hello", "3"])?;
        answering(&cloud, 3)?;
        ok(&cloud, &["scale", "hello", "2"])?;
        answering(&cloud, 2)
    })?;
    phase("a new version under load, and back", || {
        let load = Load::start(cloud.http_port, HOST);
        load.wait_for(20, GOES_ON)?;
        ok(&cloud, &["deploy", &hello, "--env", "GREETING=Ciao"])?;
        greets(&cloud, "Ciao")?;
        ok(&cloud, &["rollback", "hello"])?;
        greets(&cloud, "Hello")?;
        load.stop().nothing_failed()
    })?;
    phase("a version that exits: the cause is named, the old one serves", || {
        let load = Load::start(cloud.http_port, HOST);
        let dir = apps.app("hello", "CMD [\"/bin/sh\", \"-c\", \"echo no database >&2; exit 3\"]")?;
        fails(
            &cloud,
            &["deploy", &dir, "--name", "hello"],
            &["exit code 3", "no database", "hint:"],
        )?;
        load.wait_for(20, GOES_ON)?;
        load.stop().nothing_failed()?;
        greets(&cloud, "Hello")
    })?;
    phase(
        "four apps at once: three that cannot serve, and a site without /health",
        || {
            std::thread::scope(|scope| {
                let all = [
                    scope.spawn(|| deaf(&cloud, &apps)),
                    scope.spawn(|| shy(&cloud, &apps)),
                    scope.spawn(|| sick(&cloud, &apps)),
                    scope.spawn(|| site(&cloud, &apps)),
                ];
                for one in all {
                    one.join().map_err(|_| anyhow::anyhow!("a deploy panicked"))??;
                }
                Ok(())
            })
        },
    )?;
    phase("a program that is not there", || {
        fails(
            &cloud,
            &["deploy", &apps.app("none", "CMD [\"/nope\"]")?],
            &["/nope", "hint:"],
        )
    })?;
    phase(
        "a directory without a Dockerfile, a base image that cannot be had",
        || {
            let empty = apps.0.join("empty");
            std::fs::create_dir_all(&empty)?;
            fails(&cloud, &["deploy", &empty.display().to_string()], &["Dockerfile"])?;
            let typo = apps.app("typo", "RUNN true")?;
            fails(&cloud, &["deploy", &typo], &["line 3", "`RUNN`", "did you mean `RUN`?"])?;
            fails(&cloud, &["deploy", &typo, "--memory", "100"], &["no task of 100 MiB"])?;
            let base = apps.0.join("base");
            std::fs::create_dir_all(&base)?;
            std::fs::write(
                base.join("Dockerfile"),
                "FROM registry.invalid/nothing:1\nCMD [\"/x\"]\n",
            )?;
            fails(
                &cloud,
                &["deploy", &base.display().to_string()],
                &["registry.invalid/nothing:1"],
            )
        },
    )?;
    phase("delete", || {
        // What a failed first deploy leaves is the person's to remove; nothing may be there either.
        std::thread::scope(|scope| {
            let cloud = &cloud;
            let delete = |app| scope.spawn(move || cloud.honmaru(&["delete", app, "--yes"]));
            let all = ["deaf", "shy", "sick", "site", "none"].map(delete);
            for one in all {
                one.join().map_err(|_| anyhow::anyhow!("a delete panicked"))??;
            }
            anyhow::Ok(())
        })?;
        ok(&cloud, &["delete", "hello", "--yes"])?;
        let clusters = cloud.aws(&["ecs", "list-tasks"])?;
        ensure!(clusters["taskArns"].as_array().is_some_and(Vec::is_empty), "{clusters}");
        let balancers = cloud.aws(&["elbv2", "describe-load-balancers"])?;
        ensure!(
            balancers["LoadBalancers"].as_array().is_some_and(Vec::is_empty),
            "{balancers}"
        );
        Ok(())
    })?;
    phase("a second `up` for the same state is refused", || {
        let state = cloud.state.display().to_string();
        let second = [
            "up",
            "--state",
            &state,
            "--listen",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
        ];
        fails(&cloud, &second, &["already runs", "hint:"])
    })?;
    phase("destroy while `up` runs leaves the host clean", || {
        cloud.finish_beside_up()
    })
}

/// A port that nobody listens on.
fn deaf(cloud: &Cloud, apps: &Apps) -> Result<()> {
    let dir = apps.app(
        "deaf",
        "CMD [\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; while :; do sleep 0.1; done\"]",
    )?;
    fails(
        cloud,
        &["deploy", &dir, "--grace", "5"],
        &["nothing listens on port 8080", "--grace", "hint:"],
    )
}

/// An app that listens for itself only, in an image that has nothing but the app: nobody can look around in it.
fn shy(cloud: &Cloud, apps: &Apps) -> Result<()> {
    let dir = apps.app(
        "shy",
        "FROM scratch\nCOPY --from=0 /bin/busybox /httpd\nEXPOSE 8080\n\
         STOPSIGNAL SIGKILL\nENTRYPOINT [\"/httpd\", \"-f\", \"-p\", \"127.0.0.1:8080\"]",
    )?;
    fails(
        cloud,
        &["deploy", &dir],
        &["listens on 127.0.0.1:8080 only", "0.0.0.0:8080"],
    )
}

/// A health check that fails.
fn sick(cloud: &Cloud, apps: &Apps) -> Result<()> {
    let serve = "CMD [\"/bin/sh\", \"-c\", \"mkdir /tmp/w; httpd -f -p 8080 -h /tmp/w & trap 'exit 0' TERM; wait\"]";
    let dir = apps.app("sick", serve)?;
    fails(
        cloud,
        &["deploy", &dir, "--health-path", "/health"],
        &["/health", "404", "hint:"],
    )
}

/// A site without /health: the front page is checked, now and the next time. It is a stage before the last one, and an
/// argument of the build says what stands on it.
fn site(cloud: &Cloud, apps: &Apps) -> Result<()> {
    let serve = "ARG TEXT=hi\nRUN mkdir /www && echo $TEXT > /www/index.html\n\
        CMD [\"/bin/sh\", \"-c\", \"httpd -f -p 8080 -h /www & trap 'exit 0' TERM; wait\"]";
    let dir = apps.app("site", &format!("{serve}\nFROM scratch AS nothing"))?;
    let file = PathBuf::from(&dir).join("Dockerfile");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replacen("busybox:latest", "busybox:latest AS site", 1))?;
    std::fs::write(PathBuf::from(&dir).join("honmaru.toml"), "[build]\ntarget = \"site\"\n")?;
    let built = ["--build-arg", "TEXT=built", "--build-arg", "OTHER=1"];
    let first = [&["deploy", &dir, "--count", "1"], built.as_slice()].concat();
    let said = ok(cloud, &first)?;
    ensure!(said.contains("nothing is at `/health`"), "{said}");
    ensure!(said.contains("no `ARG OTHER`"), "{said}");
    let (status, body) = cloud.http(cloud.http_port, "site.localhost", "/")?;
    ensure!(status == 200 && body.contains("built"), "status {status}: {body}");
    fails(
        cloud,
        &["deploy", &dir, "--target", "none"],
        &["no stage `none`", "site, nothing"],
    )?;
    let said = ok(cloud, &["deploy", &dir])?;
    // The path that was found is known by now.
    ensure!(
        said.contains("site.localhost") && !said.contains("nothing is at"),
        "{said}"
    );
    Ok(())
}

/// Directories of apps, away from the repository.
struct Apps(PathBuf);

impl Apps {
    fn new() -> Result<Self> {
        let dir = PathBuf::from(format!("/tmp/honmaru-apps-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    /// An app on the example's base with this last line.
    fn app(&self, name: &str, last: &str) -> Result<String> {
        let dir = self.0.join(name);
        std::fs::create_dir_all(&dir)?;
        let dockerfile = format!("FROM localhost/honmaru/busybox:latest\nEXPOSE 8080\n{last}\n");
        std::fs::write(dir.join("Dockerfile"), dockerfile)?;
        Ok(dir.display().to_string())
    }
}

impl Drop for Apps {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn both(output: &Output) -> String {
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

/// Runs a command that must succeed; what it said.
fn ok(cloud: &Cloud, arguments: &[&str]) -> Result<String> {
    let output = cloud.honmaru(arguments)?;
    let said = both(&output);
    ensure!(
        output.status.success(),
        "honmaru {} failed:\n{said}",
        arguments.join(" ")
    );
    ensure!(
        !said.contains('\u{1b}'),
        "there are colours without a terminal:\n{said}"
    );
    Ok(said)
}

/// Runs a command that must fail soon and say all of these.
fn fails(cloud: &Cloud, arguments: &[&str], wanted: &[&str]) -> Result<()> {
    let started = Instant::now();
    let output = cloud.honmaru(arguments)?;
    let (took, said) = (started.elapsed(), both(&output));
    let shown = arguments.join(" ");
    ensure!(!output.status.success(), "honmaru {shown} did not fail:\n{said}");
    for wanted in wanted {
        ensure!(
            said.contains(wanted),
            "honmaru {shown} does not say `{wanted}`:\n{said}"
        );
    }
    ensure!(
        took < SOON,
        "honmaru {shown} took {:.1} s to fail:\n{said}",
        took.as_secs_f64()
    );
    println!("     failed after {:.1} s", took.as_secs_f64());
    Ok(())
}

/// So many different tasks answer, and no further one.
fn answering(cloud: &Cloud, count: usize) -> Result<()> {
    wait_until(&format!("{count} tasks answer"), GOES_ON, || {
        // Anew each time: a task that is going may still answer once.
        let mut seen = BTreeSet::new();
        for _ in 0..5 * count {
            let (status, body) = cloud.http(cloud.http_port, HOST, "/")?;
            ensure!(status == 200, "status {status}: {body}");
            seen.insert(body);
        }
        ensure!(seen.len() == count, "{} tasks answer", seen.len());
        Ok(())
    })
}

fn greets(cloud: &Cloud, greeting: &str) -> Result<()> {
    wait_until(&format!("the page says {greeting}"), GOES_ON, || {
        let (status, body) = cloud.http(cloud.http_port, HOST, "/")?;
        ensure!(status == 200 && body.contains(greeting), "status {status}: {body}");
        Ok(())
    })
}

/// The ids of the tasks that `ps` shows.
fn tasks(cloud: &Cloud) -> Result<BTreeSet<String>> {
    let listed = cloud.aws(&["ecs", "list-tasks", "--service-name", "hello"])?;
    let arns = listed["taskArns"].as_array().context("taskArns")?;
    Ok(arns.iter().map(Value::to_string).collect())
}

fn looks(cloud: &Cloud) -> Result<()> {
    let shown = ok(cloud, &["ps"])?;
    ensure!(shown.contains("hello") && shown.contains('2'), "{shown}");
    let json = cloud.honmaru(&["ps", "--output", "json"])?;
    let json: Value = serde_json::from_slice(&json.stdout).context("`ps --output json` prints no JSON")?;
    ensure!(json.to_string().contains("hello"), "{json}");
    let explained = ok(cloud, &["explain", "hello"])?;
    for wanted in ["2 of 2 tasks run", "load balancer `hello`", "web ACL"] {
        ensure!(
            explained.contains(wanted),
            "explain does not say `{wanted}`:\n{explained}"
        );
    }
    let env = ok(cloud, &["env"])?;
    ensure!(
        env.contains(&format!("export AWS_ENDPOINT_URL={}", cloud.endpoint())),
        "{env}"
    );
    // What it prints works in a shell with nothing else.
    let binary = std::env::var("HONMARU_BINARY").ok();
    let binary = binary.unwrap_or_else(|| root().join("target/debug/honmaru").display().to_string());
    let line = format!("eval \"$({binary} env)\" && aws sts get-caller-identity --output json");
    let mut shell = cloud.command("sh")?;
    for name in [
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
    ] {
        shell.env_remove(name);
    }
    let output = honmaru_tests::cloud::bounded(shell.args(["-c", &line]), GOES_ON)?;
    ensure!(output.status.success(), "{}", both(&output));
    Ok(())
}

/// Without a terminal a command has pipes: input with an end, two outputs, bytes as they are.
fn pipes(cloud: &Cloud) -> Result<()> {
    let input: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = cloud.state.with_extension("input");
    std::fs::write(&file, &input)?;
    let binary = std::env::var("HONMARU_BINARY").ok();
    let binary = binary.unwrap_or_else(|| root().join("target/debug/honmaru").display().to_string());
    let line = format!(
        "{binary} exec hello -- sh -c 'echo said >&2; cat; exit 4' < {}",
        file.display()
    );
    let output = honmaru_tests::cloud::bounded(cloud.command("sh")?.args(["-c", &line]), GOES_ON);
    std::fs::remove_file(&file)?;
    let output = output?;
    ensure!(output.status.code() == Some(4), "the exit code is {:?}", output.status);
    ensure!(text(&output.stderr) == "said", "{}", text(&output.stderr));
    ensure!(output.stdout == input, "{} bytes came back", output.stdout.len());
    let missing = cloud.honmaru(&["exec", "hello", "nosuchprogram"])?;
    ensure!(
        missing.status.code() == Some(127),
        "the exit code is {:?}",
        missing.status
    );
    Ok(())
}

fn logs(cloud: &Cloud) -> Result<()> {
    let mark = format!("/mark-{}", std::process::id());
    cloud.http(cloud.http_port, HOST, &mark)?;
    wait_until("the request is in the log", GOES_ON, || {
        let said = ok(cloud, &["logs", "hello"])?;
        ensure!(said.contains(&mark), "{said}");
        Ok(())
    })?;
    let missing = cloud.honmaru(&["logs", "nothing"])?;
    ensure!(!missing.status.success(), "logs of an app that is not there succeeded");
    ensure!(both(&missing).contains("nothing"), "{}", both(&missing));
    Ok(())
}
