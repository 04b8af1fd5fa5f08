//! Goal: images of clients that we did not write: docker, podman, skopeo, containerd and ORAS push and pull by tag and by
//! digest, indexes of several platforms, artifacts with subjects; everybody reads public repositories and nobody writes
//! them without a token; mirrors pull from a registry with an authority and tokens of its own.
//! Method: the real clients against a cloud of the test's own, their daemons in a mount namespace that goes with it. What
//! is not installed is skipped, and said. crane and cosign are in no registry of packages that tests can reach: cosign's
//! wire behaviour is checked with ORAS.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, python, root, signal, text, wait_until};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How long one command of a client may take.
const TOOL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a daemon may take until it answers.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a process may take to end once it was asked to.
const END_TIMEOUT: Duration = Duration::from_secs(60);
/// The clients that are told to speak plain HTTP.
const PLAIN: &str = "--tls-verify=false";

#[test]
fn images() -> Result<()> {
    let scratch = Scratch::new()?;
    let upstream = Upstream::start(&scratch)?;
    let secrets = scratch.file("secrets.json");
    let login = |token: &str| serde_json::json!({"username": "robot", "accessToken": token, "registry": upstream.host});
    let logins = serde_json::json!({
        "ecr-pullthroughcache/upstream": login("s3cret"),
        "ecr-pullthroughcache/wrong": login("guess"),
    });
    std::fs::write(&secrets, logins.to_string())?;
    let cloud = Cloud::start_with(&[
        "--upstream-ca",
        &upstream.ca,
        "--upstream-secrets",
        &secrets,
        "--local-registries",
        upstream.port(),
    ])?;
    let room = Room::open(&scratch)?;
    let made = phase("repositories", || cloud.python("images.py", &["repositories"]))?;
    let word = |name: &str| -> Result<String> { Ok(made[name].as_str().context("a word")?.to_owned()) };
    let clients = Clients {
        room: &room,
        scratch: &scratch,
        host: format!("127.0.0.1:{}", cloud.port),
        public: format!("public.ecr.localhost:{}/{}", cloud.port, word("alias")?),
        password: word("password")?,
        public_password: word("public_password")?,
    };
    phase("layers through the API", || cloud.python("images.py", &["layer_api"]))?;
    let image = clients.layout("image", "one")?;
    let skopeo = phase("skopeo: push, pull, delete", || clients.skopeo(&image))?;
    phase("podman: an index of two platforms", || clients.podman())?;
    phase("ctr: what containerd pulls and pushes", || clients.containerd(&image))?;
    phase("oras: artifacts, subjects, cosign's tags", || clients.artifacts(&cloud))?;
    phase("everybody reads what is public", || {
        clients.public(&image, &skopeo)?;
        cloud.python("images.py", &["public", &skopeo, &word("alias")?])?;
        cloud.python("images.py", &["anonymous", &word("alias")?, &skopeo])
    })?;
    phase("docker: push, pull, public and private", || clients.docker(&image))?;
    phase("mirrors of a registry with tokens and its own authority", || {
        clients.mirrors(&cloud, &upstream)
    })?;
    phase("pushes to public repositories are in the trail", || {
        cloud.python("images.py", &["trail"])
    })?;
    let state = (room, upstream);
    phase("destroy leaves the host clean", || cloud.finish())?;
    drop(state);
    let left = honmaru_tests::host::processes_of(&scratch.0)?;
    ensure!(left.is_empty(), "processes of clients still run: {left:?}");
    Ok(())
}

/// A directory that goes with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/tmp/hm-e2e-images-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("failed to remove {}: {error}", self.0.display());
        }
    }
}

/// A process that is asked to end with its value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = i32::try_from(self.0.id()).map(|pid| signal(pid, "TERM"));
        let ended = wait_until("a process ends", END_TIMEOUT, || {
            ensure!(self.0.try_wait()?.is_some(), "it still runs");
            Ok(())
        });
        if ended.is_err() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// The registry that mirrors pull from.
struct Upstream {
    _running: Running,
    host: String,
    ca: String,
    first: String,
    second: String,
}

impl Upstream {
    fn port(&self) -> &str {
        self.host.rsplit(':').next().unwrap_or_default()
    }

    fn start(scratch: &Scratch) -> Result<Self> {
        let folder = scratch.file("upstream");
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new(python());
        command
            .arg(root().join("tests/clients/upstream.py"))
            .arg(&folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped());
        let mut running = Running(command.spawn().context("failed to start the upstream registry")?);
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line).context("the upstream registry did not start")?;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            _running: running,
            host: word(&said["host"]),
            ca: word(&said["ca"]),
            first: word(&said["digests"]["first"]),
            second: word(&said["digests"]["second"]),
        })
    }
}

/// A mount namespace for the clients: what they mount and leave goes with it, and the name of the public registries is
/// known there.
struct Room {
    keeper: Running,
}

impl Room {
    fn open(scratch: &Scratch) -> Result<Self> {
        let (hosts, ready) = (scratch.file("hosts"), scratch.file("ready"));
        std::fs::write(&hosts, "127.0.0.1 localhost public.ecr.localhost\n")?;
        // What clients keep beside the directories that they are given is forgotten: caches, locks, lists of events.
        let inner = "for dir in /run /var/lib /opt /dev/shm; do mount -t tmpfs tmpfs $dir || exit 1; done; mount --bind \
                     \"$1\" /etc/hosts && : > \"$2\" && exec sleep 600";
        let keeper = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                inner,
                "sh",
                &hosts,
                &ready,
            ])
            .stdin(Stdio::null())
            .spawn()
            .context("failed to run unshare")?;
        let room = Self {
            keeper: Running(keeper),
        };
        wait_until("the mount namespace", END_TIMEOUT, || {
            ensure!(Path::new(&ready).exists(), "it is not there yet");
            Ok(())
        })?;
        Ok(room)
    }

    /// A command in the namespace.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.keeper.0.id().to_string();
        command
            .args(["--target", &pid, "--mount", program])
            .stdin(Stdio::null());
        command
    }
}

/// Where Debian puts programs, root's too.
fn installed(program: &str) -> Option<String> {
    let found = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(|dir| format!("{dir}/{program}"));
    found.into_iter().find(|path| Path::new(path).is_file())
}

fn skip(program: &str, package: &str) {
    println!("skip {program}: not installed (Debian's package {package})");
}

struct Clients<'a> {
    room: &'a Room,
    scratch: &'a Scratch,
    host: String,
    public: String,
    password: String,
    public_password: String,
}

impl Clients<'_> {
    fn output(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = self.room.command(program);
        command.args(arguments);
        // Every client with files of its own: nobody is logged in but where the test says so.
        for (name, file) in [
            ("HOME", "home"),
            ("DOCKER_CONFIG", "home/docker"),
            ("REGISTRY_AUTH_FILE", "home/auth.json"),
            ("XDG_RUNTIME_DIR", "run"),
        ] {
            command.env(name, self.scratch.file(file));
        }
        bounded(&mut command, TOOL_TIMEOUT)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.output(program, arguments)?;
        let said = text(&output.stderr);
        ensure!(output.status.success(), "{program} {arguments:?} failed: {said}");
        Ok(text(&output.stdout))
    }

    fn refused(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let output = self.output(program, arguments)?;
        ensure!(!output.status.success(), "{program} {arguments:?} succeeded");
        Ok(())
    }

    fn login(&self) -> String {
        format!("AWS:{}", self.password)
    }

    /// Makes an image in an OCI layout and returns `oci:` and its path.
    fn layout(&self, name: &str, mark: &str) -> Result<String> {
        let mut command = Command::new(python());
        command
            .arg(root().join("tests/clients/image.py"))
            .args([&self.scratch.file(name), mark])
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let output = bounded(&mut command, TOOL_TIMEOUT)?;
        ensure!(output.status.success(), "image.py failed: {}", text(&output.stderr));
        Ok(format!("oci:{}:latest", self.scratch.file(name)))
    }

    /// The digest of an image in the registry.
    fn digest(&self, name: &str) -> Result<String> {
        let image = format!("docker://{}/{name}", self.host);
        let format = ["inspect", PLAIN, "--creds", &self.login(), "--format", "{{.Digest}}"];
        self.run("skopeo", &[&format[..], &[&image]].concat())
    }

    /// Pushes and returns the image's digest.
    fn skopeo(&self, image: &str) -> Result<String> {
        let (login, app) = (self.login(), format!("docker://{}/app", self.host));
        let push = ["copy", "--dest-tls-verify=false", "--dest-creds", &login, image];
        self.run("skopeo", &[&push[..], &[&format!("{app}:skopeo")]].concat())?;
        self.run("skopeo", &[&push[..], &[&format!("{app}:gone")]].concat())?;
        let digest = self.digest("app:skopeo")?;
        let pull = ["copy", "--src-tls-verify=false", "--src-creds", &login];
        for (from, to) in [
            (format!("{app}:skopeo"), "by-tag"),
            (format!("{app}@{digest}"), "by-digest"),
        ] {
            let to = format!("dir:{}", self.scratch.file(to));
            self.run("skopeo", &[&pull[..], &[&from, &to]].concat())?;
        }
        self.refused("skopeo", &["inspect", PLAIN, &format!("{app}:skopeo")])?;
        // Both tags go: skopeo deletes the manifest behind a tag.
        self.run("skopeo", &["delete", PLAIN, "--creds", &login, &format!("{app}:gone")])?;
        self.refused(
            "skopeo",
            &["inspect", PLAIN, "--creds", &login, &format!("{app}:skopeo")],
        )?;
        self.run("skopeo", &[&push[..], &[&format!("{app}:skopeo")]].concat())?;
        Ok(digest)
    }

    fn podman(&self) -> Result<()> {
        if installed("podman").is_none() {
            skip("podman", "podman");
            return Ok(());
        }
        let (root, run) = (self.scratch.file("podman"), self.scratch.file("podman-run"));
        let storage = ["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
        let podman = |arguments: &[&str]| self.run("podman", &[&storage[..], arguments].concat());
        podman(&["login", PLAIN, "-u", "AWS", "-p", &self.password, &self.host])?;
        let there = format!("{}/index:v1", self.host);
        podman(&["manifest", "create", "index"])?;
        for (architecture, mark) in [("amd64", "intel"), ("arm64", "arm")] {
            let image = self.layout(mark, mark)?;
            podman(&[
                "manifest",
                "add",
                "--arch",
                architecture,
                "--os",
                "linux",
                "index",
                &image,
            ])?;
        }
        podman(&[
            "manifest",
            "push",
            PLAIN,
            "--all",
            "index",
            &format!("docker://{there}"),
        ])?;
        let raw = [
            "inspect",
            "--raw",
            PLAIN,
            "--creds",
            &self.login(),
            &format!("docker://{there}"),
        ];
        let index: Value = serde_json::from_str(&self.run("skopeo", &raw)?)?;
        let entries = index["manifests"].as_array().context("an index")?;
        ensure!(entries.len() == 2, "{index}");
        for entry in entries {
            let digest = entry["digest"].as_str().context("a digest")?;
            podman(&["pull", "-q", PLAIN, &format!("{}/index@{digest}", self.host)])?;
        }
        podman(&["pull", "-q", PLAIN, "--arch", "arm64", &there])?;
        podman(&["rmi", "-f", "--all"])?;
        podman(&["pull", "-q", PLAIN, &there])?;
        let image = podman(&["inspect", "--format", "{{.Architecture}}", &there])?;
        ensure!(image == "amd64", "{image}");
        podman(&["tag", &there, &format!("{}/app:podman", self.host)])?;
        podman(&["push", "-q", PLAIN, &format!("{}/app:podman", self.host)])?;
        self.digest("app:podman")?;
        podman(&["logout", &self.host])?;
        // What an index names stays while the index does.
        let first = entries[0]["digest"].as_str().unwrap_or_default();
        let gone = format!("docker://{}/index@{first}", self.host);
        self.refused("skopeo", &["delete", PLAIN, "--creds", &self.login(), &gone])?;
        Ok(())
    }

    fn containerd(&self, image: &str) -> Result<()> {
        let (Some(daemon), Some(_)) = (installed("containerd"), installed("ctr")) else {
            skip("ctr", "containerd");
            return Ok(());
        };
        let (socket, config) = (
            self.scratch.file("containerd.sock"),
            self.scratch.file("containerd.toml"),
        );
        let text = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = \
             {socket:?}\n",
            self.scratch.file("containerd"),
            self.scratch.file("containerd-run"),
        );
        std::fs::write(&config, text)?;
        let _daemon = self.daemon(&daemon, &["--config", &config])?;
        let ctr = |arguments: &[&str]| self.run("ctr", &[&["--address", &socket], arguments].concat());
        wait_until("containerd answers", DAEMON_TIMEOUT, || ctr(&["version"]).map(drop))?;
        let login = self.login();
        let plain = ["--plain-http", "--user", &login];
        let there = format!("{}/app:skopeo", self.host);
        ctr(&[&["images", "pull", "--snapshotter", "native"], &plain[..], &[&there]].concat())?;
        let digest = self.digest("app:skopeo")?;
        let listed = ctr(&["images", "list"])?;
        ensure!(listed.contains(&there) && listed.contains(&digest), "{listed}");
        let by_digest = format!("{}/app@{digest}", self.host);
        ctr(&[
            &["images", "pull", "--snapshotter", "native"],
            &plain[..],
            &[&by_digest],
        ]
        .concat())?;
        let (archive, mine) = (self.scratch.file("ctr.tar"), format!("{}/app:ctr", self.host));
        self.run("skopeo", &["copy", image, &format!("oci-archive:{archive}:{mine}")])?;
        ctr(&["images", "import", "--no-unpack", &archive])?;
        let names = ctr(&["images", "list", "-q"])?;
        ensure!(names.lines().any(|name| name == mine), "{names}");
        ctr(&[&["images", "push"], &plain[..], &[&mine]].concat())?;
        ensure!(self.digest("app:ctr")? == digest, "another image came");
        Ok(())
    }

    fn artifacts(&self, cloud: &Cloud) -> Result<()> {
        let has_oras = bounded(Command::new(python()).args(["-c", "import oras"]), TOOL_TIMEOUT)?;
        if !has_oras.status.success() {
            println!("skip oras: not installed (PyPI's package oras)");
            return Ok(());
        }
        let folder = self.scratch.file("artifacts");
        std::fs::create_dir_all(&folder)?;
        let made = cloud.python("artifacts.py", &[&self.host, &self.password, &folder])?;
        let word = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
        let found = cloud.python("images.py", &["referrers", &word("subject"), &word("kind")])?;
        ensure!(found["of_kind"] == serde_json::json!([word("signature")]), "{found}");
        ensure!(found["all"].as_array().is_some_and(|all| all.len() == 2), "{found}");
        // Another client finds the signature by cosign's tag.
        let there = format!("docker://{}/artifacts:{}", self.host, word("tag"));
        let raw = self.run("skopeo", &["inspect", "--raw", PLAIN, "--creds", &self.login(), &there])?;
        ensure!(raw.contains("simplesigning"), "{raw}");
        Ok(())
    }

    /// Nobody is logged in, but where it is said.
    fn public(&self, image: &str, digest: &str) -> Result<()> {
        let there = format!("docker://{}/team/app:v1", self.public);
        let push = ["copy", "--dest-tls-verify=false", image, &there];
        self.refused("skopeo", &push)?;
        let login = format!("AWS:{}", self.public_password);
        self.run("skopeo", &[&push[..], &["--dest-creds", &login]].concat())?;
        let to = format!("dir:{}", self.scratch.file("public"));
        for name in [there.clone(), format!("docker://{}/team/app@{digest}", self.public)] {
            self.run("skopeo", &["copy", "--src-tls-verify=false", &name, &to])?;
        }
        let tags = self.run(
            "skopeo",
            &["list-tags", PLAIN, &format!("docker://{}/team/app", self.public)],
        )?;
        ensure!(tags.contains("\"v1\""), "{tags}");
        self.refused("skopeo", &["delete", PLAIN, &there])?;
        // The same repository by path, where no name leads to this machine.
        let alias = self.public.rsplit('/').next().unwrap_or_default();
        let path = format!("docker://{}/public/{alias}/team/app:v1", self.host);
        self.run("skopeo", &["copy", "--src-tls-verify=false", &path, &to])?;
        self.refused("skopeo", &["copy", "--dest-tls-verify=false", image, &path])?;
        self.run(
            "skopeo",
            &["copy", "--dest-tls-verify=false", "--dest-creds", &login, image, &path],
        )?;
        Ok(())
    }

    fn docker(&self, image: &str) -> Result<()> {
        let (Some(daemon), Some(client)) = (installed("dockerd"), installed("docker")) else {
            skip("docker", "docker.io");
            return Ok(());
        };
        let socket = format!("unix://{}", self.scratch.file("docker.sock"));
        let (data, exec, pid) = (
            self.scratch.file("docker"),
            self.scratch.file("docker-exec"),
            self.scratch.file("docker.pid"),
        );
        let files = [
            "--data-root",
            &data,
            "--exec-root",
            &exec,
            "--pidfile",
            &pid,
            "-H",
            &socket,
        ];
        // No containers run: it needs no bridge, no rules and no forwarding, and changes nothing on the host.
        let quiet = [
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
        ];
        let _daemon = self.daemon(&daemon, &[&files[..], &quiet[..], &["--storage-driver=vfs"]].concat())?;
        let docker = |arguments: &[&str]| self.run(&client, &[&["-H", &socket], arguments].concat());
        wait_until("dockerd answers", DAEMON_TIMEOUT, || docker(&["version"]).map(drop))?;
        // Everybody pulls what is public.
        let public = format!("{}/team/app:v1", self.public);
        docker(&["pull", "-q", &public])?;
        let mine = format!("{}/app:docker", self.host);
        docker(&["tag", &public, &mine])?;
        self.refused(&client, &["-H", &socket, "push", "-q", &mine])?;
        docker(&["login", "-u", "AWS", "-p", &self.password, &self.host])?;
        docker(&["push", "-q", &mine])?;
        let digest = self.digest("app:docker")?;
        docker(&["rmi", &mine, &public])?;
        docker(&["pull", "-q", &format!("{}/app@{digest}", self.host)])?;
        docker(&["pull", "-q", &mine])?;
        let digests = docker(&["image", "inspect", "--format", "{{.RepoDigests}}", &mine])?;
        ensure!(digests.contains(&digest), "{digests}");
        // docker makes an image of Docker's own media types: another client reads it.
        let archive = self.scratch.file("docker.tar");
        self.run("skopeo", &["copy", image, &format!("docker-archive:{archive}:{mine}")])?;
        docker(&["load", "-q", "-i", &archive])?;
        docker(&["push", "-q", &mine])?;
        if installed("podman").is_some() {
            docker(&["pull", "-q", &format!("{}/index:v1", self.host)])?;
        }
        // Logged in, the public registry takes images too.
        let host = self.public.split('/').next().unwrap_or_default();
        docker(&["tag", &mine, &public])?;
        self.refused(&client, &["-H", &socket, "push", "-q", &public])?;
        docker(&["login", "-u", "AWS", "-p", &self.public_password, host])?;
        docker(&["push", "-q", &public])?;
        docker(&["logout", host])?;
        docker(&["logout", &self.host]).map(drop)
    }

    fn daemon(&self, program: &str, arguments: &[&str]) -> Result<Running> {
        let name = program.rsplit('/').next().unwrap_or(program);
        let log = std::fs::File::create(self.scratch.file(&format!("{name}.log")))?;
        let mut command = self.room.command(program);
        command.args(arguments).stdout(log.try_clone()?).stderr(log);
        Ok(Running(
            command.spawn().with_context(|| format!("failed to start {program}"))?,
        ))
    }

    fn mirrors(&self, cloud: &Cloud, upstream: &Upstream) -> Result<()> {
        cloud.python("images.py", &["rules", &upstream.host])?;
        let pull = |name: &str| {
            let to = format!("dir:{}", self.scratch.file("pulled"));
            let from = format!("docker://{}/{name}:v1", self.host);
            let login = self.login();
            self.output(
                "skopeo",
                &["copy", "--src-tls-verify=false", "--src-creds", &login, &from, &to],
            )
        };
        for name in ["mirror/shut/app", "free/open/app"] {
            let pulled = pull(name)?;
            ensure!(pulled.status.success(), "{name}: {}", text(&pulled.stderr));
            cloud.python("images.py", &["cached", name, &upstream.first])?;
        }
        cloud.python("images.py", &["tasks_of_mirrors", &upstream.host, &upstream.first])?;
        // Without the secret, or with a wrong one, upstream gives nothing, and nothing comes to be.
        for name in ["free/shut/app", "wrong/shut/app"] {
            let pulled = pull(name)?;
            ensure!(!pulled.status.success(), "{name} was pulled");
        }
        // The tag is upstream's of a moment ago: it is not asked again at every pull.
        let ask =
            |method: &str, path: &str| cloud.python("images.py", &["ask", &upstream.host, &upstream.ca, method, path]);
        ask("PUT", "/move")?;
        let before = ask("GET", "/seen")?;
        ensure!(pull("mirror/shut/app")?.status.success(), "the cached image is gone");
        ensure!(ask("GET", "/seen")? == before, "upstream was asked again");
        cloud.python("images.py", &["cached", "mirror/shut/app", &upstream.first])?;
        // What is not cached yet is today's.
        let other = format!("docker://{}/mirror/open/app:v1", self.host);
        let login = self.login();
        self.run("skopeo", &["inspect", PLAIN, "--creds", &login, &other])?;
        cloud.python("images.py", &["cached", "mirror/open/app", &upstream.second])?;
        // This cloud's own public repositories, by their name and with a token that everybody gets.
        let (host, alias) = self.public.split_once('/').context("a host and an alias")?;
        cloud.python("images.py", &["own_rule", host])?;
        let own = format!("docker://{}/ours/{alias}/team/app:v1", self.host);
        self.run("skopeo", &["inspect", PLAIN, "--creds", &login, &own])?;
        let tokens = before.as_array().context("what upstream saw")?;
        let asked_as_robot = tokens.iter().any(|seen| {
            seen["token"] == "robot"
                && seen["scope"] == "repository:shut/app:pull"
                && seen["service"] == "upstream.test"
        });
        ensure!(asked_as_robot, "no token with the secret: {before}");
        Ok(())
    }
}
