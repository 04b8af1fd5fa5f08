//! The registry against Debian's docker-registry: pushes and pulls with skopeo and curl, reads with wrk, peak memory.
//!
//! Ours checks a token and a policy at every request; the peer lets everybody in.
//!
//! skopeo itself takes most of each time (it hashes on one processor, and a process starts for every image): the same
//! images are also copied without a registry, and the lines `_beyond_skopeo` are what the registries add to that.
//!
//! The blob of 1 GiB is also written to the disk and read from it by dd: no registry whose store is larger than the
//! memory is faster than that.

use super::cloud::Lab;
use super::containers::{auth_file, push, skopeo};
use super::process::memory_mib;
use super::report::Better;
use super::scratch::{Running, wait_until};
use super::{Bench, least, wrk};
use crate::tools;
use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Each round has new noise in its images, so that no store has seen them; the best of both is taken.
const ROUNDS: usize = 2;
const LARGE_BYTES: u64 = 1 << 30;
const MIDDLE_BYTES: u64 = 1 << 20;
const SMALL_BYTES: u64 = 10 << 10;
const MIDDLE_LAYERS: usize = 50;
const SMALL_IMAGES: usize = 100;
const START_TIMEOUT: Duration = Duration::from_secs(10);
const WRK_SECONDS: &str = "4";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry: where, and with which token.
struct Side {
    name: &'static str,
    host: String,
    token: String,
    pid: u32,
}

/// What a registry adds to skopeo's own time is not told below this: the clock and the disk are not finer.
const BEYOND_S_MIN: f64 = 0.01;
/// The benches with skopeo: pushing, pulling, and what is beyond skopeo itself in both.
const LARGE: [&str; 4] = [
    "push_1gib",
    "pull_1gib",
    "push_1gib_beyond_skopeo",
    "pull_1gib_beyond_skopeo",
];
const MIDDLE: [&str; 4] = [
    "push_50x1mib",
    "pull_50x1mib",
    "push_50x1mib_beyond_skopeo",
    "pull_50x1mib_beyond_skopeo",
];
const SMALL: [&str; 4] = [
    "push_100_small",
    "pull_100_small",
    "push_100_small_beyond_skopeo",
    "pull_100_small_beyond_skopeo",
];

/// The same hundred small images by one `skopeo sync` each way: what the registry takes, and no hundred starts of a process.
const SYNC: [&str; 2] = ["sync_push_100_small", "sync_pull_100_small"];

/// One blob of 1 GiB with curl, which neither hashes nor unpacks: the registry's own throughput.
const BLOB: [&str; 2] = ["curl_push_1gib", "curl_pull_1gib"];

/// The disk's limit for the same blob: written and brought to the disk; read past the page cache.
const DISK: [&str; 2] = ["disk_write_1gib", "disk_read_1gib"];

/// All of it; without the image of 1 GiB unless `with_large`.
pub fn run(bench: &mut Bench, with_large: bool) -> Result<()> {
    let dir = bench.scratch.path().join("registry");
    fs::create_dir_all(&dir)?;
    let lab = Lab::start(bench)?;
    let token = lab.load(&["repository", "bench/large"])?;
    lab.load(&["repository", "bench/middle"])?;
    lab.load(&["repository", "bench/small"])?;
    for round in 0..ROUNDS {
        lab.load(&["repository", &synced(round)])?;
    }
    let ours = Side {
        name: "ours",
        host: format!("localhost:{}", lab.port()),
        token: token["token"].as_str().context("no token")?.to_owned(),
        pid: lab.role_pid("control")?,
    };
    let peer = peer(&dir)?;
    let mut sides = vec![ours];
    if let Some((_, side)) = &peer {
        sides.push(Side {
            name: side.name,
            host: side.host.clone(),
            token: String::new(),
            pid: side.pid,
        });
    }
    let mut found: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let mut keep = |bench: &'static str, values: Vec<f64>, is_time: bool| {
        let best = found.entry(bench).or_insert_with(|| values.clone());
        for (best, value) in best.iter_mut().zip(values) {
            *best = if is_time {
                least(&[*best, value])
            } else {
                best.max(value)
            };
        }
    };
    for round in 0..ROUNDS {
        let images = dir.join("images");
        if with_large {
            let large = vec![layout(&images.join("large"), 1, LARGE_BYTES)?];
            for (name, seconds) in LARGE
                .into_iter()
                .zip(copies(&sides, "bench/large", round, &large, &dir)?)
            {
                keep(name, seconds, true);
            }
            fs::remove_dir_all(images.join("large"))?;
            for (name, seconds) in BLOB.into_iter().zip(blob(&sides, round, &dir)?) {
                keep(name, seconds, true);
            }
            for (name, seconds) in DISK.into_iter().zip(disk(round, &dir)?) {
                keep(name, vec![seconds], true);
            }
        }
        let middle = vec![layout(&images.join("middle"), MIDDLE_LAYERS, MIDDLE_BYTES)?];
        for (name, seconds) in MIDDLE
            .into_iter()
            .zip(copies(&sides, "bench/middle", round, &middle, &dir)?)
        {
            keep(name, seconds, true);
        }
        let small: Result<Vec<PathBuf>> = (0..SMALL_IMAGES)
            .map(|n| layout(&images.join(format!("small-{n}")), 1, SMALL_BYTES))
            .collect();
        for (name, seconds) in SMALL
            .into_iter()
            .zip(copies(&sides, "bench/small", round, &small?, &dir)?)
        {
            keep(name, seconds, true);
        }
        // New noise: skopeo would mount blobs that it knows from the repository before.
        let synced: Result<Vec<PathBuf>> = (0..SMALL_IMAGES)
            .map(|n| layout(&images.join(format!("synced-{n}")), 1, SMALL_BYTES))
            .collect();
        for (name, seconds) in SYNC.into_iter().zip(syncs(&sides, round, &synced?, &dir)?) {
            keep(name, seconds, true);
        }
        let blob = first_layer(&images.join("middle"))?;
        for (name, path, connections) in [
            ("blob_get", format!("blobs/{blob}"), "16"),
            ("manifest_get", format!("manifests/{}", tag(round, 0)), "64"),
        ] {
            let rates: Result<Vec<f64>> = sides.iter().map(|side| rate(side, &path, connections, &dir)).collect();
            keep(name, rates?, false);
        }
        fs::remove_dir_all(&images)?;
    }
    let memory: Result<Vec<f64>> = sides.iter().map(|side| memory_mib(side.pid, "VmHWM")).collect();
    keep("registry_peak_memory", memory?, false);
    for (blob, limit) in BLOB.into_iter().zip(DISK) {
        if let (Some([ours, ..]), Some(&[disk])) =
            (found.get(blob).map(Vec::as_slice), found.get(limit).map(Vec::as_slice))
        {
            let name = format!("{blob}_and_the_disk");
            bench.report.add(&name, *ours, "dd", disk, "s, best of 2", Better::Less);
        }
    }
    for (name, values) in found.iter().filter(|(name, _)| !DISK.contains(name)) {
        let (unit, better) = match *name {
            "blob_get" | "manifest_get" => ("requests/s", Better::More),
            "registry_peak_memory" => ("MiB, control as a whole", Better::Less),
            _ => ("s, best of 2", Better::Less),
        };
        match values[..] {
            [ours, theirs] => bench.report.add(name, ours, "docker-registry", theirs, unit, better),
            [ours] => bench.report.without_peer(name, ours, "docker-registry", unit),
            _ => {}
        }
    }
    Ok(())
}

/// Debian's registry on an empty store.
fn peer(dir: &Path) -> Result<Option<(Running, Side)>> {
    let Some(program) = tools::find("docker-registry") else {
        return Ok(None);
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let store = dir.join("store");
    fs::create_dir_all(&store)?;
    let config = dir.join("config.yml");
    fs::write(
        &config,
        format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}, cache: {{blobdescriptor: inmemory}}}}\n\
             http: {{addr: 127.0.0.1:{port}}}\n",
            store.display()
        ),
    )?;
    let running = Running::start(Command::new(program).arg("serve").arg(&config), dir, "docker-registry")?;
    wait_until("docker-registry answers", START_TIMEOUT, || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })?;
    let side = Side {
        name: "docker-registry",
        host: format!("127.0.0.1:{port}"),
        token: String::new(),
        pid: running.pid(),
    };
    Ok(Some((running, side)))
}

fn tag(round: usize, image: usize) -> String {
    format!("r{round}-{image}")
}

/// Pushes all images to each side, then pulls them: seconds by side, then the same without skopeo's own.
fn copies(sides: &[Side], repository: &str, round: usize, layouts: &[PathBuf], dir: &Path) -> Result<[Vec<f64>; 4]> {
    // The order changes, so that a disk that is still busy with the one before hits both.
    let mut order: Vec<&Side> = sides.iter().collect();
    if round % 2 == 1 {
        order.reverse();
    }
    let out = dir.join("out");
    let alone = timed(layouts, |n, layout| {
        let to = format!("dir:{}", out.join(n.to_string()).display());
        fs::create_dir_all(out.join(n.to_string()))?;
        skopeo(&["copy", "-q", &format!("oci:{}:latest", layout.display()), &to])
    })?;
    fs::remove_dir_all(&out)?;
    eprintln!("  {repository} round {round}: skopeo alone copied in {alone:.2} s");
    let (mut pushed, mut pulled) = (Vec::new(), Vec::new());
    for side in &order {
        let seconds = timed(layouts, |n, layout| {
            let to = format!("{}/{repository}:{}", side.host, tag(round, n));
            push(&format!("oci:{}:latest", layout.display()), &to, &side.token, dir)
        })?;
        eprintln!("  {repository} round {round}: {} pushed in {seconds:.2} s", side.name);
        pushed.push(seconds);
    }
    for side in &order {
        let seconds = timed(layouts, |n, _| {
            pull(side, repository, &tag(round, n), &out.join(n.to_string()), dir)
        })?;
        fs::remove_dir_all(&out)?;
        eprintln!("  {repository} round {round}: {} pulled in {seconds:.2} s", side.name);
        pulled.push(seconds);
    }
    if round % 2 == 1 {
        pushed.reverse();
        pulled.reverse();
    }
    let beyond = |seconds: &[f64]| seconds.iter().map(|s| (s - alone).max(BEYOND_S_MIN)).collect();
    let (push_beyond, pull_beyond) = (beyond(&pushed), beyond(&pulled));
    Ok([pushed, pulled, push_beyond, pull_beyond])
}

/// The repository of a round's `skopeo sync`: a pull takes all tags of one.
fn synced(round: usize) -> String {
    format!("bench/sync-{round}")
}

/// Pushes all images to each side with one process, then pulls them with one: seconds by side.
fn syncs(sides: &[Side], round: usize, layouts: &[PathBuf], dir: &Path) -> Result<[Vec<f64>; 2]> {
    let (from, out) = (dir.join("sync"), dir.join("out"));
    let repository = synced(round);
    let name = repository.strip_prefix("bench/").unwrap_or_default();
    for (n, layout) in layouts.iter().enumerate() {
        // skopeo takes the name of a directory for name and tag.
        let to = from.join(format!("{name}:{}", tag(round, n)));
        fs::create_dir_all(&to)?;
        let to = format!("dir:{}", to.display());
        skopeo(&["copy", "-q", &format!("oci:{}:latest", layout.display()), &to])?;
    }
    let mut order: Vec<&Side> = sides.iter().collect();
    if round % 2 == 1 {
        order.reverse();
    }
    // It tells of every image, and cannot be told not to.
    let sync = |side: &Side, arguments: &[&str]| -> Result<f64> {
        let auth = auth_file(&side.host, &side.token, dir)?;
        let mut command = Command::new("skopeo");
        command
            .args(["--insecure-policy", "sync", "--authfile", &auth])
            .args(arguments);
        let started = Instant::now();
        let output = command.output().context("failed to run skopeo")?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(
            output.status.success(),
            "skopeo sync {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(seconds)
    };
    let (mut pushed, mut pulled) = (Vec::new(), Vec::new());
    for side in &order {
        let to = format!("{}/bench", side.host);
        let of = from.display().to_string();
        let seconds = sync(
            side,
            &["--dest-tls-verify=false", "--src", "dir", "--dest", "docker", &of, &to],
        )?;
        eprintln!(
            "  sync of small images, round {round}: {} took them in {seconds:.2} s",
            side.name
        );
        pushed.push(seconds);
    }
    for side in &order {
        fs::create_dir_all(&out)?;
        let of = format!("{}/{repository}", side.host);
        let to = out.display().to_string();
        let seconds = sync(
            side,
            &["--src-tls-verify=false", "--src", "docker", "--dest", "dir", &of, &to],
        )?;
        let there = fs::read_dir(&out)?.count();
        ensure!(
            there == layouts.len(),
            "{} gave {there} of {} images",
            side.name,
            layouts.len()
        );
        fs::remove_dir_all(&out)?;
        eprintln!(
            "  sync of small images, round {round}: {} gave them in {seconds:.2} s",
            side.name
        );
        pulled.push(seconds);
    }
    fs::remove_dir_all(&from)?;
    if round % 2 == 1 {
        pushed.reverse();
        pulled.reverse();
    }
    Ok([pushed, pulled])
}

/// Uploads a new blob to each side with curl, then downloads it: seconds by side.
fn blob(sides: &[Side], round: usize, dir: &Path) -> Result<[Vec<f64>; 2]> {
    let file = dir.join("blob");
    noise(&file, LARGE_BYTES)?;
    let digest = sha256(&file)?;
    let mut order: Vec<&Side> = sides.iter().collect();
    if round % 2 == 1 {
        order.reverse();
    }
    let (mut pushed, mut pulled) = (Vec::new(), Vec::new());
    for side in &order {
        let blobs = format!("http://{}/v2/bench/large/blobs", side.host);
        let started = Instant::now();
        let session = curl(side, &["-X", "POST", "-D", "-", &format!("{blobs}/uploads/")])?;
        let location = session
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .starts_with("location:")
                    .then(|| line[9..].trim())
            })
            .context("the upload has no location")?;
        let mut location = location.to_owned();
        if location.starts_with('/') {
            location = format!("http://{}{location}", side.host);
        }
        let joint = if location.contains('?') { '&' } else { '?' };
        let to = format!("{location}{joint}digest=sha256:{digest}");
        let content = "Content-Type: application/octet-stream";
        curl(side, &["-H", content, "-T", &file.to_string_lossy(), &to])?;
        let seconds = started.elapsed().as_secs_f64();
        eprintln!(
            "  a blob of 1 GiB, round {round}: {} took it in {seconds:.2} s",
            side.name
        );
        pushed.push(seconds);
    }
    for side in &order {
        let url = format!("http://{}/v2/bench/large/blobs/sha256:{digest}", side.host);
        let started = Instant::now();
        curl(side, &["-L", "-o", "/dev/null", &url])?;
        let seconds = started.elapsed().as_secs_f64();
        eprintln!(
            "  a blob of 1 GiB, round {round}: {} gave it in {seconds:.2} s",
            side.name
        );
        pulled.push(seconds);
    }
    if round % 2 == 1 {
        pushed.reverse();
        pulled.reverse();
    }
    fs::remove_file(&file)?;
    Ok([pushed, pulled])
}

/// Writes a blob to the disk and reads it from there: seconds.
fn disk(round: usize, dir: &Path) -> Result<[f64; 2]> {
    let (from, to) = (dir.join("blob"), dir.join("copy"));
    noise(&from, LARGE_BYTES)?;
    let written = dd(&from, &to, "conv=fdatasync")?;
    let read = dd(&to, Path::new("/dev/null"), "iflag=direct")?;
    eprintln!("  a blob of 1 GiB, round {round}: the disk took it in {written:.2} s and gave it in {read:.2} s");
    fs::remove_file(&from)?;
    fs::remove_file(&to)?;
    Ok([written, read])
}

/// Seconds that dd takes for a copy.
fn dd(from: &Path, to: &Path, how: &str) -> Result<f64> {
    let mut command = Command::new("dd");
    command.args([
        &format!("if={}", from.display()),
        &format!("of={}", to.display()),
        "bs=1M",
        how,
    ]);
    let started = Instant::now();
    let output = command.output().context("failed to run dd")?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "dd {how}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(seconds)
}

/// Runs curl with a side's token and returns what it printed.
fn curl(side: &Side, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("curl");
    command.args(["-sSf", "-H", "Expect:"]);
    if !side.token.is_empty() {
        command.args(["-H", &format!("Authorization: Basic {}", side.token)]);
    }
    let output = command.args(arguments).output().context("failed to run curl")?;
    ensure!(
        output.status.success(),
        "curl {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Seconds for doing something with each layout in turn.
fn timed(layouts: &[PathBuf], mut each: impl FnMut(usize, &Path) -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    for (n, layout) in layouts.iter().enumerate() {
        each(n, layout)?;
    }
    Ok(started.elapsed().as_secs_f64())
}

fn pull(side: &Side, repository: &str, tag: &str, to: &Path, dir: &Path) -> Result<()> {
    let auth = auth_file(&side.host, &side.token, dir)?;
    fs::create_dir_all(to)?;
    skopeo(&[
        "copy",
        "-q",
        "--src-tls-verify=false",
        "--authfile",
        &auth,
        &format!("docker://{}/{repository}:{tag}", side.host),
        &format!("dir:{}", to.display()),
    ])
}

/// Requests a second for something of the image with fifty layers.
fn rate(side: &Side, path: &str, connections: &str, dir: &Path) -> Result<f64> {
    let mut headers = vec![format!("Accept: {MANIFEST}")];
    if !side.token.is_empty() {
        headers.push(format!("Authorization: Basic {}", side.token));
    }
    let url = format!(
        "http://{}/v2/bench/middle/{path}",
        side.host.replace("localhost", "127.0.0.1")
    );
    if !side.token.is_empty() {
        headers.push(format!("Host: {}", side.host));
    }
    let answered = wrk::run(Command::new("wrk"), dir, connections, WRK_SECONDS, &headers, &url)?;
    Ok(answered.requests / answered.seconds)
}

/// An OCI image layout with layers of noise: gzip without compression, so that nobody compresses them again.
fn layout(dir: &Path, layers: usize, bytes: u64) -> Result<PathBuf> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let mut descriptors = Vec::new();
    let mut diff_ids = Vec::new();
    for n in 0..layers {
        let partial = dir.join(format!("layer-{n}"));
        noise(&partial, bytes)?;
        let (digest, size) = take_in(&blobs, &partial)?;
        descriptors
            .push(json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size}));
        // Nobody runs these images; a digest is a digest.
        diff_ids.push(digest);
    }
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let (digest, size) = take_in_text(dir, &blobs, &config)?;
    let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": size});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": descriptors});
    let (digest, size) = take_in_text(dir, &blobs, &manifest)?;
    let entry = json!({"mediaType": MANIFEST, "digest": digest, "size": size,
        "annotations": {"org.opencontainers.image.ref.name": "latest"}});
    fs::write(
        dir.join("index.json"),
        json!({"schemaVersion": 2, "manifests": [entry]}).to_string(),
    )?;
    fs::write(
        dir.join("oci-layout"),
        json!({"imageLayoutVersion": "1.0.0"}).to_string(),
    )?;
    Ok(dir.to_owned())
}

fn noise(path: &Path, bytes: u64) -> Result<()> {
    let mut out = GzEncoder::new(io::BufWriter::new(File::create(path)?), Compression::none());
    io::copy(&mut File::open("/dev/urandom")?.take(bytes), &mut out)?;
    out.finish()?.flush()?;
    Ok(())
}

fn take_in_text(dir: &Path, blobs: &Path, value: &Value) -> Result<(String, u64)> {
    let partial = dir.join("partial");
    fs::write(&partial, value.to_string())?;
    take_in(blobs, &partial)
}

/// Moves a file to the name of its digest.
fn take_in(blobs: &Path, file: &Path) -> Result<(String, u64)> {
    let digest = sha256(file)?;
    let size = fs::metadata(file)?.len();
    fs::rename(file, blobs.join(&digest))?;
    Ok((format!("sha256:{digest}"), size))
}

/// A file's digest in hexadecimal.
fn sha256(file: &Path) -> Result<String> {
    let output = Command::new("sha256sum")
        .arg(file)
        .output()
        .context("failed to run sha256sum")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let digest = text.split_whitespace().next().unwrap_or_default();
    ensure!(digest.len() == 64, "sha256sum failed for {}", file.display());
    Ok(digest.to_owned())
}

/// The digest of a layout's first layer.
fn first_layer(layout: &Path) -> Result<String> {
    let read = |path: PathBuf| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let index = read(layout.join("index.json"))?;
    let digest = index["manifests"][0]["digest"].as_str().context("no manifest")?;
    let manifest = read(layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:")))?;
    Ok(manifest["layers"][0]["digest"].as_str().context("no layer")?.to_owned())
}
