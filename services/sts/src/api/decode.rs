//! DecodeAuthorizationMessage: why a call was refused. Ref: STS API Reference, DecodeAuthorizationMessage.

use crate::types;
use honmaru_base::ApiError;
use honmaru_iam::open_refusal;
use honmaru_machine::{Call, State};

/// The message, if it was made for a caller of this account.
pub(super) fn message(
    state: &State,
    call: &Call,
    input: types::DecodeAuthorizationMessageRequest,
) -> Result<types::DecodeAuthorizationMessageResponse, ApiError> {
    let message = open_refusal(state, &call.principal.account, &input.encoded_message, call.now);
    let Some(decoded_message) = message else {
        return Err(ApiError::new(
            "InvalidAuthorizationMessageException",
            "Message is not valid",
        ));
    };
    Ok(types::DecodeAuthorizationMessageResponse {
        decoded_message: Some(decoded_message),
    })
}
