//! Goal: whatever happens, services come to rest, nothing leaks, and no request is lost while nothing is broken.
//! Method: runs of `honmaru_tests::simulation`; a fixed set of seeds, and every seed that ever failed.
//!
//! More seeds: `HONMARU_SEEDS=1000..2000 cargo nextest run -p honmaru-tests --run-ignored only simulation`.

use honmaru_tests::simulation::run;

/// Seeds that once found something, each with what it was.
const REGRESSIONS: &str = include_str!("simulation-regressions.txt");

fn all(seeds: impl Iterator<Item = u64>) {
    let mut failures = Vec::new();
    for seed in seeds {
        if let Err(error) = run(seed) {
            failures.push(error);
        }
    }
    assert!(
        failures.is_empty(),
        "{} seeds failed:\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[test]
fn simulation_without_faults_loses_no_request() {
    all((0..40).step_by(2));
}

#[test]
fn simulation_with_faults_comes_to_rest() {
    all((1..40).step_by(2));
}

#[test]
fn simulation_of_seeds_that_once_failed() {
    let lines = REGRESSIONS
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    all(lines.map(|line| {
        line.split_whitespace()
            .next()
            .and_then(|seed| seed.parse().ok())
            .expect("a seed comes first")
    }));
}

#[test]
fn simulation_repeats_from_its_seed() {
    let first = run(3);
    assert_eq!(first, run(3));
    assert_ne!(first.map(|outcome| outcome.steps), run(5).map(|outcome| outcome.steps));
}

#[test]
#[ignore = "runs the seeds in HONMARU_SEEDS"]
fn simulation_of_the_seeds_that_were_asked_for() {
    let range = std::env::var("HONMARU_SEEDS").expect("HONMARU_SEEDS says which seeds to run");
    let (from, to) = range
        .split_once("..")
        .expect("HONMARU_SEEDS is a range such as 100..200");
    all(from.parse().expect("a number")..to.parse().expect("a number"));
}
