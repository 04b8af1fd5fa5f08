//! What is logged: what `HONMARU_LOG` says, but never what libraries tell in detail of the bytes that pass through them:
//! among those are tokens of sessions and what people type into them.

use tracing_subscriber::EnvFilter;

/// Where the operator says what is logged.
const VARIABLE: &str = "HONMARU_LOG";

/// The libraries that see connections, and the most that each says. tungstenite's traces have whole messages.
const QUIET: [&str; 7] = [
    "h2=info",
    "hyper=info",
    "hyper_util=info",
    "rustls=info",
    "tokio_tungstenite=info",
    "tungstenite=info",
    "tungstenite::protocol=info",
];

/// The filter of `HONMARU_LOG`, or `default`'s where that is not set or makes no sense.
pub fn log_filter(default: &str) -> EnvFilter {
    let said = std::env::var(VARIABLE).ok();
    let filter = said.and_then(|text| EnvFilter::try_new(text).ok());
    quiet(filter.unwrap_or_else(|| EnvFilter::new(default)))
}

fn quiet(filter: EnvFilter) -> EnvFilter {
    let directives = QUIET.iter().filter_map(|directive| directive.parse().ok());
    directives.fold(filter, EnvFilter::add_directive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn messages_that_pass_through_are_in_no_log() {
        for said in [
            "trace",
            "tungstenite=trace,honmaru=trace",
            "tungstenite::protocol=trace,trace",
        ] {
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(quiet(EnvFilter::new(said)))
                .with_writer(std::io::sink)
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                assert!(tracing::enabled!(target: "honmaru::control", Level::TRACE), "{said}");
                assert!(!tracing::enabled!(target: "tungstenite", Level::DEBUG), "{said}");
                assert!(
                    !tracing::enabled!(target: "tungstenite::protocol", Level::DEBUG),
                    "{said}"
                );
                assert!(tracing::enabled!(target: "tungstenite", Level::INFO), "{said}");
            });
        }
        assert_eq!(
            QUIET
                .iter()
                .filter(|text| text.parse::<tracing_subscriber::filter::Directive>().is_ok())
                .count(),
            QUIET.len()
        );
    }
}
