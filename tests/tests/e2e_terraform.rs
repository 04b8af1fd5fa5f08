//! Goal: Terraform's AWS provider applies, finds nothing to change, and destroys: roles, a cluster, a log group, a
//! repository and security groups; a registry with all that belongs to one, which is changed once; beside it a service
//! behind a load balancer with a web ACL, as people write one, which is changed once; what Honmaru has not got fails by
//! its name.
//! Method: the real terraform and provider, where they are installed; without them the test says so and ends.

use anyhow::{Context, Result, anyhow, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, root, text, wait_until};
use honmaru_tests::tls;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

/// How long one run of terraform may take.
const TERRAFORM_TIMEOUT: Duration = Duration::from_secs(240);

/// The name that the certificates of the service stack are for.
const SECURE_HOST: &str = "tf-web.example.com";

/// The directory of provider plugins: `HONMARU_TERRAFORM_PLUGINS`, else where the machine has them.
fn plugins() -> Option<PathBuf> {
    let named = std::env::var_os("HONMARU_TERRAFORM_PLUGINS").map(PathBuf::from);
    let dir = named.unwrap_or_else(|| PathBuf::from("/opt/tf-plugins"));
    let vendors = std::fs::read_dir(&dir).ok()?.flatten();
    let has_provider = vendors
        .map(|host| host.path().join("hashicorp/aws"))
        .any(|path| path.is_dir());
    has_provider.then_some(dir)
}

fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join("terraform").is_file())
}

#[test]
fn terraform() -> Result<()> {
    let (true, Some(plugins)) = (installed(), plugins()) else {
        println!(
            "skipped: terraform, or its AWS provider (HONMARU_TERRAFORM_PLUGINS, else /opt/tf-plugins), is not installed"
        );
        return Ok(());
    };
    let cloud = Cloud::start()?;
    let work = Work::new(&cloud, &plugins)?;
    let base = work.stack("base")?;
    phase("the base stack", || stack(&work, &base, &[]))?;
    phase("nothing of it is left", || {
        let roles = cloud.aws(&["iam", "list-roles", "--query", "Roles[?starts_with(RoleName, 'tf-')]"])?;
        ensure!(roles.as_array().is_some_and(Vec::is_empty), "{roles}");
        let repositories = cloud.aws(&["ecr", "describe-repositories", "--query", "repositories"])?;
        ensure!(repositories.as_array().is_some_and(Vec::is_empty), "{repositories}");
        Ok(())
    })?;
    let image = cloud.python("push.py", &["tf-image", "v1"])?;
    // Most of terraform's time is waiting: the registry's stack has nothing of the service's, and goes on beside it.
    std::thread::scope(|scope| {
        let registry = scope.spawn(|| registry_stack(&work));
        let service = service_stack(&cloud, &work, &image);
        let registry = registry.join().map_err(|_| anyhow!("the registry stack panicked"));
        service.and(registry?)
    })?;
    drop(work);
    phase("destroy leaves the host clean", || cloud.finish())
}

fn registry_stack(work: &Work<'_>) -> Result<()> {
    let registry = work.stack("ecr")?;
    phase("the registry stack, and a change of it", || {
        work.apply(&registry, &[])?;
        work.plan_is_empty(&registry, &[])?;
        stack(work, &registry, &["-var=step=2"])
    })
}

fn service_stack(cloud: &Cloud, work: &Work<'_>, image: &serde_json::Value) -> Result<()> {
    let variable = format!("-var=image={}", image["image"].as_str().context("an image")?);
    let service = work.stack("service")?;
    for step in ["step1", "step2"] {
        let file = |end: &str| service.join(format!("{step}.{end}"));
        let names = format!("DNS:{SECURE_HOST}");
        tls::self_signed_for(SECURE_HOST, &names, &file("pem"), &file("key"))?;
    }
    phase("the service stack: apply", || work.apply(&service, &[&variable]))?;
    phase("it serves", || {
        wait_until("the service answers", Duration::from_secs(60), || {
            let (status, body) = cloud.http(cloud.http_port, "tf-web.localhost", "/")?;
            ensure!(status == 200 && body.starts_with("ip-"), "status {status}: {body}");
            let (status, body) = cloud.http(cloud.http_port, "tf-web.localhost", "/teapot")?;
            ensure!(status == 418 && body == "short and stout", "status {status}: {body}");
            let attack = "/?id=1%27%20OR%20%271%27%3D%271";
            let (status, _) = cloud.http(cloud.http_port, "tf-web.localhost", attack)?;
            ensure!(status == 403, "an injection has status {status}");
            answers_securely(cloud, &service.join("step1.pem"), 443)
        })
    })?;
    phase("the service stack: an empty plan", || {
        work.plan_is_empty(&service, &[&variable])
    })?;
    phase("what Honmaru has not got fails by its name", || {
        let scaling = work.stack("scaling")?;
        work.fails(
            &scaling,
            "does not implement application-autoscaling:RegisterScalableTarget",
        )
    })?;
    let changed = [variable.as_str(), "-var=step=2"];
    phase("the service stack: a change", || work.apply(&service, &changed))?;
    phase("the change serves", || {
        wait_until("the rule has its new answer", Duration::from_secs(60), || {
            let (status, body) = cloud.http(cloud.http_port, "tf-web.localhost", "/teapot")?;
            ensure!(status == 418 && body == "tipped over", "status {status}: {body}");
            let (status, body) = cloud.http(cloud.http_port, "tf-web.localhost", "/")?;
            ensure!(status == 200 && body.starts_with("ip-"), "status {status}: {body}");
            let (status, _) = cloud.http(cloud.http_port, "tf-web.localhost", "/old/page")?;
            ensure!(status == 301, "a redirect has status {status}");
            answers_securely(cloud, &service.join("step2.pem"), 8443)
        })
    })?;
    phase("the service stack: an empty plan after the change", || {
        work.plan_is_empty(&service, &changed)
    })?;
    phase("the service stack: destroy", || work.destroy(&service, &changed))
}

/// Asks over HTTPS at the load balancer's own address and trusts that certificate alone.
fn answers_securely(cloud: &Cloud, trust: &Path, port: u16) -> Result<()> {
    let query = "NetworkInterfaces[?starts_with(Description, 'ELB app/tf-web/')].PrivateIpAddress | [0]";
    let address = cloud.aws(&["ec2", "describe-network-interfaces", "--query", query])?;
    let address = address.as_str().context("the address of the load balancer")?;
    let mut curl = cloud.command("curl")?;
    curl.args(["-sS", "-m", "20", "--cacert"])
        .arg(trust)
        .args(["--connect-to", &format!("{SECURE_HOST}:{port}:{address}:{port}")])
        .arg(format!("https://{SECURE_HOST}:{port}/"));
    let answer = bounded(&mut curl, Duration::from_secs(60))?;
    let (said, failed) = (text(&answer.stdout), text(&answer.stderr));
    ensure!(said.starts_with("ip-"), "over HTTPS: {said}{failed}");
    Ok(())
}

fn stack(work: &Work<'_>, dir: &Path, variables: &[&str]) -> Result<()> {
    work.apply(dir, variables)?;
    work.plan_is_empty(dir, variables)?;
    work.destroy(dir, variables)
}

/// Terraform's files, away from the repository.
struct Work<'a> {
    cloud: &'a Cloud,
    dir: PathBuf,
}

impl<'a> Work<'a> {
    fn new(cloud: &'a Cloud, plugins: &Path) -> Result<Self> {
        let dir = PathBuf::from(format!("/tmp/honmaru-terraform-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let mirror = plugins.display();
        let config = format!(
            "disable_checkpoint = true\nprovider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n  }}\n}}\n"
        );
        std::fs::write(dir.join("terraformrc"), config)?;
        Ok(Self { cloud, dir })
    }

    /// A copy of a stack, initialised.
    fn stack(&self, name: &str) -> Result<PathBuf> {
        let (from, to) = (root().join("tests/clients/terraform"), self.dir.join(name));
        std::fs::create_dir_all(&to)?;
        std::fs::copy(from.join("provider.tf"), to.join("provider.tf"))?;
        std::fs::copy(from.join(name).join("main.tf"), to.join("main.tf"))?;
        self.checked(&to, &["init", "-input=false"], &[])?;
        Ok(to)
    }

    fn run(&self, dir: &Path, arguments: &[&str], more: &[&str]) -> Result<Output> {
        let mut command = self.cloud.command("terraform")?;
        command
            .env("TF_CLI_CONFIG_FILE", self.dir.join("terraformrc"))
            .env("TF_IN_AUTOMATION", "1")
            .current_dir(dir)
            .args(arguments)
            .arg("-no-color")
            .args(more);
        bounded(&mut command, TERRAFORM_TIMEOUT)
    }

    fn checked(&self, dir: &Path, arguments: &[&str], more: &[&str]) -> Result<()> {
        let output = self.run(dir, arguments, more)?;
        let (said, failed) = (text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.success(),
            "terraform {arguments:?} failed:\n{said}\n{failed}"
        );
        Ok(())
    }

    fn apply(&self, dir: &Path, variables: &[&str]) -> Result<()> {
        self.checked(dir, &["apply", "-auto-approve", "-input=false"], variables)
    }

    fn destroy(&self, dir: &Path, variables: &[&str]) -> Result<()> {
        self.checked(dir, &["destroy", "-auto-approve", "-input=false"], variables)
    }

    /// Applies what cannot be, and looks for the reason.
    fn fails(&self, dir: &Path, reason: &str) -> Result<()> {
        let output = self.run(dir, &["apply", "-auto-approve", "-input=false"], &[])?;
        // Terraform breaks long lines of its errors.
        let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(
            !output.status.success() && said.contains(reason),
            "no `{reason}` in: {said}"
        );
        Ok(())
    }

    /// Exit code 0 says that there is nothing to do, 2 that there is. Ref: `terraform plan -detailed-exitcode`.
    fn plan_is_empty(&self, dir: &Path, variables: &[&str]) -> Result<()> {
        let output = self.run(dir, &["plan", "-detailed-exitcode", "-input=false"], variables)?;
        let (said, failed) = (text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.code() == Some(0),
            "the plan is not empty:\n{said}\n{failed}"
        );
        Ok(())
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
