//! Where the statements of a document stand in its text.

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1; in characters.
    pub column: usize,
}

/// For each statement of a document that was parsed, the places after its opening and its closing brace, which is how
/// the policy simulator counts.
pub fn statement_places(document: &str) -> Vec<(Place, Place)> {
    let mut places = Vec::new();
    let (mut place, mut depth) = (Place { line: 1, column: 1 }, 0_usize);
    // Whether the value of the member "Statement" of the outermost object is being read, and where a statement began.
    let (mut inside, mut begun, mut statement_depth) = (false, None, 0);
    let mut text: Option<String> = None;
    let (mut escaped, mut last) = (false, String::new());
    for c in document.chars() {
        place.column += 1;
        if c == '\n' {
            place = Place {
                line: place.line + 1,
                column: 1,
            };
        }
        if let Some(open) = &mut text {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => last = text.take().unwrap_or_default(),
                c => open.push(c),
            }
            continue;
        }
        match c {
            '"' => text = Some(String::new()),
            ':' if depth == 1 => inside = last == "Statement",
            '{' | '[' => {
                depth += 1;
                if inside && begun.is_none() && c == '{' {
                    (begun, statement_depth) = (Some(place), depth);
                }
            }
            '}' | ']' => {
                if depth == statement_depth
                    && let Some(start) = begun.take()
                {
                    places.push((start, place));
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_simulator() {
        let at = |line, column| Place { line, column };
        // Ref: AWS CLI, simulate-custom-policy, example 1.
        let one = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}"#;
        assert_eq!(statement_places(one), [(at(1, 38), at(1, 167))]);
        let two = "{\n \"Id\": \"Statement\", \"Statement\": [\n  {\"Sid\": \"}\\\"\"},\n  {\n  }\n ]\n}";
        assert_eq!(statement_places(two), [(at(3, 4), at(3, 17)), (at(4, 4), at(5, 4))]);
        assert!(statement_places("{").is_empty());
    }
}
