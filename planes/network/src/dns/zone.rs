//! Which names we answer ourselves, and how. Pure: a query in, an answer or nothing out.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Seconds that an answer may be kept: short, because targets come and go.
const TTL_S: u32 = 5;

/// The names of this cloud: lower case, without a final dot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Zone(pub BTreeMap<String, Vec<Ipv4Addr>>);

impl Zone {
    /// The answer to a query, or nothing when others have to be asked. What is no query gets an error as its answer.
    pub fn answer(&self, query: &Message) -> Option<Message> {
        let metadata = query.metadata;
        let failed = |code| Some(reply(query, code));
        if metadata.message_type != MessageType::Query || metadata.op_code != OpCode::Query {
            return failed(ResponseCode::NotImp);
        }
        let [question] = query.queries.as_slice() else {
            return failed(ResponseCode::FormErr);
        };
        if question.query_class() != DNSClass::IN {
            return failed(ResponseCode::NotImp);
        }
        let name = question.name().to_string().trim_end_matches('.').to_ascii_lowercase();
        let addresses: &[Ipv4Addr] = match self.0.get(&name) {
            Some(addresses) => addresses,
            // Ref: RFC 6761, section 6.3.
            None if name == "localhost" || name.ends_with(".localhost") => &[Ipv4Addr::LOCALHOST],
            // Names of private domains mean nothing to the host's resolvers, and are none of their business.
            None if self.is_ours(&name) => return failed(ResponseCode::NXDomain),
            None => return None,
        };
        let mut answer = reply(query, ResponseCode::NoError);
        answer.metadata.authoritative = true;
        if matches!(question.query_type(), RecordType::A | RecordType::ANY) {
            for address in addresses {
                answer.add_answer(Record::from_rdata(
                    question.name().clone(),
                    TTL_S,
                    RData::A(A(*address)),
                ));
            }
        }
        Some(answer)
    }

    /// Whether a name that is not in the map lies in a domain that only this cloud answers.
    fn is_ours(&self, name: &str) -> bool {
        [".internal", ".local"].iter().any(|domain| name.ends_with(domain))
    }
}

/// An answer without records.
pub(super) fn reply(query: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::error_msg(query.metadata.id, query.metadata.op_code, code);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_queries(query.queries.iter().cloned());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;

    fn ask(name: &str, kind: RecordType) -> Option<(ResponseCode, Vec<Ipv4Addr>)> {
        let zone = Zone(BTreeMap::from([(
            "web.shop.local".to_owned(),
            vec![Ipv4Addr::new(10, 1, 0, 9)],
        )]));
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        let answer = zone.answer(&query)?;
        let addresses = answer.answers.iter().filter_map(|r| match r.data {
            RData::A(a) => Some(a.0),
            _ => None,
        });
        Some((answer.metadata.response_code, addresses.collect()))
    }

    #[test]
    fn answers_its_own_names_and_no_others() {
        let address = Ipv4Addr::new(10, 1, 0, 9);
        assert_eq!(
            ask("WEB.shop.local.", RecordType::A),
            Some((ResponseCode::NoError, vec![address]))
        );
        assert_eq!(
            ask("web.shop.local.", RecordType::AAAA),
            Some((ResponseCode::NoError, vec![]))
        );
        assert_eq!(
            ask("a.localhost.", RecordType::A),
            Some((ResponseCode::NoError, vec![Ipv4Addr::LOCALHOST]))
        );
        assert_eq!(
            ask("gone.shop.local.", RecordType::A),
            Some((ResponseCode::NXDomain, vec![]))
        );
        assert_eq!(ask("example.com.", RecordType::A), None);
    }

    #[test]
    fn refuses_what_is_no_query() {
        let answer = Zone::default().answer(&Message::query()).expect("an answer");
        assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
    }
}
