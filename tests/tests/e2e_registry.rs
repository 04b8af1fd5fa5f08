//! Goal: the registry is one for skopeo, buildah and boto3: what is pushed comes back to the byte, nobody reads without
//! a token, bad uploads leave nothing, and a push that control's death interrupts succeeds when it is repeated.
//! Method: the real tools against a cloud of the test's own.

use anyhow::{Context, Result, bail, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, python, root, text, wait_until};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// How long a push or pull may take.
const TOOL_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of the image whose push is interrupted: noise that does not compress, so that the push takes a moment.
const LARGE_BYTES: usize = 96 << 20;
/// How often a push is begun that shall be interrupted, on a machine that may hold up whoever interrupts.
const PUSHES_MAX: usize = 5;

/// A directory that goes with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/tmp/honmaru-registry-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn registry() -> Result<()> {
    let scratch = Scratch::new()?;
    // Room for the large image and not for two of them.
    let cloud = Cloud::start_with(&["--registry-bytes-max", "150MiB"])?;
    let one = layout(&scratch.0.join("one"), "1", 0)?;
    let two = layout(&scratch.0.join("two"), "2", 0)?;
    ensure!(one != two, "the images must differ");
    phase("repositories", || {
        cloud.python("registry.py", &["create", "app", "team/built", "fixed", "large"])
    })?;
    phase("who may come in", || cloud.python("registry.py", &["access"]))?;
    phase("who may do what", || cloud.python("access.py", &["access"]))?;
    phase("the distribution specification, from outside", || {
        cloud.python("conformance.py", &["conformance"])
    })?;
    let tools = Tools::log_in(&cloud, &scratch)?;
    phase("skopeo pushes and pulls the same bytes", || {
        tools.skopeo(&["copy", &oci(&scratch, "one"), &tools.image("app:v1")])?;
        tools.skopeo(&["copy", &tools.image("app:v1"), &tools.image("app:v2")])?;
        let digest = tools.digest("app:v2")?;
        ensure!(digest == one, "pushed {one}, the registry says {digest}");
        let back = format!("oci:{}:latest", scratch.file("back"));
        tools.skopeo(&["copy", &tools.image(&format!("app@{one}")), &back])?;
        let index = std::fs::read_to_string(scratch.file("back/index.json"))?;
        ensure!(index.contains(&one), "{index}");
        let tags: Value = serde_json::from_str(&tools.skopeo(&["list-tags", &tools.image("app")])?)?;
        ensure!(tags["Tags"] == serde_json::json!(["v1", "v2"]), "{tags}");
        Ok(())
    })?;
    phase("the ECR API sees them", || {
        cloud.python("registry.py", &["images", &one])
    })?;
    phase("who takes only one form of an image gets that one", || {
        cloud.python("forms.py", &["forms"])
    })?;
    phase("bad uploads leave nothing", || {
        cloud.python("registry.py", &["uploads"])
    })?;
    phase("lifecycle policies", || cloud.python("registry.py", &["lifecycle"]))?;
    phase("an immutable tag stays", || {
        tools.skopeo(&["copy", &oci(&scratch, "one"), &tools.image("fixed:v1")])?;
        cloud.python("registry.py", &["immutable"])?;
        let refused = tools.run("skopeo", &["copy", &oci(&scratch, "two"), &tools.image("fixed:v1")])?;
        ensure!(!refused.status.success(), "an immutable tag was overwritten");
        ensure!(text(&refused.stderr).contains("immutable"), "{}", text(&refused.stderr));
        cloud.python("registry.py", &["fixed_holds", &one])
    })?;
    phase("buildah builds and pushes", || built(&tools, &scratch))?;
    phase("a push that control's death interrupts succeeds again", || {
        interrupted(&cloud, &tools, &scratch)
    })?;
    phase("the operator's commands tell what is there", || operator(&cloud))?;
    phase("only an administrator may use them", || {
        cloud.python("registry.py", &["operator"])
    })?;
    phase("every image is whole after it", || {
        for name in ["app:v1", "fixed:v1", "large:v1"] {
            let there = format!("dir:{}", scratch.file(&name.replace(':', "-")));
            tools.skopeo(&["copy", &tools.image(name), &there])?;
        }
        Ok(())
    })?;
    phase("the quota holds", || {
        layout(&scratch.0.join("second"), "second", LARGE_BYTES)?;
        let refused = tools.run("skopeo", &["copy", &oci(&scratch, "second"), &tools.image("large:v2")])?;
        ensure!(!refused.status.success(), "more than the quota was taken");
        ensure!(
            text(&refused.stderr).contains("507 Insufficient Storage"),
            "{}",
            text(&refused.stderr)
        );
        let usage = kept(&cloud, &["usage"])?;
        ensure!(usage["quota_bytes"] == 150 << 20, "{usage}");
        let used = usage["total"]["disk_bytes"].as_u64().context("bytes on disk")?;
        ensure!(used < 150 << 20 && used > LARGE_BYTES as u64, "{usage}");
        Ok(())
    })?;
    phase("nothing of it can be read on the disk", || {
        encrypted(&cloud, &scratch, &one)
    })?;
    phase("damage is found and named", || damaged(&cloud, &one))?;
    phase("repositories go", || cloud.python("registry.py", &["delete"]))?;
    phase("what they held is freed", || {
        let freed = kept(&cloud, &["gc", "--grace", "0", "--idle", "0"])?;
        ensure!(
            freed["blob_bytes"].as_u64().unwrap_or(0) > LARGE_BYTES as u64,
            "{freed}"
        );
        let total = &kept(&cloud, &["usage"])?["total"];
        ensure!(total["blobs"] == 0 && total["uploads"] == 0, "{total}");
        Ok(())
    })?;
    phase("destroy leaves the host clean", || cloud.finish())
}

/// Makes an image and returns its digest.
fn layout(dir: &Path, mark: &str, noise_bytes: usize) -> Result<String> {
    let mut command = Command::new(python());
    command
        .arg(root().join("tests/clients/image.py"))
        .arg(dir)
        .args([mark, &noise_bytes.to_string()]);
    let output = bounded(&mut command, TOOL_TIMEOUT)?;
    ensure!(output.status.success(), "image.py failed: {}", text(&output.stderr));
    let made: Value = serde_json::from_str(&text(&output.stdout))?;
    Ok(made["digest"]
        .as_str()
        .context("image.py prints the digest")?
        .to_owned())
}

fn oci(scratch: &Scratch, name: &str) -> String {
    format!("oci:{}:latest", scratch.file(name))
}

/// Registry clients that are logged in, with their files in the scratch directory.
struct Tools {
    host: String,
    auth_file: String,
}

impl Tools {
    fn log_in(cloud: &Cloud, scratch: &Scratch) -> Result<Self> {
        let token = cloud.python("registry.py", &["token"])?;
        let tools = Self {
            host: format!("127.0.0.1:{}", cloud.port),
            auth_file: scratch.file("auth.json"),
        };
        let password = token["password"].as_str().context("a password")?;
        let login = ["login", "--tls-verify=false", "-u", "AWS", "-p", password, &tools.host];
        let output = tools.run("skopeo", &login)?;
        ensure!(output.status.success(), "skopeo login failed: {}", text(&output.stderr));
        Ok(tools)
    }

    fn image(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.host)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(program);
        command.args(arguments).env("REGISTRY_AUTH_FILE", &self.auth_file);
        if program == "skopeo" && arguments.first() == Some(&"copy") {
            command.args(["--src-tls-verify=false", "--dest-tls-verify=false"]);
        } else if program == "skopeo" && arguments.first() != Some(&"login") {
            command.arg("--tls-verify=false");
        }
        bounded(&mut command, TOOL_TIMEOUT)
    }

    fn checked(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.run(program, arguments)?;
        let said = text(&output.stderr);
        ensure!(output.status.success(), "{program} {arguments:?} failed: {said}");
        Ok(text(&output.stdout))
    }

    fn skopeo(&self, arguments: &[&str]) -> Result<String> {
        self.checked("skopeo", arguments)
    }

    fn digest(&self, name: &str) -> Result<String> {
        self.skopeo(&["inspect", "--format", "{{.Digest}}", &self.image(name)])
    }
}

/// `honmaru registry ...`, which must succeed, and its JSON.
fn kept(cloud: &Cloud, arguments: &[&str]) -> Result<Value> {
    let output = cloud.honmaru(&[&["registry"], arguments, &["--json"]].concat())?;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    ensure!(
        output.status.success(),
        "honmaru registry {arguments:?} failed: {out}\n{err}"
    );
    serde_json::from_str(&out).with_context(|| format!("no JSON: {out}"))
}

/// What is there is counted, clean, and stays when everything that nobody needs goes.
fn operator(cloud: &Cloud) -> Result<()> {
    let usage = kept(cloud, &["usage"])?;
    let rows = usage["repositories"].as_array().context("repositories")?;
    let app = rows.iter().find(|row| row["repository"] == "app").context("app")?;
    ensure!(app["images"] == 1 && app["tags"] == 1, "{app}");
    // `fixed` holds the same image.
    ensure!(app["shared_bytes"] == app["disk_bytes"], "{app}");
    let verified = kept(cloud, &["verify"])?;
    ensure!(verified["summary"]["findings"] == 0, "{verified}");
    ensure!(verified["findings"] == serde_json::json!([]), "{verified}");
    kept(cloud, &["gc", "--grace", "0", "--idle", "0"])?;
    let after = kept(cloud, &["usage"])?;
    let (before, after) = (&usage["total"], &after["total"]);
    for what in ["repositories", "images", "tags", "logical_bytes"] {
        ensure!(before[what] == after[what], "{what}: {before} before, {after} after");
    }
    ensure!(after["unneeded_blobs"] == 0 && after["uploads"] == 0, "{after}");
    let table = cloud.honmaru(&["registry", "usage"])?;
    ensure!(text(&table.stdout).contains("quota: "), "{}", text(&table.stdout));
    Ok(())
}

/// No file of the store says what every manifest says; openssl reads one with the key, and only so.
fn encrypted(cloud: &Cloud, scratch: &Scratch, manifest: &str) -> Result<()> {
    const SAID: &[u8] = b"schemaVersion";
    let mut dirs = vec![cloud.state.join("images")];
    let mut files = 0;
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path)?;
            let is_readable = bytes.windows(SAID.len()).any(|window| window == SAID);
            ensure!(!is_readable, "{} can be read", path.display());
        }
    }
    ensure!(files > 5, "{files} files");
    let hex = manifest.strip_prefix("sha256:").context("a digest")?;
    let file = std::fs::read(cloud.state.join("images/blobs/sha256").join(hex))?;
    let (header, content) = file.split_at_checked(32).context("a header")?;
    let (sealed, opened) = (scratch.file("sealed"), scratch.file("opened"));
    std::fs::write(&sealed, content)?;
    let key = std::fs::read_to_string(cloud.state.join("control/blobs.key"))?;
    let counter = hex::encode(header.get(16..).context("a counter")?);
    let mut openssl = Command::new("openssl");
    openssl.args(["enc", "-d", "-aes-256-ctr", "-K", key.trim(), "-iv", &counter]);
    openssl.args(["-in", &sealed, "-out", &opened]);
    let output = bounded(&mut openssl, TOOL_TIMEOUT)?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    let read = std::fs::read(&opened)?;
    ensure!(hex::encode(Sha256::digest(&read)) == hex, "{}", text(&read));
    ensure!(read.windows(SAID.len()).any(|window| window == SAID), "{}", text(&read));
    Ok(())
}

/// A blob that the disk changes is a line and exit code 1; once it is removed and pushed again all is well.
fn damaged(cloud: &Cloud, manifest: &str) -> Result<()> {
    let hex = manifest.strip_prefix("sha256:").context("a digest")?;
    let path = cloud.state.join("images/blobs/sha256").join(hex);
    let whole = std::fs::read(&path)?;
    let mut broken = whole.clone();
    *broken.last_mut().context("content")? ^= 1;
    std::fs::write(&path, &broken)?;
    let output = cloud.honmaru(&["registry", "verify"])?;
    let said = text(&output.stdout);
    ensure!(output.status.code() == Some(1), "{:?}: {said}", output.status);
    let line = said
        .lines()
        .find(|line| line.starts_with("damaged blob: "))
        .context("a line")?;
    ensure!(line.contains(manifest) && line.contains("/app: "), "{line}");
    ensure!(said.ends_with("not clean: 1 finding"), "{said}");
    std::fs::write(&path, &whole)?;
    let output = cloud.honmaru(&["registry", "verify"])?;
    let said = text(&output.stdout);
    ensure!(output.status.success() && said.ends_with("clean"), "{said}");
    Ok(())
}

/// buildah makes an image from nothing, pushes it, and takes it back.
fn built(tools: &Tools, scratch: &Scratch) -> Result<()> {
    let storage = ["--root", &scratch.file("storage"), "--runroot", &scratch.file("run")].map(str::to_owned);
    let buildah = |arguments: &[&str]| {
        let storage = storage.iter().map(String::as_str).chain(["--storage-driver", "vfs"]);
        let all: Vec<&str> = storage.chain(arguments.iter().copied()).collect();
        tools.checked("buildah", &all)
    };
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|p| Path::new(p).is_file());
    let container = buildah(&["from", "scratch"])?;
    buildah(&[
        "copy",
        &container,
        busybox.context("busybox-static is missing")?,
        "/bin/busybox",
    ])?;
    buildah(&["config", "--cmd", "/bin/busybox", &container])?;
    buildah(&["commit", "--rm", &container, "built"])?;
    let there = tools.image("team/built:latest");
    buildah(&["push", "--tls-verify=false", "built", &there])?;
    let digest = tools.digest("team/built:latest")?;
    ensure!(digest.starts_with("sha256:"), "{digest}");
    buildah(&["rmi", "built"])?;
    buildah(&["pull", "--tls-verify=false", &there])?;
    Ok(())
}

/// Control is killed while skopeo pushes; what was there before is untouched, and the same push succeeds afterwards.
fn interrupted(cloud: &Cloud, tools: &Tools, scratch: &Scratch) -> Result<()> {
    let large = scratch.0.join("large");
    let before = cloud.role_pid("control")?;
    let mut digest = layout(&large, "large", LARGE_BYTES)?;
    for _ in 0..PUSHES_MAX {
        if interrupt(cloud, tools, scratch)? {
            cloud.wait_for_restart("control", before)?;
            tools.skopeo(&["copy", &oci(scratch, "large"), &tools.image("large:v1")])?;
            let kept = tools.digest("large:v1")?;
            ensure!(kept == digest, "pushed {digest}, the registry says {kept}");
            return Ok(());
        }
        // The push was over before this test, which was held up, had seen it: another image, and the quota's room again.
        println!("     the push was faster than the test");
        let image = [
            "batch-delete-image",
            "--repository-name",
            "large",
            "--image-ids",
            "imageTag=v1",
        ];
        cloud.aws(&[&["ecr"], &image[..]].concat())?;
        kept(cloud, &["gc", "--grace", "0", "--idle", "0"])?;
        std::fs::remove_dir_all(&large)?;
        digest = layout(&large, "large", LARGE_BYTES)?;
    }
    bail!("{PUSHES_MAX} pushes were all faster than the test")
}

/// Pushes the large image and kills control once bytes of it were taken; false when the push was over before that.
fn interrupt(cloud: &Cloud, tools: &Tools, scratch: &Scratch) -> Result<bool> {
    std::thread::scope(|scope| {
        let push = scope.spawn(|| tools.run("skopeo", &["copy", &oci(scratch, "large"), &tools.image("large:v1")]));
        let begun = wait_until("the push begins", TOOL_TIMEOUT, || {
            ensure!(
                push.is_finished() || uploading(&cloud.state.join("images"))? > 1 << 20,
                "nothing is uploaded yet"
            );
            Ok(())
        });
        let is_killed = begun.is_ok() && !push.is_finished();
        if is_killed {
            cloud.kill("control")?;
        }
        // Whether skopeo itself tries again is its affair.
        let pushed = push
            .join()
            .map_err(|_| anyhow::anyhow!("the push's thread panicked"))??;
        begun?;
        ensure!(
            is_killed || pushed.status.success(),
            "the push failed: {}",
            text(&pushed.stderr)
        );
        Ok(is_killed)
    })
}

/// The size of the largest file that is being written below a directory.
fn uploading(dir: &Path) -> Result<u64> {
    let mut largest = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let path = entry.path();
            if metadata.is_dir() {
                dirs.push(path);
            } else if path.to_string_lossy().contains("upload") {
                largest = largest.max(metadata.len());
            }
        }
    }
    Ok(largest)
}
