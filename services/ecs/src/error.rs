//! The errors of the ECS API in AWS's words.

use honmaru_base::ApiError;

/// `ClientException`.
pub fn client(message: impl Into<String>) -> ApiError {
    ApiError::new("ClientException", message)
}

/// `InvalidParameterException`.
pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}

/// `ClusterNotFoundException`, as AWS words it.
pub fn cluster_not_found() -> ApiError {
    ApiError::new("ClusterNotFoundException", "Cluster not found.")
}

/// `ServiceNotFoundException`, as AWS words it.
pub fn service_not_found() -> ApiError {
    ApiError::new("ServiceNotFoundException", "Service not found.")
}

/// `ResourceNotFoundException`.
pub fn resource_not_found(message: impl Into<String>) -> ApiError {
    ApiError::new("ResourceNotFoundException", message)
}

/// `UnsupportedFeatureException`, naming what this cloud does not do.
pub fn unsupported(what: &str) -> ApiError {
    client(format!("{what} is not supported by Honmaru."))
}
