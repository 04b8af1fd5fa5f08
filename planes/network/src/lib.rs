//! Task interfaces, addresses, security groups, DNS.
