//! Messages of a Session Manager data channel: what `aws ecs execute-command` and its plugin speak.
//! Ref: aws/session-manager-plugin, `src/message`; shared/research/wire.md, section 10.
//!
//! Both sides are here: control is the agent, `honmaru exec` the plugin.

use sha2::{Digest, Sha256};

/// Bytes before the payload's length field, as the first field says. Ref: plugin, `ClientMessage_HLLength`.
const HEADER_BYTES: u32 = 116;
/// A payload at most: the plugin sends pieces of 1,024 bytes, ours are a little larger.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
const TYPE_BYTES: usize = 32;

/// A member of the handshake's answer and of its completion, of our own making: `false` where the command gets pipes
/// instead of a terminal. Then an empty piece of input ends it.
pub const TERMINAL: &str = "Terminal";

/// From the plugin.
pub const INPUT_STREAM_DATA: &str = "input_stream_data";
/// From the agent.
pub const OUTPUT_STREAM_DATA: &str = "output_stream_data";
/// Both: a message arrived.
pub const ACKNOWLEDGE: &str = "acknowledge";
/// From the agent: the session is over.
pub const CHANNEL_CLOSED: &str = "channel_closed";

/// What a payload is. Ref: plugin, `PayloadType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum PayloadType {
    /// Bytes of a terminal or standard output and input.
    Output = 1,
    /// `{"cols": n, "rows": n}`.
    Size = 3,
    /// What the agent asks first.
    HandshakeRequest = 5,
    /// The plugin's answer.
    HandshakeResponse = 6,
    /// The agent's last word before the session.
    HandshakeComplete = 7,
    /// A number: 2 ends the session.
    Flag = 10,
    /// Standard error, where it is apart.
    StdErr = 11,
    /// The exit code as decimal text.
    ExitCode = 12,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// For example [`INPUT_STREAM_DATA`].
    pub message_type: String,
    /// Its number in its direction, from 0.
    pub sequence: i64,
    /// Bit 0: first of the stream, bit 1: last.
    pub flags: u64,
    /// Unique.
    pub id: [u8; 16],
    /// What the payload is; 0 for messages of the channel itself.
    pub payload_type: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Bytes that are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message of the data channel is malformed")]
pub struct Malformed;

impl Message {
    /// A message with a payload.
    pub fn new(message_type: &str, sequence: i64, id: [u8; 16], payload_type: u32, payload: Vec<u8>) -> Self {
        let flags = u64::from(sequence == 0);
        Self {
            message_type: message_type.to_owned(),
            sequence,
            flags,
            id,
            payload_type,
            payload,
        }
    }

    /// The acknowledgement of a message.
    pub fn acknowledge(received: &Message, id: [u8; 16]) -> Self {
        let payload = serde_json::json!({
            "AcknowledgedMessageType": received.message_type,
            "AcknowledgedMessageId": uuid_text(&received.id),
            "AcknowledgedMessageSequenceNumber": received.sequence,
            "IsSequentialMessage": true,
        });
        // Ref: plugin, `SerializeClientMessageWithAcknowledgeContent`: sequence 0 and flags 3.
        let mut message = Self::new(ACKNOWLEDGE, 0, id, 0, payload.to_string().into_bytes());
        message.flags = 3;
        message
    }

    /// The message as bytes, big-endian throughout.
    pub fn encode(&self, created_ms: i64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES as usize + 4 + self.payload.len());
        out.extend_from_slice(&HEADER_BYTES.to_be_bytes());
        let mut name = [b' '; TYPE_BYTES];
        for (to, from) in name.iter_mut().zip(self.message_type.bytes()) {
            *to = from;
        }
        out.extend_from_slice(&name);
        out.extend_from_slice(&1_u32.to_be_bytes());
        out.extend_from_slice(&created_ms.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.flags.to_be_bytes());
        // The low half of the UUID comes first.
        out.extend_from_slice(&self.id[8..]);
        out.extend_from_slice(&self.id[..8]);
        out.extend_from_slice(&Sha256::digest(&self.payload));
        out.extend_from_slice(&self.payload_type.to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.payload);
        out
    }

    /// Reads a message and checks its digest.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let mut take = |n: usize| -> Result<&[u8], Malformed> {
            let (head, tail) = rest.split_at_checked(n).ok_or(Malformed)?;
            rest = tail;
            Ok(head)
        };
        let header = u32::from_be_bytes(take(4)?.try_into().map_err(|_| Malformed)?);
        let name = take(TYPE_BYTES)?;
        let name = std::str::from_utf8(name).map_err(|_| Malformed)?;
        let message_type = name.trim_matches(|c: char| c == '\0' || c == ' ').to_owned();
        take(4 + 8)?;
        let sequence = i64::from_be_bytes(take(8)?.try_into().map_err(|_| Malformed)?);
        let flags = u64::from_be_bytes(take(8)?.try_into().map_err(|_| Malformed)?);
        let low = take(8)?.to_vec();
        let high = take(8)?.to_vec();
        let id: [u8; 16] = [high, low].concat().try_into().map_err(|_| Malformed)?;
        let digest = take(32)?.to_vec();
        let payload_type = u32::from_be_bytes(take(4)?.try_into().map_err(|_| Malformed)?);
        // The header may be longer in a later version; the length field follows it.
        let extra = header.checked_sub(HEADER_BYTES).ok_or(Malformed)?;
        take(usize::try_from(extra).map_err(|_| Malformed)?)?;
        let length = u32::from_be_bytes(take(4)?.try_into().map_err(|_| Malformed)?);
        let payload = take(usize::try_from(length).map_err(|_| Malformed)?)?.to_vec();
        if payload.len() > PAYLOAD_BYTES_MAX || Sha256::digest(&payload).as_slice() != digest {
            return Err(Malformed);
        }
        Ok(Self {
            message_type,
            sequence,
            flags,
            id,
            payload_type,
            payload,
        })
    }
}

fn uuid_text(id: &[u8; 16]) -> String {
    let h = hex::encode(id);
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire() {
        let message = Message::new(OUTPUT_STREAM_DATA, 7, *b"0123456789abcdef", 1, b"hello".to_vec());
        let bytes = message.encode(1);
        assert_eq!(bytes.len(), 120 + 5);
        assert_eq!(Message::decode(&bytes), Ok(message));
    }

    #[test]
    fn what_is_cut_or_changed_is_refused() {
        let bytes = Message::new(INPUT_STREAM_DATA, 0, [1; 16], 1, b"x".to_vec()).encode(1);
        for n in 0..bytes.len() {
            assert_eq!(Message::decode(&bytes[..n]), Err(Malformed), "cut at {n}");
        }
        let mut changed = bytes;
        *changed.last_mut().expect("a payload") = b'y';
        assert_eq!(Message::decode(&changed), Err(Malformed));
    }
}
