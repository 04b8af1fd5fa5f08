//! The AWS protocols, driven by the API models.
