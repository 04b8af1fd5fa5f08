//! Goal: what `honmaru check` says is true: of the platform's own part, which a look at /proc by other means confirms, and of
//! a service that does everything wrong; and what it says to do repairs it.
//! Method: an app by `deploy`, a bad service by boto3, a shell script that reads /proc by itself, commands as printed.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, root, text};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// How long a command may take.
const SOON: Duration = Duration::from_secs(60);

/// Reads /proc of every process of the cloud's control groups by itself: a line `<control> <pass|fail>` for each.
const LOOK: &str = r#"
    look() { if [ "$2" = "$3" ]; then echo "$1 pass"; else echo "$1 fail: $2"; fi; }
    # Group by group: where controllers share a hierarchy a process is there twice.
    pids=$(find /sys/fs/cgroup -path "*honmaru-$1/*/c-*" -name cgroup.procs -exec cat {} + | sort -un)
    for pid in $pids; do
        of() { sed -n "s/^$1:[[:space:]]*//p" /proc/$pid/status; }
        echo "pid $pid"
        look T-03 "$(of NoNewPrivs)" 1
        look T-04 "$(of Seccomp)" 2
        look T-06 "$(awk '$2 == 0' /proc/$pid/uid_map)" ""
        for kind in ipc mnt net pid user uts; do
            [ "$(readlink /proc/$pid/ns/$kind)" != "$(readlink /proc/$$/ns/$kind)" ] || echo "T-08 fail: $kind"
        done
        look T-15 "$(grep -c ' shared:' /proc/$pid/mountinfo)" 0
        look N-04 "$(nsenter -t $pid -n curl -s -o /dev/null -m 0.5 -w '%{http_code}' http://169.254.169.254/)" 000
        look T-10 "$(find /proc/$pid/root/dev -maxdepth 1 -type b | wc -l)" 0
        # Version 1 of the control groups has a line for each controller, version 2 one for all.
        at() { sed -n "s/^[0-9]*:$1://p" /proc/$pid/cgroup; }
        if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
            here=/sys/fs/cgroup$(at ""); task=${here%/*}
            look T-13 "$(cat $task/pids.max | tr -d 0-9)" ""
            look T-11 "$(cat $task/memory.max)" 536870912
        else
            here=/sys/fs/cgroup/pids$(at pids); look T-13 "$(cat ${here%/*}/pids.max | tr -d 0-9)" ""
            here=/sys/fs/cgroup/memory$(at memory); look T-11 "$(cat ${here%/*}/memory.limit_in_bytes)" 536870912
        fi
    done
"#;

#[test]
fn check() -> Result<()> {
    let cloud = Cloud::start()?;
    phase("an app and a bad service", || {
        let hello = root().join("examples/hello").display().to_string();
        let output = cloud.honmaru(&["deploy", &hello, "--count", "1"])?;
        ensure!(output.status.success(), "{}", text(&output.stderr));
        cloud.python("check.py", &[])?;
        Ok(())
    })?;
    let first = phase("what is wrong is named, and ends the command with 1", || {
        let first = Checked::of(&cloud, &[])?;
        ensure!(first.code == Some(1), "the exit code is {:?}", first.code);
        bad_is_named(&first)?;
        Ok(first)
    })?;
    phase("the platform's part is what /proc shows", || {
        as_proc_shows(&cloud, &first)
    })?;
    phase("the commands repair it", || repair(&cloud, &first))?;
    phase("one app, other outputs, without root", || {
        let one = Checked::of(&cloud, &["hello"])?;
        ensure!(one.code == Some(0), "the exit code is {:?}: {}", one.code, one.tree);
        ensure!(
            one.status("T-03", "hello") == "pass" && !one.tree.to_string().contains("\"bad\""),
            "{}",
            one.tree
        );
        let strict = Checked::of(&cloud, &["hello", "--fail-on", "low"])?;
        ensure!(strict.code == Some(1), "the exit code is {:?}", strict.code);
        let missing = cloud.honmaru(&["check", "nothing"])?;
        ensure!(
            missing.status.code() == Some(1) && text(&missing.stderr).contains("no app `nothing`"),
            "{missing:?}"
        );
        let table = text(&cloud.honmaru(&["check"])?.stdout);
        ensure!(
            table.contains("FAIL  T-16") && !table.contains("correct-horse"),
            "{table}"
        );
        without_root(&cloud)?;
        responsibility(&cloud)
    })?;
    cloud.finish()
}

/// What the command printed as JSON.
struct Checked {
    code: Option<i32>,
    tree: Value,
}

impl Checked {
    fn of(cloud: &Cloud, options: &[&str]) -> Result<Self> {
        let mut arguments = vec!["check"];
        arguments.extend(options);
        arguments.extend(["--output", "json"]);
        let output = cloud.honmaru(&arguments)?;
        let tree = serde_json::from_slice(&output.stdout);
        Ok(Self {
            code: output.status.code(),
            tree: tree.with_context(|| format!("check printed no JSON: {}", text(&output.stderr)))?,
        })
    }

    fn rows(&self) -> impl Iterator<Item = &Value> {
        self.tree["controls"].as_array().into_iter().flatten()
    }

    fn row(&self, id: &str, subject: &str) -> &Value {
        let mut rows = self.rows();
        rows.find(|row| row["id"] == id && row["subject"] == subject)
            .unwrap_or(&Value::Null)
    }

    fn status(&self, id: &str, subject: &str) -> &str {
        self.row(id, subject)["status"].as_str().unwrap_or("missing")
    }
}

fn bad_is_named(checked: &Checked) -> Result<()> {
    for (id, subject, has_command) in [
        ("I-09", "bad", false),
        ("I-12", "bad", false),
        ("I-13", "bad", false),
        ("T-02", "bad", false),
        ("T-07", "bad", true),
        ("T-16", "bad", true),
        ("T-18", "bad", true),
        ("D-01", "bad", true),
        ("A-03", "role bad", true),
        ("A-04", "bad", false),
        ("N-01", "bad", true),
        ("N-02", "bad", true),
        ("N-05", "hello", true),
        ("L-02", "/honmaru/hello", true),
    ] {
        let row = checked.row(id, subject);
        ensure!(row["status"] == "fail", "{id} of {subject}: {row}");
        ensure!(row["evidence"].as_str().is_some_and(|seen| !seen.is_empty()), "{row}");
        ensure!(
            row["fix"]["what"].as_str().is_some_and(|what| !what.is_empty()),
            "{row}"
        );
        ensure!(row["fix"]["command"].is_string() == has_command, "{row}");
    }
    // The app that `deploy` made does none of that.
    for id in ["I-09", "I-12", "I-13", "T-02", "T-16", "T-18", "D-01", "A-04", "N-01"] {
        ensure!(checked.status(id, "hello") == "pass", "{}", checked.row(id, "hello"));
    }
    ensure!(!checked.tree.to_string().contains("correct-horse"), "a secret is shown");
    Ok(())
}

/// What is the platform's passes, and other eyes see the same.
fn as_proc_shows(cloud: &Cloud, checked: &Checked) -> Result<()> {
    let defects: Vec<&Value> = checked
        .rows()
        .filter(|row| row["owner"] == "platform" && row["status"] == "fail" && row["id"] != "T-05")
        .collect();
    ensure!(defects.is_empty(), "{defects:#?}");
    let instance = honmaru_tests::host::instance(&cloud.state);
    let mut shell = cloud.command("sh")?;
    let output = bounded(shell.args(["-c", LOOK, "look", &instance]), SOON)?;
    let seen = text(&output.stdout);
    ensure!(output.status.success(), "{}", text(&output.stderr));
    ensure!(
        seen.matches("pid ").count() >= 2,
        "the script found no two processes: {seen}"
    );
    ensure!(!seen.contains("fail"), "{seen}");
    for id in ["N-04", "T-03", "T-04", "T-06", "T-08", "T-10", "T-11", "T-13", "T-15"] {
        for app in ["hello", "bad"] {
            ensure!(checked.status(id, app) == "pass", "{id}: {}", checked.row(id, app));
        }
    }
    // Each task was tried with the other one's credentials.
    let tried = checked.row("N-04", "hello")["evidence"].as_str().unwrap_or_default();
    ensure!(tried.contains("credentials of task"), "{tried}");
    for (id, subject) in [
        ("N-03", "packet filter"),
        ("H-02", "state directory"),
        ("H-03", "control"),
        ("H-03", "edge"),
        ("H-03", "a call without keys"),
        ("H-03", "addresses of the API"),
        ("I-17", "registry"),
        ("L-01", "audit trail"),
        ("T-19", "control, edge, node"),
    ] {
        ensure!(
            checked.status(id, subject) == "pass",
            "{id}: {}",
            checked.row(id, subject)
        );
    }
    Ok(())
}

/// The commands as they are printed, each by a shell, and the rows are different afterwards.
fn repair(cloud: &Cloud, checked: &Checked) -> Result<()> {
    for (id, subject) in [
        ("N-02", "bad"),
        ("A-03", "role bad"),
        ("L-02", "/honmaru/hello"),
        ("T-16", "bad"),
        ("D-01", "bad"),
    ] {
        let command = checked.row(id, subject)["fix"]["command"]
            .as_str()
            .context("a command")?;
        let mut shell = cloud.command("sh")?;
        let output = bounded(shell.args(["-c", command]), SOON)?;
        ensure!(output.status.success(), "{command}: {}", text(&output.stderr));
    }
    // What is the platform's fails, too, when it does not hold.
    let room = cloud.state.join("control");
    std::fs::set_permissions(&room, std::fs::Permissions::from_mode(0o755))?;
    let after = Checked::of(cloud, &[])?;
    std::fs::set_permissions(&room, std::fs::Permissions::from_mode(0o700))?;
    let row = after.row("H-02", "state directory");
    let names_it = row["evidence"]
        .as_str()
        .is_some_and(|seen| seen.contains("control 0755"));
    ensure!(row["status"] == "fail" && names_it, "{row}");
    for (id, subject) in [
        ("N-02", "bad"),
        ("N-01", "bad"),
        ("L-02", "/honmaru/hello"),
        ("T-16", "bad"),
        ("D-01", "bad"),
        ("A-03", "policies"),
    ] {
        ensure!(after.status(id, subject) == "pass", "{id}: {}", after.row(id, subject));
    }
    Ok(())
}

/// Who is not root gets what the APIs say, and is told what was not looked at.
fn without_root(cloud: &Cloud) -> Result<()> {
    let binary = std::fs::read_dir(cloud.state.join("bin"))?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("honmaru-"))
        .context("the roles' binary")?
        .path();
    let mut command = cloud.command("setpriv")?;
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let output = bounded(command.arg(binary).args(["check", "--output", "json"]), SOON)?;
    let checked = Checked {
        code: output.status.code(),
        tree: serde_json::from_slice(&output.stdout).with_context(|| text(&output.stderr))?,
    };
    ensure!(checked.status("T-18", "hello") == "pass", "{}", checked.tree);
    let row = checked.row("T-03", "-");
    let says_sudo = row["evidence"].as_str().is_some_and(|reason| reason.contains("sudo"));
    ensure!(row["status"] == "not-assessed" && says_sudo, "{row}");
    Ok(())
}

fn responsibility(cloud: &Cloud) -> Result<()> {
    let said = text(&cloud.honmaru(&["responsibility"])?.stdout);
    for wanted in ["share the kernel", "FARGATE", "isolation between tasks (shared): "] {
        // Lines are as long as the terminal is wide.
        ensure!(
            said.replace("\n  ", " ").contains(wanted),
            "it does not say `{wanted}`: {said}"
        );
    }
    let json = cloud.honmaru(&["responsibility", "--output", "json"])?;
    let json: Value = serde_json::from_slice(&json.stdout)?;
    ensure!(
        json["layers"].as_array().is_some_and(|layers| layers.len() == 13),
        "{json}"
    );
    Ok(())
}
