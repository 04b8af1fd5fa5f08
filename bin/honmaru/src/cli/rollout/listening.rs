//! What a task listens on instead of the port that it should: the cause behind a refused connection. The node reads it in
//! the kernel's tables, whatever is in the image, and ECS shows it as an attribute of the task.

use std::collections::BTreeSet;

/// The task's attribute.
pub const ATTRIBUTE: &str = "honmaru.listening";

/// Ports that somebody in a task listens on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// For everybody.
    pub to_all: BTreeSet<u16>,
    /// On loopback addresses.
    pub to_itself: BTreeSet<u16>,
}

impl Open {
    /// Reads the attribute: `0.0.0.0:9999 127.0.0.1:8080`. What it does not know it leaves out.
    pub fn read(said: &str) -> Self {
        let mut open = Self::default();
        for socket in said.split_whitespace() {
            match socket.split_once(':') {
                Some(("127.0.0.1", port)) => open.to_itself.extend(port.parse::<u16>()),
                Some(("0.0.0.0", port)) => open.to_all.extend(port.parse::<u16>()),
                _ => {}
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attribute_is_read() {
        let open = Open::read("0.0.0.0:3001 0.0.0.0:9999 127.0.0.1:8080 nonsense [::]:1 0.0.0.0:x");
        assert_eq!(open.to_itself.into_iter().collect::<Vec<_>>(), [8_080]);
        assert_eq!(open.to_all.into_iter().collect::<Vec<_>>(), [3_001, 9_999]);
        assert_eq!(Open::read(""), Open::default());
    }
}
