//! Amazon ECR: repositories and images.
