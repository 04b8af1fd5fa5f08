//! Image names: which registry is this cloud's own.

use honmaru_base::Scope;
use honmaru_ecr_public::Door;

/// Where an image name points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageName {
    /// A repository of this cloud's registry.
    Own {
        /// Account and region of the repository.
        scope: Scope,
        /// The repository's name.
        repository: String,
        /// A tag (`latest` when none is given) or a digest (`sha256:...`).
        reference: String,
    },
    /// Another registry: the name with its registry, repository and tag or digest filled in.
    Remote(String),
}

/// Reads an image name of a task definition that belongs to `scope`. Our own are
/// `<account>.dkr.ecr.<region>.<anything>/<repository>` and `localhost[:port]/<repository>`, each with a tag or digest, and
/// the public ones `public.ecr.localhost[:port]/<alias>/<repository>` and `localhost[:port]/public/<alias>/<repository>`.
pub fn parse_image(scope: &Scope, name: &str) -> ImageName {
    let (host, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => ("docker.io", name),
    };
    let (repository, reference) = split_reference(path);
    let hostname = host.split(':').next().unwrap_or(host);
    // A public repository is read by everybody: no matter whose task it is.
    let door = match hostname {
        "public.ecr.localhost" => Some(Door::Host),
        "localhost" | "127.0.0.1" => Some(Door::Path),
        _ => None,
    };
    if let Some(public) = door.and_then(|door| door.open(repository)) {
        return ImageName::Own {
            scope: public.scope,
            repository: public.name.to_owned(),
            reference: reference.to_owned(),
        };
    }
    let own =
        ecr_scope(hostname).or_else(|| (hostname == "localhost" || hostname == "127.0.0.1").then(|| scope.clone()));
    if let Some(scope) = own {
        return ImageName::Own {
            scope,
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        };
    }
    let library = if host == "docker.io" && !repository.contains('/') {
        "library/"
    } else {
        ""
    };
    let mark = if reference.starts_with("sha256:") { '@' } else { ':' };
    ImageName::Remote(format!("{host}/{library}{repository}{mark}{reference}"))
}

/// Repository, and tag or digest. A digest wins over a tag.
fn split_reference(path: &str) -> (&str, &str) {
    if let Some((name, digest)) = path.split_once('@') {
        return (without_tag(name), digest);
    }
    match path.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (path, "latest"),
    }
}

fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// Account and region of `<account>.dkr.ecr.<region>.<anything>`.
fn ecr_scope(hostname: &str) -> Option<Scope> {
    let mut parts = hostname.split('.');
    let account = parts.next()?;
    if parts.next()? != "dkr" || !["ecr", "ecr-fips"].contains(&parts.next()?) {
        return None;
    }
    Scope::new(account, parts.next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope::new("000000000000", "us-east-1").expect("both are valid")
    }

    fn own(account: &str, region: &str, repository: &str, reference: &str) -> ImageName {
        let scope = Scope::new(account, region).expect("both are valid");
        ImageName::Own {
            scope,
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        }
    }

    #[test]
    fn our_own_images_are_recognised() {
        let cases = [
            ("localhost:4566/web", own("000000000000", "us-east-1", "web", "latest")),
            (
                "localhost:4566/team/web:1",
                own("000000000000", "us-east-1", "team/web", "1"),
            ),
            (
                "111122223333.dkr.ecr.eu-west-1.localhost:4566/web:v1",
                own("111122223333", "eu-west-1", "web", "v1"),
            ),
            (
                "111122223333.dkr.ecr.eu-west-1.amazonaws.com/web@sha256:ab",
                own("111122223333", "eu-west-1", "web", "sha256:ab"),
            ),
            (
                "localhost/web:1@sha256:ab",
                own("000000000000", "us-east-1", "web", "sha256:ab"),
            ),
        ];
        for (name, wanted) in cases {
            assert_eq!(parse_image(&scope(), name), wanted, "{name}");
        }
    }

    #[test]
    fn public_images_are_the_alias_owners() {
        let account = "111122223333".parse().expect("an account");
        let alias = honmaru_ecr_public::alias_of(&account);
        for name in [
            format!("public.ecr.localhost:4566/{alias}/team/web:1"),
            format!("localhost:4566/public/{alias}/team/web:1"),
        ] {
            let wanted = own("111122223333", "aws-global", "team/web", "1");
            assert_eq!(parse_image(&scope(), &name), wanted, "{name}");
        }
        let private = own("000000000000", "us-east-1", "public/web", "latest");
        assert_eq!(parse_image(&scope(), "localhost:4566/public/web"), private);
    }

    #[test]
    fn other_images_are_written_out() {
        let cases = [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("grafana/grafana:11", "docker.io/grafana/grafana:11"),
            (
                "public.ecr.aws/nginx/nginx@sha256:ab",
                "public.ecr.aws/nginx/nginx@sha256:ab",
            ),
            ("registry.example:5000/a/b", "registry.example:5000/a/b:latest"),
            ("x.dkr.ecr.y.z/a", "x.dkr.ecr.y.z/a:latest"),
        ];
        for (name, wanted) in cases {
            assert_eq!(
                parse_image(&scope(), name),
                ImageName::Remote(wanted.to_owned()),
                "{name}"
            );
        }
    }
}
