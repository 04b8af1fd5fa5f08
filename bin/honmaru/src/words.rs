//! A command line as words, by the shell's rules of quoting, without its expansions.

/// Splits a line: blanks part words; `'...'`, `"..."` and `\` keep them together.
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                word.extend(chars.by_ref().take_while(|c| *c != '\''));
            }
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => break,
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_keep_words_together() {
        for (line, words) in [
            ("/bin/sh", vec!["/bin/sh"]),
            ("/bin/sh -c 'echo \"a b\"'", vec!["/bin/sh", "-c", "echo \"a b\""]),
            ("a \"b \\\" c\" d\\ e ''", vec!["a", "b \" c", "d e", ""]),
            ("  ", vec![]),
        ] {
            assert_eq!(split(line), words, "{line}");
        }
    }
}
