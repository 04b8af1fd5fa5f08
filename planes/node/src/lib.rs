//! The agent: desired tasks to runtime, network and images; adopts what runs.
