# A registry as people set one up: repositories with policies, mirrors, templates, replication, scanning, settings, and a
# public repository; `step` 2 changes what can be changed in place.
variable "step" {
  type    = number
  default = 1
}

# An image that is in repository `tf-image`.
variable "tag" {
  type    = string
  default = "v1"
}

data "aws_caller_identity" "me" {}
data "aws_region" "here" {}

resource "aws_ecr_repository" "app" {
  name                 = "tf-registry/app"
  image_tag_mutability = var.step == 1 ? "IMMUTABLE" : "MUTABLE"
  force_delete         = true

  image_scanning_configuration {
    scan_on_push = var.step == 1
  }

  encryption_configuration {
    encryption_type = "AES256"
  }

  tags = {
    step = var.step
  }
}

data "aws_ecr_lifecycle_policy_document" "app" {
  rule {
    priority    = 1
    description = "Untagged images go after two weeks."
    selection {
      tag_status   = "untagged"
      count_type   = "sinceImagePushed"
      count_unit   = "days"
      count_number = 14
    }
  }
  rule {
    priority = 2
    selection {
      tag_status       = "tagged"
      tag_pattern_list = ["v*", "release-*"]
      count_type       = "imageCountMoreThan"
      count_number     = 10 * var.step
    }
  }
}

resource "aws_ecr_lifecycle_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy     = data.aws_ecr_lifecycle_policy_document.app.json
}

data "aws_iam_policy_document" "app" {
  statement {
    sid     = "Pull"
    actions = var.step == 1 ? ["ecr:BatchGetImage"] : ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::111111111111:root"]
    }
  }
}

resource "aws_ecr_repository_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy     = data.aws_iam_policy_document.app.json
}

resource "aws_ecr_registry_policy" "registry" {
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Replicate"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::111111111111:root" }
      Action    = var.step == 1 ? ["ecr:ReplicateImage"] : ["ecr:CreateRepository", "ecr:ReplicateImage"]
      Resource  = ["arn:aws:ecr:${data.aws_region.here.name}:${data.aws_caller_identity.me.account_id}:repository/*"]
    }]
  })
}

resource "aws_ecr_replication_configuration" "copies" {
  replication_configuration {
    rule {
      destination {
        region      = "eu-west-1"
        registry_id = data.aws_caller_identity.me.account_id
      }
      dynamic "destination" {
        for_each = var.step == 1 ? [] : ["eu-north-1"]
        content {
          region      = destination.value
          registry_id = data.aws_caller_identity.me.account_id
        }
      }
      repository_filter {
        filter      = "tf-registry/"
        filter_type = "PREFIX_MATCH"
      }
    }
  }
}

resource "aws_ecr_pull_through_cache_rule" "quay" {
  ecr_repository_prefix = "tf-quay"
  upstream_registry_url = "quay.io"
}

resource "aws_ecr_pull_through_cache_rule" "part" {
  ecr_repository_prefix      = "tf-part"
  upstream_registry_url      = "registry.k8s.io"
  upstream_repository_prefix = "kube"
}

resource "aws_ecr_repository_creation_template" "mirrors" {
  prefix               = "tf-quay"
  description          = var.step == 1 ? "Mirrors" : "Mirrors of quay.io"
  image_tag_mutability = var.step == 1 ? "IMMUTABLE" : "MUTABLE"
  applied_for          = var.step == 1 ? ["PULL_THROUGH_CACHE"] : ["PULL_THROUGH_CACHE", "REPLICATION"]
  custom_role_arn      = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:role/tf-registry"

  encryption_configuration {
    encryption_type = "AES256"
  }

  lifecycle_policy  = data.aws_ecr_lifecycle_policy_document.app.json
  repository_policy = data.aws_iam_policy_document.app.json

  resource_tags = {
    step = var.step
  }
}

resource "aws_ecr_registry_scanning_configuration" "scanning" {
  scan_type = "BASIC"
  rule {
    scan_frequency = "SCAN_ON_PUSH"
    repository_filter {
      filter      = var.step == 1 ? "tf-*" : "tf-registry/*"
      filter_type = "WILDCARD"
    }
  }
}

resource "aws_ecr_account_setting" "scanner" {
  name  = "BASIC_SCAN_TYPE_VERSION"
  value = "AWS_NATIVE"
}

resource "aws_ecr_account_setting" "scope" {
  name  = "REGISTRY_POLICY_SCOPE"
  value = "V2"
}

resource "aws_ecrpublic_repository" "shop" {
  repository_name = "tf-shop"
  catalog_data {
    about_text        = "Step ${var.step}"
    architectures     = ["x86-64"]
    description       = "A shop"
    operating_systems = ["Linux"]
    usage_text        = "Run it."
  }
  force_destroy = true
  tags = {
    step = var.step
  }
}

resource "aws_ecrpublic_repository_policy" "shop" {
  repository_name = aws_ecrpublic_repository.shop.repository_name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Push"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::111111111111:root" }
      Action    = ["ecr-public:PutImage"]
    }]
  })
}

# What is there already, as data.
data "aws_ecr_repository" "app" {
  name = aws_ecr_repository.app.name
}

data "aws_ecr_repositories" "all" {
  depends_on = [aws_ecr_repository.app]
}

data "aws_ecr_image" "pushed" {
  repository_name = "tf-image"
  image_tag       = var.tag
}

data "aws_ecr_image" "newest" {
  repository_name = "tf-image"
  most_recent     = true
}

data "aws_ecr_authorization_token" "token" {}

data "aws_ecrpublic_authorization_token" "token" {}

data "aws_ecr_pull_through_cache_rule" "quay" {
  ecr_repository_prefix = aws_ecr_pull_through_cache_rule.quay.ecr_repository_prefix
}

data "aws_ecr_repository_creation_template" "mirrors" {
  prefix = aws_ecr_repository_creation_template.mirrors.prefix
}

check "data" {
  assert {
    condition     = data.aws_ecr_image.pushed.image_digest == data.aws_ecr_image.newest.image_digest
    error_message = "the newest image is the one that was pushed"
  }
  assert {
    condition     = contains(data.aws_ecr_repositories.all.names, "tf-registry/app")
    error_message = "the repository is listed"
  }
  assert {
    condition     = data.aws_ecr_authorization_token.token.user_name == "AWS"
    error_message = "the token is AWS's"
  }
  assert {
    condition     = data.aws_ecr_repository.app.repository_url == aws_ecr_repository.app.repository_url
    error_message = "the repository is the same one"
  }
}

output "checked" {
  value = {
    newest   = contains(data.aws_ecr_image.newest.image_tags, var.tag)
    upstream = data.aws_ecr_pull_through_cache_rule.quay.upstream_registry_url
    template = data.aws_ecr_repository_creation_template.mirrors.description
  }
}
