//! The L7 load balancer.
