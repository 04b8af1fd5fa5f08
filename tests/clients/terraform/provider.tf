# Shared by the stacks: where the endpoint is comes from AWS_ENDPOINT_URL and the keys from the environment.
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {
  skip_metadata_api_check = true
  default_tags {
    tags = {
      made-by = "terraform"
    }
  }
}
