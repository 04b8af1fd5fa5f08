//! A container's root: layers, upper directory, kernel file systems, volumes, masks; then pivot_root.
//!
//! Runs in the container's process, in its own mount namespace, as the host's root: nothing is ever mounted on the
//! host, and all of it goes with the namespace. The user namespace is joined only afterwards, so that sysfs, proc and
//! overlay mount without its restrictions. Layers are id-mapped: files of the image's root belong to the container's.

use crate::cgroup::{Mode, V1_CONTROLLERS};
use crate::failure::{During, Failure, Step, cause};
use crate::resolve;
use crate::sys::{self, MOUNT_ATTR_IDMAP, MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY};
use honmaru_runtime_protocol::{Bind, Container, Tmpfs};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Most layers. Ref: overlayfs, OVL_MAX_STACK.
const LAYERS_MAX: usize = 500;
/// Size of /dev/shm when none is given. Ref: Docker.
const SHM_MIB: u32 = 64;

const HIDDEN: libc::c_ulong = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;

/// Ref: OCI runtime specification, default devices.
const DEVICES: [(&str, (u32, u32)); 6] = [
    ("null", (1, 3)),
    ("zero", (1, 5)),
    ("full", (1, 7)),
    ("random", (1, 8)),
    ("urandom", (1, 9)),
    ("tty", (5, 0)),
];
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];
/// Ref: moby, default masked paths.
const MASKED: [&str; 12] = [
    "proc/asound",
    "proc/acpi",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/sched_debug",
    "proc/scsi",
    "sys/firmware",
    "sys/devices/virtual/powercap",
];
/// Ref: moby, default read-only paths.
const READ_ONLY: [&str; 5] = ["proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"];

/// What a root is made of besides the container's own words.
pub struct Root<'a> {
    pub container: &'a Container,
    /// A directory of the task that only serves as a mount point.
    pub scratch: &'a str,
    /// The container's directory on the host: `upper`, `work`, `resolv.conf`, `hosts`, `hostname`.
    pub own_dir: &'a str,
    /// The user namespace that layers and volumes are mapped with.
    pub userns: Option<BorrowedFd<'a>>,
    /// The host id of root inside.
    pub base: u32,
    pub cgroup_mode: Mode,
    /// Files of `own_dir` to bind over those of the image, by name in `/etc`.
    pub etc_files: &'a [&'a str],
}

impl Root<'_> {
    /// Makes the root and enters it. Afterwards the working directory is `/` of the container.
    pub fn enter(&self) -> Step<()> {
        sys::mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE, "").during("mount", "make / private")?;
        sys::mount("tmpfs", self.scratch, "tmpfs", HIDDEN, "size=1m,mode=700").during("mount", self.scratch)?;
        std::env::set_current_dir(self.scratch).during("mount", self.scratch)?;
        self.overlay()?;
        let root =
            sys::open_at(libc::AT_FDCWD, "root", libc::O_PATH | libc::O_DIRECTORY, 0, 0).during("mount", "root")?;
        let root = root.as_raw_fd();
        self.kernel_file_systems(root)?;
        self.devices(root)?;
        self.etc(root)?;
        self.volumes(root)?;
        if let Some(path) = &self.container.working_directory {
            resolve::make_dir(root, path, self.base)
                .map_err(|failure| Failure::new("workdir", format!("create {path}: {}", failure.message)))?;
        }
        self.masks(root)?;
        if self.container.readonly_root {
            // Without AT_RECURSIVE: volumes and tmpfs keep their own.
            sys::set_mount_attributes(root, MOUNT_ATTR_RDONLY, None, false).during("mount", "root read-only")?;
        }
        sys::change_dir_to(root).during("mount", "enter the root")?;
        sys::pivot_here().during("mount", "pivot_root")
    }

    /// Mounts at `root` below the scratch directory. Names are short and relative: mount(2) takes one page of options,
    /// and paths of the host may contain colons and commas.
    fn overlay(&self) -> Step<()> {
        let layers = &self.container.layers;
        if layers.is_empty() || layers.len() > LAYERS_MAX {
            return Err(Failure::new(
                "layers",
                format!("{} layers; 1 to {LAYERS_MAX} are possible", layers.len()),
            ));
        }
        let mut lower = String::new();
        for (index, layer) in layers.iter().enumerate() {
            let name = index.to_string();
            let tree = sys::clone_tree(layer, false).during("layers", layer)?;
            if let Some(userns) = self.userns {
                sys::set_mount_attributes(tree.as_raw_fd(), MOUNT_ATTR_IDMAP, Some(userns), false).map_err(
                    |error| {
                        let text = format!(
                            "the file system of layer {layer} cannot be id-mapped: {}",
                            cause(&error)
                        );
                        Failure::new("layers", text)
                    },
                )?;
            }
            attach_as(&tree, &name).during("layers", layer)?;
            let separator = if lower.is_empty() { "" } else { ":" };
            lower = format!("{name}{separator}{lower}");
        }
        for (name, owner) in [("upper", self.base), ("work", 0)] {
            let path = format!("{}/{name}", self.own_dir);
            fs::create_dir_all(&path).during("layers", &path)?;
            std::os::unix::fs::chown(&path, Some(owner), Some(owner)).during("layers", &path)?;
        }
        self.copy_root_mode();
        let own = sys::clone_tree(self.own_dir, false).during("layers", self.own_dir)?;
        attach_as(&own, "own").during("layers", self.own_dir)?;
        fs::create_dir("root").during("layers", "root")?;
        // `volatile`: no sync when the container asks for one or ends. Its files do not outlive the task, and a task
        // does not outlive the machine. A container that starts again finds the mark of its first life.
        let _first_life = fs::remove_dir_all("own/work/work/incompat");
        let options = format!("lowerdir={lower},upperdir=own/upper,workdir=own/work");
        let volatile = sys::mount(
            "overlay",
            "root",
            "overlay",
            libc::MS_NODEV,
            &format!("{options},volatile"),
        );
        let mounted = match volatile {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                sys::mount("overlay", "root", "overlay", libc::MS_NODEV, &options)
            }
            other => other,
        };
        mounted.map_err(|error| {
            let mapped = if self.userns.is_some() {
                " (id-mapped layers need Linux 5.19)"
            } else {
                ""
            };
            Failure::new(
                "layers",
                format!(
                    "mount the overlay of {} layers{mapped}: {}",
                    layers.len(),
                    cause(&error)
                ),
            )
        })
    }

    /// The root directory's mode comes from the upper directory: take over the topmost layer's.
    fn copy_root_mode(&self) {
        let top = self.container.layers.last().and_then(|layer| fs::metadata(layer).ok());
        if let Some(found) = top {
            let _keeps_0755 = fs::set_permissions(format!("{}/upper", self.own_dir), found.permissions());
        }
    }

    fn kernel_file_systems(&self, root: RawFd) -> Step<()> {
        self.mount_at(root, "proc", "proc", HIDDEN, "")?;
        self.mount_at(root, "sys", "sysfs", HIDDEN | libc::MS_RDONLY, "")?;
        // Programs read their limits there. Nothing is lost for the others when the host has no such file system.
        if self.cgroup_files(root).is_err() {
            let _not_there = std::env::set_current_dir(self.scratch);
        }
        Ok(())
    }

    fn cgroup_files(&self, root: RawFd) -> Step<()> {
        match self.cgroup_mode {
            Mode::V2 => self.mount_at(root, "sys/fs/cgroup", "cgroup2", HIDDEN, "")?,
            Mode::V1 => {
                self.mount_at(root, "sys/fs/cgroup", "tmpfs", HIDDEN, "size=0k,mode=755")?;
                for controller in V1_CONTROLLERS {
                    let path = format!("sys/fs/cgroup/{controller}");
                    self.mount_at(root, &path, "cgroup", HIDDEN, controller)?;
                    let mounted = resolve::open_strict(root, &path).during("mount", &path)?;
                    read_only(&mounted).during("mount", &path)?;
                }
            }
        }
        let mounted = resolve::open_strict(root, "sys/fs/cgroup").during("mount", "sys/fs/cgroup")?;
        read_only(&mounted).during("mount", "sys/fs/cgroup")
    }

    /// Mounts a file system on a directory of the root that is no link. Mounting on `.` needs no path of the host's.
    fn mount_at(&self, root: RawFd, path: &str, kind: &str, flags: libc::c_ulong, data: &str) -> Step<()> {
        resolve::make_dir(root, path, self.base)?;
        let target = resolve::open_strict(root, path).during("mount", format!("/{path} of the image"))?;
        mount_on(&target, kind, flags, data).during("mount", format!("{kind} on /{path}"))
    }

    fn devices(&self, root: RawFd) -> Step<()> {
        let base = self.base;
        let options = format!("mode=755,size=64k,uid={base},gid={base}");
        self.mount_at(root, "dev", "tmpfs", libc::MS_NOSUID, &options)?;
        let dev = resolve::open_strict(root, "dev").during("mount", "/dev")?;
        for (name, device) in DEVICES {
            sys::mknod_at(dev.as_raw_fd(), name, 0o666, device, base).during("mount", format!("create /dev/{name}"))?;
        }
        for (target, name) in DEVICE_LINKS {
            sys::symlink_at(target, dev.as_raw_fd(), name).during("mount", format!("create /dev/{name}"))?;
        }
        let options = format!("newinstance,ptmxmode=0666,mode=0620,gid={}", base + 5);
        self.mount_at(root, "dev/pts", "devpts", libc::MS_NOSUID | libc::MS_NOEXEC, &options)?;
        let size = self.container.shm_mib.unwrap_or(SHM_MIB);
        let options = format!("mode=1777,size={size}m,uid={base},gid={base}");
        self.mount_at(root, "dev/shm", "tmpfs", HIDDEN, &options)?;
        self.mount_at(root, "dev/mqueue", "mqueue", HIDDEN, "")
    }

    /// The files that the task gives each container, writable inside.
    fn etc(&self, root: RawFd) -> Step<()> {
        for name in self.etc_files {
            let source = format!("{}/{name}", self.own_dir);
            let tree = sys::clone_tree(&source, false).during("mount", &source)?;
            let target = resolve::make_file(root, &format!("etc/{name}"), self.base)?;
            sys::attach_tree(tree.as_raw_fd(), target.as_raw_fd()).during("mount", format!("/etc/{name}"))?;
        }
        Ok(())
    }

    /// tmpfs, binds and what the image wants to be writable, outer paths before inner ones.
    fn volumes(&self, root: RawFd) -> Step<()> {
        enum Volume<'a> {
            Tmpfs(&'a Tmpfs),
            Bind(&'a Bind),
            Own(&'a str),
        }
        let depth = |path: &str| path.split('/').filter(|name| !name.is_empty()).count();
        let mut volumes: Vec<(usize, Volume)> = Vec::new();
        volumes.extend(
            self.container
                .tmpfs
                .iter()
                .map(|tmpfs| (depth(&tmpfs.path), Volume::Tmpfs(tmpfs))),
        );
        volumes.extend(
            self.container
                .binds
                .iter()
                .map(|bind| (depth(&bind.target), Volume::Bind(bind))),
        );
        let own = self.container.writable_dirs.iter();
        volumes.extend(own.map(|path| (depth(path), Volume::Own(path))));
        // At one place the task definition's mount hides the image's, so it comes later.
        volumes.sort_by_key(|(depth, volume)| (*depth, !matches!(volume, Volume::Own(_))));
        for (depth, volume) in volumes {
            match volume {
                Volume::Tmpfs(tmpfs) if depth > 0 => self.tmpfs(root, tmpfs)?,
                Volume::Bind(bind) if depth > 0 => self.bind(root, bind)?,
                Volume::Own(path) if depth > 0 => self.writable_dir(root, path)?,
                Volume::Tmpfs(_) | Volume::Bind(_) | Volume::Own(_) => {
                    return Err(Failure::new("mount", "a volume cannot be mounted on /"));
                }
            }
        }
        Ok(())
    }

    fn tmpfs(&self, root: RawFd, tmpfs: &Tmpfs) -> Step<()> {
        let mut flags = HIDDEN;
        let mut mode = "1777";
        for option in &tmpfs.options {
            match option.as_str() {
                "ro" => flags |= libc::MS_RDONLY,
                "exec" => flags &= !libc::MS_NOEXEC,
                "suid" => flags &= !libc::MS_NOSUID,
                "noatime" => flags |= libc::MS_NOATIME,
                "rw" | "noexec" | "nosuid" | "nodev" | "defaults" | "async" | "relatime" => {}
                other => match other.strip_prefix("mode=") {
                    Some(digits) if digits.len() <= 4 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7')) => {
                        mode = digits;
                    }
                    Some(_) | None => {
                        let text = format!("tmpfs {}: unknown mount option `{other}`", tmpfs.path);
                        return Err(Failure::new("mount", text));
                    }
                },
            }
        }
        let target = resolve::make_dir(root, &tmpfs.path, self.base)?;
        let options = format!(
            "size={}m,mode={mode},uid={base},gid={base}",
            tmpfs.size_mib.max(1),
            base = self.base
        );
        mount_on(&target, "tmpfs", flags, &options).during("mount", format!("tmpfs on {}", tmpfs.path))
    }

    /// A mount of its own, which keeps its mode when the root's changes.
    fn writable_dir(&self, root: RawFd, path: &str) -> Step<()> {
        let target = resolve::make_dir(root, path, self.base)?;
        if is_dir(&target).during("mount", path)? {
            bind_on(&target, &target).during("mount", path)?;
        }
        Ok(())
    }

    fn bind(&self, root: RawFd, bind: &Bind) -> Step<()> {
        let during = format!("volume {} on {}", bind.source, bind.target);
        let tree = sys::clone_tree(&bind.source, true).during("mount", &during)?;
        let is_dir = fs::metadata(&bind.source).during("mount", &during)?.is_dir();
        if let Some(userns) = self.userns {
            // Where the volume's file system knows no id maps, its files belong to nobody inside, but are there.
            let _unmapped = sys::set_mount_attributes(tree.as_raw_fd(), MOUNT_ATTR_IDMAP, Some(userns), false);
        }
        let attributes = MOUNT_ATTR_NODEV | if bind.read_only { MOUNT_ATTR_RDONLY } else { 0 };
        sys::set_mount_attributes(tree.as_raw_fd(), attributes, None, true).during("mount", &during)?;
        let target = if is_dir {
            resolve::make_dir(root, &bind.target, self.base)?
        } else {
            resolve::make_file(root, &bind.target, self.base)?
        };
        sys::attach_tree(tree.as_raw_fd(), target.as_raw_fd()).during("mount", during)
    }

    fn masks(&self, root: RawFd) -> Step<()> {
        for path in MASKED {
            // What this kernel does not have needs no mask.
            let Ok(target) = resolve::open_strict(root, path) else {
                continue;
            };
            if is_dir(&target).during("mount", path)? {
                mount_on(&target, "tmpfs", HIDDEN | libc::MS_RDONLY, "size=0k").during("mount", path)?;
            } else {
                let null = resolve::open_strict(root, "dev/null").during("mount", "dev/null")?;
                bind_on(&null, &target).during("mount", path)?;
            }
        }
        for path in READ_ONLY {
            let Ok(target) = resolve::open_strict(root, path) else {
                continue;
            };
            bind_on(&target, &target).during("mount", path)?;
            let mounted = resolve::open_strict(root, path).during("mount", path)?;
            read_only(&mounted).during("mount", path)?;
        }
        Ok(())
    }
}

/// Attaches a detached mount as a new directory of the working directory.
fn attach_as(tree: &OwnedFd, name: &str) -> io::Result<()> {
    fs::create_dir(name)?;
    let target = sys::open_at(libc::AT_FDCWD, name, libc::O_PATH | libc::O_DIRECTORY, 0, 0)?;
    sys::attach_tree(tree.as_raw_fd(), target.as_raw_fd())
}

fn mount_on(target: &OwnedFd, kind: &str, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    sys::change_dir_to(target.as_raw_fd())?;
    sys::mount(kind, ".", kind, flags, data)
}

fn bind_on(source: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let tree = sys::clone_tree_at(source.as_raw_fd())?;
    sys::attach_tree(tree.as_raw_fd(), target.as_raw_fd())
}

fn read_only(mounted: &OwnedFd) -> io::Result<()> {
    sys::set_mount_attributes(mounted.as_raw_fd(), MOUNT_ATTR_RDONLY, None, false)
}

fn is_dir(descriptor: &OwnedFd) -> io::Result<bool> {
    Ok(fs::File::from(descriptor.try_clone()?).metadata()?.is_dir())
}
