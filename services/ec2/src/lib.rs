//! The part of Amazon EC2 that ECS needs: the default VPC, subnets, security groups, interfaces.
