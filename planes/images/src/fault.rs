//! Points at which a test kills the process, to see what a crash there leaves. Without the variable they do nothing.

/// Ends the process here, as SIGKILL would, when `HONMARU_FAULT` names this point. Debug builds only.
pub(crate) fn point(name: &str) {
    #[cfg(debug_assertions)]
    {
        static WANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let wanted = WANTED.get_or_init(|| std::env::var("HONMARU_FAULT").ok());
        if wanted.as_deref() == Some(name) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
