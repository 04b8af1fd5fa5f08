//! The table. Each file is a group of controls about one subject, in the catalogue's order.

mod access;
mod balancers;
mod host;
mod images;
mod logs;
mod network;
mod processes;
mod services;
mod task_definitions;

use crate::control::Control;

pub use task_definitions::looks_secret;

/// Every control.
pub fn all() -> impl Iterator<Item = &'static Control> {
    [
        images::CONTROLS,
        task_definitions::CONTROLS,
        processes::CONTROLS,
        services::CONTROLS,
        network::CONTROLS,
        balancers::CONTROLS,
        access::CONTROLS,
        logs::CONTROLS,
        host::CONTROLS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::all;
    use crate::layers::LAYERS;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_there_once_and_of_the_catalogues_form() {
        let mut seen = BTreeSet::new();
        for control in all() {
            assert!(seen.insert(control.id), "{} is there twice", control.id);
            let (group, number) = control.id.split_once('-').expect("a group and a number");
            assert!("ITNASLHD".contains(group) && number.len() == 2 && number.parse::<u8>().is_ok());
            let rows = LAYERS.iter().filter(|row| row.layer == control.layer);
            assert_eq!(rows.count(), 1, "{}", control.id);
        }
    }

    // Goal: the page for people names every control as it is.
    #[test]
    fn the_documentation_has_every_control() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/responsibility.md");
        let page = std::fs::read_to_string(page).expect("the page is there");
        for control in all() {
            let owner = control.owner.word().get(..1).unwrap_or_default();
            let row = format!(
                "| {} | {} | {owner} | {} |",
                control.id,
                control.title,
                control.severity.word()
            );
            assert!(page.contains(&row), "docs/responsibility.md lacks: {row}");
        }
        let rows = page
            .lines()
            .filter(|line| line.get(3..4) == Some("-") && line.starts_with("| "))
            .count();
        assert_eq!(
            rows,
            all().count(),
            "docs/responsibility.md names controls that are not there"
        );
    }
}
