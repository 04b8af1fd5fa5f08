//! IAM's documented errors, by their shape names.

use honmaru_base::ApiError;

pub(crate) fn no_such_entity(message: impl Into<String>) -> ApiError {
    ApiError::new("NoSuchEntityException", message)
}

pub(crate) fn not_found(noun: &str, name: &str) -> ApiError {
    no_such_entity(format!("The {noun} with name {name} cannot be found."))
}

pub(crate) fn already_exists(message: impl Into<String>) -> ApiError {
    ApiError::new("EntityAlreadyExistsException", message)
}

pub(crate) fn delete_conflict(message: impl Into<String>) -> ApiError {
    ApiError::new("DeleteConflictException", message)
}

pub(crate) fn limit_exceeded(message: impl Into<String>) -> ApiError {
    ApiError::new("LimitExceededException", message)
}

pub(crate) fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::new("MalformedPolicyDocumentException", message)
}

pub(crate) fn invalid_input(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidInputException", message)
}

/// The code that IAM has for what its model forbids; it is no shape of the model.
pub(crate) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message).with_status(400)
}
