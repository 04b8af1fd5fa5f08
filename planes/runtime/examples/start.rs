//! Start latency: from `Runtime::start` until the container has exec'd; and of `exec` in it. Median, p10, min in ms.
//!
//! Root and busybox-static; `cargo run -p honmaru-runtime --example start [--release] -- [n]`. Each task: user namespace,
//! own network namespace, overlay, seccomp, memory, cpu and pids limits.

use honmaru_runtime::{
    Bundle, Container, ExecEvent, ExecStart, IdRange, Runtime, RuntimeConfig, StartError, TaskLimits,
};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(50), |text| text.parse())?;
    let dir = std::env::temp_dir().join(format!("hm-start-{}", std::process::id()));
    make_image(&dir.join("image"))?;
    let config = RuntimeConfig {
        state_dir: dir.join("state"),
        cgroup_name: format!("hm-start-{}", std::process::id()),
    };
    let runtime = Runtime::new(config)?;
    let measured = measure(&runtime, &dir, count).await;
    let swept = runtime.sweep().await?;
    std::fs::remove_dir_all(&dir)?;
    let (starts, execs) = measured?;
    report("start", starts);
    report("exec", execs);
    if swept.failed.is_empty() {
        Ok(())
    } else {
        Err(swept.failed.join("; ").into())
    }
}

async fn measure(runtime: &Runtime, dir: &Path, count: usize) -> Result<(Vec<f64>, Vec<f64>), StartError> {
    let (mut starts, mut execs) = (Vec::new(), Vec::new());
    for index in 0..count {
        let container = Container {
            name: "c".into(),
            essential: true,
            args: vec!["/bin/sleep".into(), "1000".into()],
            layers: vec![dir.join("image").to_string_lossy().into_owned()],
            ..Container::default()
        };
        let bundle = Bundle {
            task_id: format!("t{index}"),
            user_namespace: Some(IdRange {
                base: 2_000_000,
                size: 65_536,
            }),
            limits: TaskLimits {
                cpu_units: Some(256),
                memory_bytes: Some(512 << 20),
                pids: Some(1_024),
            },
            containers: vec![container],
            ..Bundle::default()
        };
        let begin = Instant::now();
        let task = runtime.start(bundle).await?;
        starts.push(begin.elapsed().as_secs_f64() * 1_000.0);
        let request = ExecStart {
            container: "c".into(),
            command: vec!["/bin/true".into()],
            ..ExecStart::default()
        };
        let begin = Instant::now();
        if let Ok(mut session) = task.exec(request).await {
            while let Some(event) = session.events.recv().await {
                if let ExecEvent::Exited { exit_code: 0 } = event {
                    execs.push(begin.elapsed().as_secs_f64() * 1_000.0);
                }
            }
        }
        runtime.remove(task.id()).await?;
    }
    Ok((starts, execs))
}

fn report(what: &str, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    let at = |part: f64| ms.get((ms.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
    println!(
        "{what}: median {:.1} ms, p10 {:.1}, min {:.1}, n = {}",
        at(0.5),
        at(0.1),
        at(0.0),
        ms.len()
    );
}

fn make_image(image: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(image.join("bin"))?;
    std::fs::copy("/bin/busybox", image.join("bin/busybox"))?;
    for applet in ["sh", "sleep", "true"] {
        std::os::unix::fs::symlink("busybox", image.join("bin").join(applet))?;
    }
    Ok(())
}
