//! A fake control and a host of its own for each test: a thread in a fresh network namespace plays the host, a unix
//! socket server plays control, and a busybox image lies in the store.

use base64::Engine;
use honmaru_contract::node::*;
use honmaru_images::{Algorithm, BlobKey, BlobStore, Digest, StoreLimits};
use honmaru_node::{NodeConfig, NodeError};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Until something that shall happen is called broken. Generous: builds may run beside.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test in a host of its own and destroys what it leaves, also when it fails.
pub fn host<F: Future<Output = ()>>(test: impl FnOnce(Lab) -> F + Send + 'static) {
    let result = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("these tests need root");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private mounts");
        run("ip", &["link", "set", "lo", "up"]);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let state = tempfile::tempdir_in("/tmp").expect("a directory");
        let config = config(state.path().to_path_buf());
        let before = traces(&config);
        let lab = runtime.block_on(Lab::new(config.clone()));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(test(lab))));
        // Ends what the test left running (a node that was not stopped holds the lock).
        runtime.shutdown_timeout(Duration::from_secs(5));
        let last = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let destroyed = last.block_on(honmaru_node::destroy(config.clone()));
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
        destroyed.expect("destroy");
        assert_eq!(traces(&config), before, "the host is clean after destroy");
    })
    .join();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn config(state_dir: PathBuf) -> NodeConfig {
    NodeConfig {
        socket: state_dir.join("planes.sock"),
        blob_key: state_dir.join("blobs.key"),
        state_dir,
        name: "test".to_owned(),
        version: "0".to_owned(),
        control_uid: 0,
        local_registries: honmaru_images::Loopback::Closed,
    }
}

pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("a program");
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What control would keep.
#[derive(Default)]
pub struct Seen {
    pub tasks: BTreeMap<String, TaskObserved>,
    pub snapshots: Vec<NodeObserved>,
    /// Lines by task and container, stored once for each offset.
    pub lines: BTreeMap<(String, String), Vec<String>>,
    offsets: BTreeMap<(String, String), u64>,
    /// How many batches came again.
    pub repeated: usize,
    pub output: BTreeMap<String, Output>,
    pub stale: Vec<u64>,
    pub usage: Vec<UsageReport>,
    pub credentials_asked: usize,
    pub connections: usize,
    /// Batches are stored, but their acknowledgements kept back.
    pub silent: bool,
}

/// An agent as a process; it is killed, as by `kill -9`, when this is dropped.
pub struct NodeProcess(std::process::Child);

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

/// An exec session: its output, its exit code once it ended, its error.
pub type Output = (Vec<u8>, Option<Option<i32>>, Option<String>);

type Node = (oneshot::Sender<()>, JoinHandle<Result<(), NodeError>>);

pub struct Lab {
    pub config: NodeConfig,
    pub image: String,
    pub seen: Arc<Mutex<Seen>>,
    desired: Arc<Mutex<NodeDesired>>,
    send: mpsc::Sender<ToNode>,
    /// Ends the present connection, as a dying control does.
    pub cut: Arc<tokio::sync::Notify>,
    node: Option<Node>,
}

impl Lab {
    async fn new(config: NodeConfig) -> Self {
        let image = put_image(&config, "hello\n").await;
        let (send, messages) = mpsc::channel(64);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let desired = Arc::new(Mutex::new(NodeDesired {
            generation: 1,
            security_groups: [("sg".to_owned(), open_group())].into(),
            vpcs: [(
                "vpc".to_owned(),
                Vpc {
                    cidr: "10.31.0.0/16".to_owned(),
                },
            )]
            .into(),
            ..NodeDesired::default()
        }));
        let listener = UnixListener::bind(&config.socket).expect("bind");
        let cut = Arc::new(tokio::sync::Notify::new());
        tokio::spawn(control(
            listener,
            Arc::clone(&cut),
            Arc::clone(&seen),
            Arc::clone(&desired),
            messages,
        ));
        Self {
            config,
            image,
            seen,
            desired,
            send,
            cut,
            node: None,
        }
    }

    /// Starts the agent in this process.
    pub fn start_node(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let config = self.config.clone();
        let node = tokio::spawn(honmaru_node::run(config, async {
            let _ = stopped.await;
        }));
        self.node = Some((stop, node));
    }

    pub async fn stop_node(&mut self) {
        let (stop, node) = self.node.take().expect("a node runs");
        stop.send(()).expect("the node listens");
        node.await.expect("no panic").expect("no error");
    }

    /// Starts the agent as a process of its own.
    pub fn spawn_node(&self) -> NodeProcess {
        let mut path = std::env::current_exe().expect("a path");
        path.pop();
        path.pop();
        path.push("examples/node");
        let state_dir = &self.config.state_dir;
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(state_dir.join("node.log"))
            .expect("a log");
        let mut command = Command::new(&path);
        command.arg(state_dir).arg(&self.config.socket).arg("0").stderr(log);
        NodeProcess(command.spawn().expect("examples/node"))
    }

    pub async fn send(&self, message: ToNode) {
        self.send.send(message).await.expect("control");
    }

    /// Changes what is desired, and sends the whole of it.
    pub async fn want(&self, change: impl FnOnce(&mut NodeDesired)) {
        let desired = {
            let mut desired = self.desired.lock().expect("no panic");
            change(&mut desired);
            desired.generation += 1;
            desired.clone()
        };
        self.send(ToNode::Desired(Box::new(desired))).await;
    }

    pub async fn run_task(&self, spec: TaskSpec) {
        self.want(|desired| drop(desired.tasks.insert(spec.task_id.clone(), spec)))
            .await;
    }

    pub async fn stop_task(&self, task_id: &str) {
        self.want(|desired| desired.tasks.get_mut(task_id).expect("the task").goal = TaskGoal::Stop)
            .await;
    }

    /// Waits until `condition` gives something.
    pub async fn until<T>(&self, what: &str, mut condition: impl FnMut(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = condition(&self.seen.lock().expect("no panic")) {
                return found;
            }
            if Instant::now() >= deadline {
                let seen = self.seen.lock().expect("no panic");
                let log = std::fs::read_to_string(self.config.state_dir.join("node.log")).unwrap_or_default();
                panic!(
                    "{what} did not happen; tasks: {:#?}\nlines: {:?}\n{log}",
                    seen.tasks, seen.lines
                );
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn running(&self, task_id: &str) -> TaskObserved {
        self.until(&format!("task {task_id} running"), |seen| {
            seen.tasks
                .get(task_id)
                .filter(|t| t.phase == TaskPhase::Running)
                .cloned()
        })
        .await
    }

    pub async fn stopped(&self, task_id: &str) -> (StopReason, TaskObserved) {
        self.until(&format!("task {task_id} stopped"), |seen| {
            let task = seen.tasks.get(task_id)?;
            match &task.phase {
                TaskPhase::Stopped { reason } => Some((reason.clone(), task.clone())),
                _ => None,
            }
        })
        .await
    }

    /// Runs a command in a container and gives its output and exit code.
    pub async fn exec(&self, task_id: &str, script: &str, input: &[u8]) -> (String, Option<i32>) {
        let session = format!("s{}", self.seen.lock().expect("no panic").output.len());
        self.seen
            .lock()
            .expect("no panic")
            .output
            .insert(session.clone(), Default::default());
        self.send(ToNode::ExecOpen(ExecOpen {
            session: session.clone(),
            task_id: task_id.to_owned(),
            container: "main".to_owned(),
            command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            tty: false,
            cols: 80,
            rows: 24,
        }))
        .await;
        for data in [input, b""] {
            let data = base64::engine::general_purpose::STANDARD.encode(data);
            self.send(ToNode::ExecInput {
                session: session.clone(),
                data,
            })
            .await;
        }
        self.until(&format!("the end of `{script}`"), |seen| {
            let (output, ended, error) = seen.output.get(&session)?;
            assert_eq!(*error, None);
            ended.map(|code| (String::from_utf8_lossy(output).into_owned(), code))
        })
        .await
    }

    /// GET of the metadata address from a task's namespace: status and document.
    pub fn metadata(&self, task_id: &str, path: &str) -> (u16, serde_json::Value) {
        let namespace = self.config.state_dir.join("node/netns").join(task_id);
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        let asking = std::thread::spawn(move || {
            let namespace = std::fs::File::open(namespace).expect("a namespace");
            nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET).expect("setns");
            let mut stream = TcpStream::connect(("169.254.170.2", 80)).expect("connect");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
            stream.write_all(request.as_bytes()).expect("write");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("read");
            text
        });
        let text = asking.join().expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a status");
        (status, serde_json::from_str(body).expect("json"))
    }
}

/// Whether a process lives; a zombie does not.
pub fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some(Some('Z' | 'X')))
}

/// What the instance has on the host, beside files in its state directory.
pub fn traces(config: &NodeConfig) -> String {
    let state = config.state_dir.to_string_lossy().into_owned();
    let id = honmaru_network::InstanceId::of(&config.state_dir);
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").expect("mounts");
    // Others' cgroups come and go while it looks.
    let name = format!("honmaru-{id}*");
    let cgroups = run("find", &["/sys/fs/cgroup", "-ignore_readdir_race", "-name", &name]);
    let mut shims = String::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if command.contains(&state) && command.contains("shim") {
            shims.push_str(&command);
        }
    }
    format!(
        "{}{}{}{}{}{cgroups}{shims}",
        run("ip", &["-br", "link"]),
        run("ip", &["-br", "-4", "addr"]),
        run("ip", &["-4", "route"]),
        run("nft", &["list", "ruleset"]),
        mounts.lines().filter(|line| line.contains(&state)).collect::<String>(),
    )
}

/// Accepts the node again and again, as control does over its restarts.
async fn control(
    listener: UnixListener,
    cut: Arc<tokio::sync::Notify>,
    seen: Arc<Mutex<Seen>>,
    desired: Arc<Mutex<NodeDesired>>,
    mut messages: mpsc::Receiver<ToNode>,
) {
    loop {
        let (stream, _) = listener.accept().await.expect("accept");
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        seen.lock().expect("no panic").connections += 1;
        let first = desired.lock().expect("no panic").clone();
        let mut line = serde_json::to_vec(&ToNode::Desired(Box::new(first))).expect("json");
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() {
            continue;
        }
        loop {
            let answer = tokio::select! {
                line = lines.next_line() => match line {
                    Ok(Some(line)) => note(&seen, serde_json::from_str(&line).expect("a message")),
                    _ => break,
                },
                message = messages.recv() => match message {
                    Some(message) => Some(message),
                    None => return,
                },
                () = cut.notified() => break,
            };
            if let Some(answer) = answer {
                let mut line = serde_json::to_vec(&answer).expect("json");
                line.push(b'\n');
                if writer.write_all(&line).await.is_err() {
                    break;
                }
            }
        }
    }
}

fn note(seen: &Mutex<Seen>, message: FromNode) -> Option<ToNode> {
    let mut seen = seen.lock().expect("no panic");
    match message {
        FromNode::Hello(hello) => {
            assert_eq!(
                (hello.protocol, hello.role.as_str()),
                (honmaru_contract::PROTOCOL, "node")
            );
        }
        FromNode::Observed(observed) => {
            seen.tasks = observed.tasks.iter().map(|t| (t.task_id.clone(), t.clone())).collect();
            seen.snapshots.push(*observed);
        }
        FromNode::Task(task) => drop(seen.tasks.insert(task.task_id.clone(), *task)),
        FromNode::Logs(batch) => {
            let key = (batch.task_id, batch.container);
            let stored = seen.offsets.get(&key).copied().unwrap_or(0);
            if batch.offset > stored {
                seen.offsets.insert(key.clone(), batch.offset);
                seen.lines
                    .entry(key)
                    .or_default()
                    .extend(batch.events.into_iter().map(|e| e.message));
            } else {
                assert_eq!(batch.offset, stored, "a repeated batch has the same bounds");
                seen.repeated += 1;
            }
            return (!seen.silent).then_some(ToNode::LogsStored {
                sequence: batch.sequence,
            });
        }
        FromNode::CredentialsWanted {
            task_arn,
            execution_role,
        } => {
            seen.credentials_asked += 1;
            return Some(ToNode::Credentials(TaskCredentials {
                task_arn,
                execution_role,
                role_arn: "arn:aws:iam::000000000000:role/app".to_owned(),
                access_key_id: "ASIATEST".to_owned(),
                secret_access_key: "secret".to_owned(),
                token: "token".to_owned(),
                expiration: honmaru_base::Time::from_ms(4_000_000_000_000),
                error: None,
            }));
        }
        FromNode::ExecOutput { session, data, .. } => {
            let data = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
            seen.output.entry(session).or_default().0.extend(data);
        }
        FromNode::ExecExited {
            session,
            exit_code,
            error,
        } => {
            let place = seen.output.entry(session).or_default();
            place.1 = Some(exit_code);
            place.2 = error;
        }
        FromNode::Stale { generation_seen } => seen.stale.push(generation_seen),
        FromNode::Usage(report) => seen.usage.push(*report),
    }
    None
}

/// Puts a busybox image into the registry's store and gives its manifest's digest.
/// Puts an image into the registry's store whose page says `page`; its digest.
pub async fn put_image(config: &NodeConfig, page: &str) -> String {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut plain = tar::Builder::new(Vec::new());
    let busybox = std::fs::read("/bin/busybox").expect("Debian's busybox-static");
    let applets = run("/bin/busybox", &["--list"]);
    for builder in [&mut tar as &mut dyn Archive, &mut plain] {
        builder.directory("bin");
        builder.directory("www");
        builder.file("bin/busybox", 0o755, &busybox);
        builder.file("www/index.html", 0o644, page.as_bytes());
        for applet in applets.lines().filter(|name| *name != "busybox") {
            builder.link(&format!("bin/{applet}"));
        }
    }
    let layer = tar.into_inner().expect("tar").finish().expect("gzip");
    let diff_id = Digest::of(Algorithm::Sha256, &plain.into_inner().expect("tar"));
    let (images, key) = (config.state_dir.join("images"), BlobKey::at(&config.blob_key));
    let store = BlobStore::open_encrypted(&images, StoreLimits::default(), key).expect("a store");
    let put = |bytes: Vec<u8>| store.put(Algorithm::Sha256, bytes.into());
    let size = layer.len();
    let layer = put(layer).await.expect("a blob").to_string();
    let image = serde_json::json!({
        "architecture": honmaru_images::Platform::host().architecture, "os": "linux",
        "config": {"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": ["/bin/sh", "-c", "echo image command"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id.to_string()]},
    });
    let image = serde_json::to_vec(&image).expect("json");
    let image_size = image.len();
    let image = put(image).await.expect("a blob").to_string();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": image, "size": image_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer, "size": size}],
    });
    put(serde_json::to_vec(&manifest).expect("json"))
        .await
        .expect("a blob")
        .to_string()
}

trait Archive {
    fn directory(&mut self, path: &str);
    fn file(&mut self, path: &str, mode: u32, data: &[u8]);
    fn link(&mut self, path: &str);
}

impl<W: Write> Archive for tar::Builder<W> {
    fn directory(&mut self, path: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        self.append_data(&mut header, path, std::io::empty()).expect("tar");
    }

    fn file(&mut self, path: &str, mode: u32, data: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        self.append_data(&mut header, path, data).expect("tar");
    }

    fn link(&mut self, path: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        self.append_link(&mut header, path, "busybox").expect("tar");
    }
}

fn open_group() -> SecurityGroup {
    let all = || SecurityRule {
        protocol: Protocol::All,
        ports: None,
        peer: Peer::Cidr("0.0.0.0/0".to_owned()),
    };
    SecurityGroup {
        vpc_id: "vpc".to_owned(),
        ingress: vec![all()],
        egress: vec![all()],
    }
}

/// A task with one container that runs a script; its address is 10.31.0.`n`.
pub fn task(lab: &Lab, n: u8, script: &str) -> TaskSpec {
    let task_id = format!("{n:032x}");
    TaskSpec {
        task_arn: format!("arn:aws:ecs:us-east-1:000000000000:task/default/{task_id}"),
        goal: TaskGoal::Run,
        cluster: "arn:aws:ecs:us-east-1:000000000000:cluster/default".to_owned(),
        family: "web".to_owned(),
        revision: 3,
        availability_zone: "us-east-1a".to_owned(),
        region: "us-east-1".to_owned(),
        launch_type: "FARGATE".to_owned(),
        cpu_units: Some(256),
        memory_mib: Some(64),
        network: Some(TaskNetwork {
            address: Ipv4Addr::new(10, 31, 0, n),
            subnet_cidr: "10.31.0.0/20".to_owned(),
            vpc_id: "vpc".to_owned(),
            dns: Ipv4Addr::new(10, 31, 0, 2),
            mac: format!("02:00:0a:1f:00:{n:02x}"),
            security_groups: vec!["sg".to_owned()],
            egress: true,
            published: Vec::new(),
        }),
        service: Some("shop".to_owned()),
        task_role: true,
        containers: vec![container(lab, "main", script)],
        volumes: Vec::new(),
        tags: BTreeMap::new(),
        task_id,
    }
}

pub fn container(lab: &Lab, name: &str, script: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: "busybox:test".to_owned(),
        source: ImageSource::Local {
            manifest_digest: lab.image.clone(),
        },
        essential: true,
        cpu_units: 0,
        memory_mib: None,
        memory_reservation_mib: None,
        entry_point: None,
        command: Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
        environment: vec![("FROM_TASK".to_owned(), "yes".to_owned())],
        working_directory: None,
        user: None,
        readonly_root_filesystem: false,
        pseudo_terminal: false,
        init_process_enabled: false,
        capabilities_add: Vec::new(),
        capabilities_drop: Vec::new(),
        ulimits: Vec::new(),
        sysctls: Vec::new(),
        tmpfs: Vec::new(),
        shared_memory_mib: None,
        mounts: Vec::new(),
        depends_on: Vec::new(),
        start_timeout_s: None,
        // Only what ignores SIGTERM waits for it; a busy machine may take seconds to run a trap.
        stop_timeout_s: 30,
        health_check: None,
        ports: Vec::new(),
        log: LogTarget::Stream {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            group: "/ecs/web".to_owned(),
            stream: format!("web/{name}"),
        },
        docker_labels: BTreeMap::new(),
        restart: None,
    }
}

/// A GET from the host; waits for the server to come up.
pub async fn get(address: impl Into<SocketAddr>) -> String {
    let address = address.into();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tried = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        });
        match tried.await.expect("no panic") {
            Ok(text) => return text,
            Err(error) if Instant::now() >= deadline => panic!("GET {address}: {error}"),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}
