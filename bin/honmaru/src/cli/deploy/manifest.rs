//! What shall be deployed: the options, then `honmaru.toml` of the directory, then the defaults.

use super::network::LISTENER_PORT;
use super::walls::{Root, WayOut};
use crate::cli::app::App;
use crate::cli::failure::Usage;
use honmaru_build::BuildSettings;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file in the directory.
pub const FILE: &str = "honmaru.toml";
/// The path of the health check where nothing says another.
pub const HEALTH_PATH_DEFAULT: &str = "/health";
const CPU_DEFAULT: u32 = 256;
const MEMORY_DEFAULT_MIB: u32 = 512;
/// Sizes of a task: CPU units, the least and the most MiB, and the step between. Ref: ECS RegisterTaskDefinition, `cpu`.
const SIZES: [(u32, u32, u32, u32); 8] = [
    (256, 512, 512, 512),
    (256, 1_024, 2_048, 1_024),
    (512, 1_024, 4_096, 1_024),
    (1_024, 2_048, 8_192, 1_024),
    (2_048, 4_096, 16_384, 1_024),
    (4_096, 8_192, 30_720, 1_024),
    (8_192, 16_384, 61_440, 4_096),
    (16_384, 32_768, 122_880, 8_192),
];
/// How long a task may be unhealthy after its start before it is replaced, in seconds.
pub const GRACE_DEFAULT_S: u32 = 60;
/// The port of HTTPS where nothing says another.
const TLS_PORT_DEFAULT: u16 = 443;
/// How long logs may be kept, in days; 0: until they are deleted. Ref: CloudWatch Logs `PutRetentionPolicy`.
const LOG_DAYS: [u32; 23] = [
    0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];
/// Ref: ECS quotas: tasks of a service.
pub const COUNT_MAX: u32 = 5_000;

/// The options that `honmaru.toml` knows, too.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Settings {
    /// The app's name; the directory's name by default
    #[arg(long)]
    pub name: Option<String>,
    /// The port that the app listens on; the one that the image exposes by default
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The path that answers 200 when the app is well; what it is now by default, the first time /health, or / where
    /// there is no /health
    #[arg(long, value_name = "PATH")]
    pub health_path: Option<String>,
    /// How many tasks; what runs now by default, 2 the first time
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=i64::from(COUNT_MAX)))]
    pub count: Option<u32>,
    /// CPU units of a task, 1024 for one core [default: 256, or what the memory needs]
    #[arg(long)]
    pub cpu: Option<u32>,
    /// Memory of a task in MiB [default: 512, or the least for the CPU units]
    #[arg(long)]
    pub memory: Option<u32>,
    /// An environment variable of the app; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// A value of an ARG of the Dockerfile; NAME alone takes it from the environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_arg: Vec<String>,
    /// The stage of the Dockerfile to build; the last one by default
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// How many seconds the app may take to become healthy [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub grace: Option<u32>,
    /// Do not put a web application firewall in front of the app
    #[arg(long)]
    pub no_waf: bool,
    /// Make the root file system read-only, or writable again; what it is now by default, at first writable
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub read_only: Option<bool>,
    /// A directory in memory that the app may write to, all else being read-only; may be repeated [default: /tmp:64]
    #[arg(long, value_name = "PATH[:MIB]")]
    pub writable: Vec<String>,
    /// Where the app may open connections to: all, none, a network as 10.0.0.0/8, or a TCP port of one as 0.0.0.0/0:443;
    /// may be repeated; what it is now by default, at first all
    #[arg(long, value_name = "all|none|NETWORK[:PORT]")]
    pub egress: Vec<String>,
    /// Pass on headers whose names have other characters than letters, digits and hyphens, or drop them; what it is now
    /// by default, at first they are dropped
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub odd_headers: Option<bool>,
    /// How many days logs are kept, 0 for until they are deleted; what it is now by default, at first 365
    #[arg(long, value_name = "DAYS")]
    pub log_days: Option<u32>,
    /// Serve HTTPS with this certificate (PEM): the server's own, then those that lead on from it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of `--tls-cert` (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The port of HTTPS [default: 443]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub tls_port: Option<u16>,
    /// Serve over HTTP too, instead of leading to HTTPS
    #[arg(long)]
    pub no_redirect: bool,
    /// Serve HTTPS no longer; without this and without a certificate it stays as it is
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key", "tls_port", "no_redirect"])]
    pub no_tls: bool,
}

/// `honmaru.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    name: Option<String>,
    port: Option<u16>,
    health_path: Option<String>,
    count: Option<u32>,
    cpu: Option<u32>,
    memory: Option<u32>,
    #[serde(default)]
    env: BTreeMap<String, Scalar>,
    grace: Option<u32>,
    waf: Option<bool>,
    read_only: Option<bool>,
    writable: Option<Vec<String>>,
    egress: Option<Words>,
    odd_headers: Option<bool>,
    log_days: Option<u32>,
    #[serde(default)]
    build: BuildTable,
    tls: Option<TlsTable>,
}

/// How HTTPS is served. Files are named from the directory on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsTable {
    cert: PathBuf,
    key: PathBuf,
    port: Option<u16>,
    redirect: Option<bool>,
}

/// How the directory is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildTable {
    #[serde(default)]
    args: BTreeMap<String, Scalar>,
    target: Option<String>,
}

/// One word, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl Words {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Several(words) => words,
        }
    }
}

/// A value of a variable: TOML's numbers and booleans are as good as texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(i64),
    Bool(bool),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
        }
    }
}

/// What shall become of HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// It stays as it is: a forgotten option must not cut clients off.
    Kept,
    /// It goes.
    Off,
    /// It serves with these files.
    On(TlsFiles),
}

/// The files of HTTPS, and how it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub port: u16,
    /// Whether HTTP leads to HTTPS.
    pub redirects: bool,
}

/// What shall be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub app: App,
    pub dir: PathBuf,
    /// Nothing: the image says it.
    pub port: Option<u16>,
    /// Nothing: what it is now, or the default.
    pub health_path: Option<String>,
    /// Nothing: as many as run now.
    pub count: Option<u32>,
    pub cpu: u32,
    pub memory_mib: u32,
    pub env: BTreeMap<String, String>,
    pub grace_s: u32,
    pub waf: bool,
    pub root: Root,
    /// Nothing: as it is now.
    pub egress: Option<Vec<WayOut>>,
    /// Nothing: as it is now.
    pub odd_headers: Option<bool>,
    /// Nothing: as many as now.
    pub log_days: Option<u32>,
    pub build: BuildSettings,
    pub tls: Tls,
}

impl Plan {
    /// Reads the directory's file and puts the options over it.
    pub fn make(dir: &Path, settings: &Settings) -> Result<Self, Usage> {
        if !dir.is_dir() {
            return Err(Usage(format!(
                "`{}` is no directory\nhint: name the one with the Dockerfile",
                dir.display()
            )));
        }
        let path = dir.join(FILE);
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => read(&text).map_err(|error| Usage(format!("`{}`: {error}", path.display())))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(Usage(format!("`{}` cannot be read: {error}", path.display()))),
        };
        Self::merge(dir, settings, file)
    }

    fn merge(dir: &Path, settings: &Settings, file: File) -> Result<Self, Usage> {
        let app = match settings.name.as_deref().or(file.name.as_deref()) {
            Some(name) => name.parse()?,
            None => App::of_directory(dir)?,
        };
        let mut env: BTreeMap<String, String> = file
            .env
            .into_iter()
            .map(|(name, value)| (name, value.into_text()))
            .collect();
        for pair in &settings.env {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(Usage(format!(
                    "`--env {pair}` has no value\nhint: write `--env {pair}=VALUE`"
                )));
            };
            env.insert(name.to_owned(), value.to_owned());
        }
        if let Some(name) = env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return Err(Usage(format!(
                "`{name}` is no name for a variable\nhint: write `--env NAME=VALUE`"
            )));
        }
        let build = build_settings(settings, file.build)?;
        let health_path = settings.health_path.clone().or(file.health_path);
        if let Some(health_path) = &health_path
            && (!health_path.starts_with('/') || health_path.contains(char::is_whitespace))
        {
            return Err(Usage(format!(
                "`{health_path}` is no path\nhint: it begins with `/`, for example `/health`"
            )));
        }
        let port = settings.port.or(file.port);
        if port == Some(0) {
            return Err(Usage("0 is no port that an app can listen on".to_owned()));
        }
        let count = settings.count.or(file.count);
        if count.is_some_and(|count| count > COUNT_MAX) {
            return Err(Usage(format!("a service has at most {COUNT_MAX} tasks")));
        }
        let tls = tls(dir, settings, file.tls)?;
        let (cpu, memory_mib) = size(settings.cpu.or(file.cpu), settings.memory.or(file.memory))?;
        let writable = given(&settings.writable).or(file.writable);
        // `--read-only=false` stands above the file's directories, too.
        let writable = writable.filter(|_| settings.read_only != Some(false) || !settings.writable.is_empty());
        let read_only = settings
            .read_only
            .or(file.read_only.filter(|_| settings.writable.is_empty()));
        let root = Root::of(read_only, writable.as_deref(), memory_mib)?;
        let egress = given(&settings.egress).or(file.egress.map(Words::into_list));
        let egress = egress.map(|words| WayOut::of(&words)).transpose()?;
        let log_days = settings.log_days.or(file.log_days);
        if let Some(days) = log_days.filter(|days| !LOG_DAYS.contains(days)) {
            let known: Vec<String> = LOG_DAYS.iter().skip(1).map(u32::to_string).collect();
            return Err(Usage(format!(
                "logs cannot be kept for {days} days\nhint: days are {}, or 0 for until they are deleted",
                known.join(", ")
            )));
        }
        Ok(Self {
            app,
            dir: dir.to_owned(),
            port,
            health_path,
            count,
            cpu,
            memory_mib,
            env,
            grace_s: settings.grace.or(file.grace).unwrap_or(GRACE_DEFAULT_S),
            waf: !settings.no_waf && file.waf.unwrap_or(true),
            root,
            egress,
            odd_headers: settings.odd_headers.or(file.odd_headers),
            log_days,
            build,
            tls,
        })
    }

    /// The directory as the user named it.
    pub fn shown_dir(&self) -> String {
        self.dir.display().to_string()
    }
}

/// What was given, if anything was.
fn given(words: &[String]) -> Option<Vec<String>> {
    Some(words.to_vec()).filter(|words| !words.is_empty())
}

/// HTTPS: a pair of options stands above the file's pair, and the other options above the rest of it.
fn tls(dir: &Path, settings: &Settings, file: Option<TlsTable>) -> Result<Tls, Usage> {
    if settings.no_tls {
        return Ok(Tls::Off);
    }
    let (port, redirect) = file.as_ref().map_or((None, None), |file| (file.port, file.redirect));
    let pair = match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        _ => file.map(|file| (dir.join(file.cert), dir.join(file.key))),
    };
    let Some((cert, key)) = pair else {
        let alone = [
            (settings.tls_port.is_some(), "--tls-port"),
            (settings.no_redirect, "--no-redirect"),
        ];
        return match alone.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, option)) => Err(Usage(format!(
                "`{option}` goes with a certificate\nhint: add `--tls-cert FILE --tls-key FILE`"
            ))),
            None => Ok(Tls::Kept),
        };
    };
    let port = settings.tls_port.or(port).unwrap_or(TLS_PORT_DEFAULT);
    if port == 0 || port == LISTENER_PORT {
        return Err(Usage(format!(
            "{port} is no port for HTTPS{}\nhint: it is {TLS_PORT_DEFAULT} unless you say otherwise",
            if port == LISTENER_PORT {
                ": it is that of HTTP"
            } else {
                ""
            }
        )));
    }
    Ok(Tls::On(TlsFiles {
        cert,
        key,
        port,
        redirects: !settings.no_redirect && redirect.unwrap_or(true),
    }))
}

/// The arguments of the build and its stage. An argument without a value has that of the environment, as with other
/// builders; there it must be.
fn build_settings(settings: &Settings, file: BuildTable) -> Result<BuildSettings, Usage> {
    let mut arguments: BTreeMap<String, String> = file
        .args
        .into_iter()
        .map(|(name, value)| (name, value.into_text()))
        .collect();
    for pair in &settings.build_arg {
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let value = std::env::var(pair).map_err(|_| {
                    Usage(format!(
                        "`--build-arg {pair}` has no value, and neither has the environment\nhint: write `--build-arg \
                         {pair}=VALUE`"
                    ))
                })?;
                (pair.as_str(), value)
            }
        };
        arguments.insert(name.to_owned(), value);
    }
    let is_name = |name: &str| {
        let mut letters = name.bytes();
        letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if let Some(name) = arguments.keys().find(|name| !is_name(name)) {
        return Err(Usage(format!(
            "`{name}` is no name for an argument of the build\nhint: it has letters, digits and `_`, as in `ARG VERSION`"
        )));
    }
    let target = settings.target.clone().or(file.target);
    if target.as_deref().is_some_and(|target| target.trim().is_empty()) {
        return Err(Usage(
            "the target is empty\nhint: name a stage, as in `FROM IMAGE AS STAGE`".to_owned(),
        ));
    }
    Ok(BuildSettings { arguments, target })
}

/// CPU units and MiB of a task: what is left open follows from what is given. A size that no task can have is refused
/// before anything is built.
fn size(cpu: Option<u32>, memory: Option<u32>) -> Result<(u32, u32), Usage> {
    let has = |(_, min, max, step): &(u32, u32, u32, u32), mib: u32| {
        (*min..=*max).contains(&mib) && (mib - min).is_multiple_of(*step)
    };
    let of_cpu = |wanted: u32| SIZES.iter().filter(move |(units, ..)| *units == wanted);
    let chosen = match (cpu, memory) {
        (None, None) => Some((CPU_DEFAULT, MEMORY_DEFAULT_MIB)),
        (Some(cpu), None) => of_cpu(cpu).next().map(|(_, min, ..)| (cpu, *min)),
        (None, Some(mib)) => SIZES.iter().find(|row| has(row, mib)).map(|(units, ..)| (*units, mib)),
        (Some(cpu), Some(mib)) => of_cpu(cpu).find(|row| has(row, mib)).map(|_| (cpu, mib)),
    };
    chosen.ok_or_else(|| {
        let asked = match (cpu, memory) {
            (Some(cpu), Some(mib)) => format!("{cpu} CPU units with {mib} MiB"),
            (Some(cpu), None) => format!("{cpu} CPU units"),
            (None, mib) => format!("{} MiB", mib.unwrap_or_default()),
        };
        let known = cpu.filter(|cpu| of_cpu(*cpu).next().is_some());
        let hint = match known {
            Some(cpu) => {
                let rows = of_cpu(cpu).map(|(_, min, max, step)| match min == max {
                    true => format!("{min} MiB"),
                    false => format!("{min} to {max} MiB in steps of {step}"),
                });
                format!("{cpu} CPU units go with {}", rows.collect::<Vec<_>>().join(" or "))
            }
            None => {
                "CPU units are 256, 512, 1024, 2048, 4096, 8192 or 16384 (1024 are one core), memory is 512, 1024, \
                     2048, 3072 and so on: give one, and the other follows"
                    .to_owned()
            }
        };
        Usage(format!("there is no task of {asked}\nhint: {hint}"))
    })
}

fn read(text: &str) -> Result<File, String> {
    let plain = |said: String| {
        said.replace("expected u16", "expected a port")
            .replace("expected u32", "expected a number")
    };
    toml::from_str(text).map_err(|error| plain(error.to_string().trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(settings: &Settings, file: &str) -> Result<Plan, String> {
        Plan::merge(Path::new("/src/shop"), settings, read(file)?).map_err(|usage| usage.0)
    }

    #[test]
    fn options_stand_over_the_file_and_the_file_over_defaults() {
        let settings = Settings {
            count: Some(3),
            env: vec!["A=1".to_owned(), "B=x=y".to_owned()],
            ..Settings::default()
        };
        let file = "port = 3000\ncount = 1\nhealth-path = \"/up\"\nwaf = false\n[env]\nA = \"file\"\nDEBUG = true\n";
        let plan = merged(&settings, file).expect("valid");
        assert_eq!((plan.app.name(), plan.port, plan.count), ("shop", Some(3000), Some(3)));
        assert_eq!(
            (plan.cpu, plan.memory_mib, plan.grace_s, plan.waf),
            (256, 512, 60, false)
        );
        assert_eq!(plan.health_path.as_deref(), Some("/up"));
        let env: Vec<String> = plan.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["A=1", "B=x=y", "DEBUG=true"]);
    }

    #[test]
    fn the_build_has_arguments_and_a_stage() {
        let settings = Settings {
            build_arg: vec!["A=1".to_owned(), "B=x=y".to_owned(), "PATH".to_owned()],
            ..Settings::default()
        };
        let file = "[build]\ntarget = \"release\"\n[build.args]\nA = \"file\"\nDEBUG = true\n";
        let build = merged(&settings, file).expect("valid").build;
        let pair = |name: &str| build.arguments.get(name).map(String::as_str);
        assert_eq!(
            (pair("A"), pair("B"), pair("DEBUG")),
            (Some("1"), Some("x=y"), Some("true"))
        );
        assert_eq!(pair("PATH"), std::env::var("PATH").ok().as_deref());
        assert_eq!(build.target.as_deref(), Some("release"));
        let settings = Settings {
            target: Some("debug".to_owned()),
            ..Settings::default()
        };
        assert_eq!(
            merged(&settings, file).expect("valid").build.target.as_deref(),
            Some("debug")
        );
        for (build_arg, target, expected) in [
            (
                "NO_SUCH_VARIABLE_HERE",
                "x",
                "has no value, and neither has the environment",
            ),
            ("1A=x", "x", "`1A` is no name for an argument"),
            ("=x", "x", "`` is no name for an argument"),
            ("A=", " ", "the target is empty"),
        ] {
            let settings = Settings {
                build_arg: vec![build_arg.to_owned()],
                target: Some(target.to_owned()),
                ..Settings::default()
            };
            let error = merged(&settings, "").expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        let error = merged(&Settings::default(), "[build]\nsecrets = 1\n").expect_err("no such member");
        assert!(error.contains("unknown field `secrets`"), "{error}");
    }

    #[test]
    fn https_has_a_pair_of_files_or_stays_as_it_is() {
        let tls = |settings: &Settings, file: &str| merged(settings, file).map(|plan| plan.tls);
        let on = |cert: &str, key: &str, port, redirects| {
            Ok(Tls::On(TlsFiles {
                cert: cert.into(),
                key: key.into(),
                port,
                redirects,
            }))
        };
        let given = |cert: &str, key: &str| Settings {
            tls_cert: Some(cert.into()),
            tls_key: Some(key.into()),
            ..Settings::default()
        };
        let file = "[tls]\ncert = \"shop.pem\"\nkey = \"/etc/shop.key\"\nport = 8443\nredirect = false\n";
        assert_eq!(tls(&Settings::default(), ""), Ok(Tls::Kept));
        assert_eq!(tls(&given("a.pem", "a.key"), ""), on("a.pem", "a.key", 443, true));
        assert_eq!(
            tls(&Settings::default(), file),
            on("/src/shop/shop.pem", "/etc/shop.key", 8443, false)
        );
        assert_eq!(tls(&given("a.pem", "a.key"), file), on("a.pem", "a.key", 8443, false));
        let port = Settings {
            tls_port: Some(444),
            ..Settings::default()
        };
        assert_eq!(tls(&port, file), on("/src/shop/shop.pem", "/etc/shop.key", 444, false));
        let off = Settings {
            no_tls: true,
            ..Settings::default()
        };
        assert_eq!(tls(&off, file), Ok(Tls::Off));
        let plain = Settings {
            no_redirect: true,
            ..Settings::default()
        };
        for (settings, file, expected) in [
            (port, "", "`--tls-port` goes with a certificate"),
            (plain, "", "`--no-redirect` goes with a certificate"),
            (Settings::default(), "[tls]\ncert = \"a\"\n", "missing field `key`"),
            (
                Settings::default(),
                "[tls]\ncert = \"a\"\nkey = \"b\"\nport = 80\n",
                "80 is no port for HTTPS: it is that of HTTP",
            ),
        ] {
            let error = tls(&settings, file).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn walls_stay_unless_something_is_said() {
        let plan = |settings: &Settings, file: &str| merged(settings, file).expect("valid");
        let plain = plan(&Settings::default(), "");
        assert_eq!(
            (plain.root, plain.egress, plain.odd_headers, plain.log_days),
            (Root::Kept, None, None, None)
        );
        let file = "read-only = true\nwritable = [\"/data:8\"]\negress = \"none\"\nodd-headers = true\nlog-days = 0\n";
        let said = plan(&Settings::default(), file);
        let dirs = |dir: &str| Root::ReadOnly(Some(vec![dir.parse().map_err(|e: Usage| e.0).expect("a directory")]));
        assert_eq!(
            (said.root, said.egress, said.odd_headers, said.log_days),
            (dirs("/data:8"), Some(Vec::new()), Some(true), Some(0))
        );
        let networks = plan(&Settings::default(), "egress = [\"10.0.0.0/8\", \"0.0.0.0/0:443\"]\n").egress;
        assert_eq!(networks.map(|ways| ways.len()), Some(2));
        let over = Settings {
            read_only: Some(false),
            egress: vec!["all".to_owned()],
            odd_headers: Some(false),
            log_days: Some(30),
            ..Settings::default()
        };
        let over = plan(&over, file);
        assert_eq!(
            (over.root, over.odd_headers, over.log_days),
            (Root::Writable, Some(false), Some(30))
        );
        assert_eq!(over.egress.map(|ways| ways.len()), Some(1));
        let dir = Settings {
            writable: vec!["/var/run".to_owned()],
            ..Settings::default()
        };
        assert_eq!(plan(&dir, "").root, dirs("/var/run"));
        assert_eq!(plan(&dir, file).root, dirs("/var/run"));
        assert_eq!(plan(&dir, "read-only = false\n").root, dirs("/var/run"));
    }

    #[test]
    fn one_half_of_a_size_chooses_the_other() {
        let size = |cpu, memory| super::size(cpu, memory).map_err(|usage| usage.0);
        assert_eq!(size(None, None), Ok((256, 512)));
        assert_eq!(size(None, Some(2_048)), Ok((256, 2_048)));
        assert_eq!(size(None, Some(4_096)), Ok((512, 4_096)));
        assert_eq!(size(Some(1_024), None), Ok((1_024, 2_048)));
        assert_eq!(size(Some(8_192), Some(20_480)), Ok((8_192, 20_480)));
        let error = size(Some(256), Some(100)).expect_err("no such size");
        assert!(error.contains("256 CPU units with 100 MiB"), "{error}");
        assert!(
            error.ends_with("256 CPU units go with 512 MiB or 1024 to 2048 MiB in steps of 1024"),
            "{error}"
        );
        assert!(
            size(Some(100), None)
                .expect_err("no such CPU")
                .contains("no task of 100 CPU units")
        );
        assert!(
            size(None, Some(1_500))
                .expect_err("no such memory")
                .contains("no task of 1500 MiB")
        );
    }

    #[test]
    fn mistakes_are_named() {
        let settings = |env: &str| Settings {
            env: vec![env.to_owned()],
            ..Settings::default()
        };
        for (settings, file, expected) in [
            (settings("A"), "", "`--env A` has no value"),
            (settings("=1"), "", "is no name for a variable"),
            (Settings::default(), "prot = 80", "unknown field `prot`"),
            (Settings::default(), "health-path = \"up\"", "`up` is no path"),
            (Settings::default(), "name = \"Shop\"", "`Shop` is no name"),
            (Settings::default(), "port = 0", "0 is no port"),
            (Settings::default(), "port = \"x\"", "expected a port"),
            (Settings::default(), "memory = 3", "no task of 3 MiB"),
            (Settings::default(), "log-days = 31", "logs cannot be kept for 31 days"),
            (Settings::default(), "egress = []", "`egress` names nothing"),
            (
                Settings::default(),
                "writable = [\"tmp\"]",
                "`tmp` is no writable directory",
            ),
        ] {
            let error = merged(&settings, file).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
