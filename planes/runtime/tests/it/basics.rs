//! Exit codes, output, environment, identity, failures to start.

use crate::world::{Output, World, strings};
use honmaru_runtime::{Container, StartError, StopCause};

#[tokio::test]
async fn exit_codes_and_output_are_recorded() {
    let world = World::new();
    let (status, output) = world
        .run(world.shell("c", "echo out; echo err >&2; printf last; exit 7"))
        .await;
    assert_eq!(status.containers[0].exit_code(), Some(7));
    assert_eq!(
        status.cause,
        Some(StopCause::EssentialContainerExited { container: "c".into() })
    );
    assert_eq!(
        output,
        Output {
            stdout: "out\nlast\n".into(),
            stderr: "err\n".into()
        }
    );
    assert!(world.cgroups_left().is_empty());
}

#[tokio::test]
async fn a_signal_is_128_and_its_number() {
    let world = World::new();
    let (status, _) = world.run(world.shell("c", "sleep 100 & kill -9 $!; wait $!")).await;
    assert_eq!(status.containers[0].exit_code(), Some(137));
    assert!(!status.containers[0].oom());
}

#[tokio::test]
async fn environment_user_and_working_directory() {
    let world = World::new();
    let container = Container {
        env: vec![("COLOUR".into(), "blue green".into()), ("COLOUR".into(), "red".into())],
        user: Some("web".into()),
        working_directory: Some("/srv/new/dir".into()),
        ..world.shell(
            "c",
            "echo $COLOUR $HOME $PATH $(pwd) $(hostname) $HOSTNAME; id -u; id -g; id -G",
        )
    };
    let (_, output) = world.run(container).await;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(
        output.stdout,
        format!("red /srv/web {path} /srv/new/dir t t\n101\n102\n102 200\n")
    );
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named_as_ecs_names_it() {
    let world = World::new();
    for (index, (command, message)) in [
        (
            "foo",
            "CannotStartContainerError: exec: \"foo\": executable file not found in $PATH",
        ),
        (
            "/no/foo",
            "CannotStartContainerError: exec: \"/no/foo\": stat /no/foo: no such file or directory",
        ),
        (
            "not-executable",
            "CannotStartContainerError: exec: \"not-executable\": permission denied",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let task_id = format!("t{index}");
        let error = world
            .runtime
            .start(world.bundle(&task_id, vec![world.container("web", &[command])]))
            .await
            .unwrap_err();
        assert_eq!(error.ecs_text(), message);
        assert_eq!(error.container(), Some("web"));
        assert!(world.cgroups_left().is_empty());
        let status = world.runtime.task(&task_id).unwrap().status().await.unwrap();
        assert!(
            status.ended() && status.containers[0].exit_code().is_none(),
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_user_does_not_start() {
    let world = World::new();
    let container = Container {
        user: Some("nobody-here".into()),
        ..world.shell("c", "true")
    };
    let error = world
        .runtime
        .start(world.bundle("t", vec![container]))
        .await
        .unwrap_err();
    let message = "unable to find user nobody-here: no matching entries in passwd file";
    assert_eq!(error.ecs_text(), format!("CannotStartContainerError: {message}"));
}

#[tokio::test]
async fn a_failed_start_takes_its_siblings_with_it() {
    let world = World::new();
    let containers = vec![world.shell("first", "sleep 1000"), world.container("second", &["foo"])];
    let error = world.runtime.start(world.bundle("t", containers)).await.unwrap_err();
    assert_eq!(error.container(), Some("second"));
    let status = world.runtime.task("t").unwrap().status().await.unwrap();
    assert!(status.ended(), "{status:?}");
    assert!(matches!(status.cause, Some(StopCause::StartFailed(_))));
    assert!(world.cgroups_left().is_empty());
}

#[tokio::test]
async fn bad_bundles_are_refused_before_anything_is_made() {
    let world = World::new();
    let twice = vec![world.shell("c", "true"), world.shell("c", "true")];
    let none = Container {
        args: strings(&[]),
        ..world.shell("c", "true")
    };
    let slash = world.shell("../c", "true");
    for containers in [vec![], twice, vec![none], vec![slash]] {
        let error = world.runtime.start(world.bundle("t", containers)).await.unwrap_err();
        assert!(matches!(error, StartError::Invalid { .. }), "{error}");
    }
    assert!(world.runtime.task("t").is_err());
}
