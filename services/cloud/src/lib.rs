//! The sum of all machines and the glue between services.
