//! Answers of query services as trees: an element with children is an object, a list (`member`, `item`) an array.

use anyhow::{Context, bail};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// Elements within each other at most.
const DEPTH_MAX: usize = 64;

/// An element that is open: its name, its children so far, its text so far.
type Element = (String, Vec<(String, Value)>, String);

/// The content of the document's root element.
pub fn read(bytes: &[u8]) -> anyhow::Result<Value> {
    let text = std::str::from_utf8(bytes).context("the answer is no UTF-8")?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    loop {
        match reader.read_event().context("the answer is no XML")? {
            Event::Start(start) => {
                if open.len() >= DEPTH_MAX {
                    bail!("the answer is nested too deep");
                }
                open.push((
                    String::from_utf8_lossy(start.local_name().as_ref()).into_owned(),
                    Vec::new(),
                    String::new(),
                ));
            }
            Event::Empty(empty) => {
                let name = String::from_utf8_lossy(empty.local_name().as_ref()).into_owned();
                if let Some((_, children, _)) = open.last_mut() {
                    children.push((name, Value::String(String::new())));
                }
            }
            Event::Text(piece) => {
                if let Some((_, _, text)) = open.last_mut() {
                    text.push_str(&piece.decode()?);
                }
            }
            Event::GeneralRef(reference) => {
                if let Some((_, _, text)) = open.last_mut() {
                    match reference.resolve_char_ref()? {
                        Some(character) => text.push(character),
                        None => text.push_str(match reference.decode()?.as_ref() {
                            "lt" => "<",
                            "gt" => ">",
                            "amp" => "&",
                            "quot" => "\"",
                            "apos" => "'",
                            other => bail!("the answer has an unknown entity `{other}`"),
                        }),
                    }
                }
            }
            Event::End(_) => {
                let Some((name, children, text)) = open.pop() else {
                    bail!("the answer is no XML")
                };
                let value = value(children, text);
                match open.last_mut() {
                    Some((_, siblings, _)) => siblings.push((name, value)),
                    None => return Ok(value),
                }
            }
            Event::Eof => bail!("the answer ends too early"),
            _ => {}
        }
    }
}

fn value(children: Vec<(String, Value)>, text: String) -> Value {
    if children.is_empty() {
        return Value::String(text.trim_matches(['\n', '\r', '\t']).to_owned());
    }
    if children.iter().all(|(name, _)| name == "member" || name == "item") {
        return Value::Array(children.into_iter().map(|(_, value)| value).collect());
    }
    Value::Object(children.into_iter().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn lists_objects_and_texts() {
        let tree =
            read(b"<R xmlns=\"x\"><A>1 &amp; 2</A><L><member><B>x</B></member><member><B>y</B></member></L></R>");
        assert_eq!(
            tree.expect("valid"),
            serde_json::json!({"A": "1 & 2", "L": [{"B": "x"}, {"B": "y"}]})
        );
        assert!(read(b"<R><A>").is_err());
    }
}
