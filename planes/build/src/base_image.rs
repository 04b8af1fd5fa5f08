//! Base images that need no registry: made from programs of Debian packages on this machine.

use crate::stages::base_images;
use crate::{BuildError, BuildSettings, Builder};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name under which a Dockerfile finds the image of busybox.
pub const BUSYBOX_IMAGE: &str = "localhost/honmaru/busybox:latest";

fn file<'a>(path: &'a Path) -> impl FnOnce(std::io::Error) -> BuildError + 'a {
    move |source| BuildError::File {
        path: path.to_owned(),
        source,
    }
}

/// Makes the images of ours that a Dockerfile names, unless they are there.
pub async fn ensure_base_images(
    builder: &Builder,
    dockerfile: &str,
    settings: &BuildSettings,
) -> Result<(), BuildError> {
    let name = |image: &str| image.split([':', '@']).next().unwrap_or_default().to_owned();
    let images = base_images(dockerfile, settings);
    let wanted = images.iter().any(|image| name(image) == name(BUSYBOX_IMAGE));
    // No registry answers to `localhost` without a port: what is not here is nowhere, and nobody need wait for it.
    for image in images
        .iter()
        .filter(|image| image.starts_with("localhost/") && name(image) != name(BUSYBOX_IMAGE) && !image.contains('$'))
    {
        if !builder.has_image(image).await? {
            return Err(BuildError::NoBaseImage {
                image: image.clone(),
                cause: "no image of that name was built here".to_owned(),
            });
        }
    }
    if !wanted || builder.has_image(BUSYBOX_IMAGE).await? {
        return Ok(());
    }
    let context = tempfile::tempdir().map_err(file(Path::new("/tmp")))?;
    busybox_root(&context.path().join("root"))?;
    let dockerfile = context.path().join("Dockerfile");
    fs::write(
        &dockerfile,
        "FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin:/bin\nCMD [\"/bin/sh\"]\n",
    )
    .map_err(file(&dockerfile))?;
    builder
        .build(
            context.path(),
            &dockerfile,
            BUSYBOX_IMAGE,
            &BuildSettings::default(),
            &mut |_| {},
        )
        .await
}

/// busybox is static in Debian's package `busybox-static`; the one of package `busybox` needs libraries that are not
/// in the image. Either of them is `/bin/busybox`; only the package's documents tell which.
fn busybox() -> Option<PathBuf> {
    let is_static = Path::new("/usr/share/doc/busybox-static").is_dir();
    let path = ["/bin/busybox", "/usr/bin/busybox"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.is_file());
    path.filter(|_| is_static)
}

fn busybox_root(root: &Path) -> Result<(), BuildError> {
    let missing = || BuildError::NoBaseImage {
        image: BUSYBOX_IMAGE.to_owned(),
        cause: "there is no static busybox on this machine".to_owned(),
    };
    let busybox = busybox().ok_or_else(missing)?;
    let bin = root.join("bin");
    for dir in ["bin", "etc", "root", "tmp", "usr/local/bin", "var/run"] {
        let dir = root.join(dir);
        fs::create_dir_all(&dir).map_err(file(&dir))?;
    }
    let tmp = root.join("tmp");
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777)).map_err(file(&tmp))?;
    let target = bin.join("busybox");
    fs::copy(&busybox, &target).map_err(file(&busybox))?;
    fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).map_err(file(&target))?;
    let listed = Command::new(&busybox).arg("--list").output().map_err(file(&busybox))?;
    for applet in String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter(|name| *name != "busybox")
    {
        let link = bin.join(applet);
        symlink("busybox", &link).map_err(file(&link))?;
    }
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        fs::write(&path, text).map_err(file(&path))
    };
    write(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    )?;
    write("etc/group", "root:x:0:\nnogroup:x:65534:\n")
}
