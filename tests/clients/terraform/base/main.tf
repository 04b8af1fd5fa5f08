# Roles and policies, a user with a password and other credentials, a cluster, a log group, a repository, security groups.

data "aws_caller_identity" "me" {}
data "aws_region" "here" {}
data "aws_vpc" "default" {
  default = true
}
data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "execution" {
  name               = "tf-execution"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role" "task" {
  name               = "tf-task"
  description        = "what the tasks may do"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags = {
    team = "a"
  }
}

resource "aws_iam_role_policy" "task" {
  name = "inline"
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:PutLogEvents", "logs:CreateLogStream"]
      Resource = "${aws_cloudwatch_log_group.app.arn}:*"
    }]
  })
}

resource "aws_iam_policy" "read" {
  name = "tf-read"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "ecs:Describe*", Resource = "*" }]
  })
}

resource "aws_iam_role_policy_attachment" "read" {
  role       = aws_iam_role.task.name
  policy_arn = aws_iam_policy.read.arn
}

resource "aws_iam_account_password_policy" "all" {
  minimum_password_length        = 12
  require_symbols                = true
  require_numbers                = true
  require_lowercase_characters   = true
  require_uppercase_characters   = true
  allow_users_to_change_password = true
  hard_expiry                    = false
  max_password_age               = 90
  password_reuse_prevention      = 5
}

resource "aws_iam_user" "ada" {
  name = "tf-ada"
}

resource "aws_iam_user_login_profile" "ada" {
  user                    = aws_iam_user.ada.name
  password_length         = 16
  password_reset_required = true
  depends_on              = [aws_iam_account_password_policy.all]
}

resource "aws_iam_user_ssh_key" "ada" {
  for_each   = toset(["SSH", "PEM"])
  username   = each.key == "SSH" ? aws_iam_user.ada.name : aws_iam_user.bob.name
  encoding   = each.key
  public_key = each.key == "SSH" ? local.ssh_key : local.ssh_key_pem
  status     = each.key == "SSH" ? "Inactive" : "Active"
}

resource "aws_iam_user" "bob" {
  name = "tf-bob"
}

resource "aws_iam_signing_certificate" "ada" {
  user_name        = aws_iam_user.ada.name
  certificate_body = local.certificate
  status           = "Inactive"
}

resource "aws_iam_saml_provider" "idp" {
  name                   = "tf-idp"
  saml_metadata_document = local.saml_metadata
}

locals {
  ssh_key       = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCfZtQfGiN+FDaCjI0RllXvaETAcaHgoI0Br/qPMql+GHKBRphHvDTHd01MPRuJbklqK8o8oANJz9AR2OHISPUZLIn7Q43vgLlAVi/tZJD2YL5+Z3SIZrzOMZGTqzt2ljWXK4jcKNqjCKxyFf8JtrULacnfMXurWNImU3xXhZlgwtXVLuhBg/pORidfw8biLJd5OvGK4eh3ksWBN3p3C2/+n4+jiUeE7r/CICesbH4cDvC94NsMNy8qZFJKcDnjfSxejRpGcaFzwHxwbakPnW1ZX6tocn7UwpVG2Y0OtnH9wkME4a6wJj3sb4HiftQ04MAAXBn6vr/XTs7yrxXFAGW5 ada@example.com"
  ssh_key_pem   = <<-EOT
    -----BEGIN PUBLIC KEY-----
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAn2bUHxojfhQ2goyNEZZV
    72hEwHGh4KCNAa/6jzKpfhhygUaYR7w0x3dNTD0biW5JaivKPKADSc/QEdjhyEj1
    GSyJ+0ON74C5QFYv7WSQ9mC+fmd0iGa8zjGRk6s7dpY1lyuI3CjaowischX/Cba1
    C2nJ3zF7q1jSJlN8V4WZYMLV1S7oQYP6TkYnX8PG4iyXeTrxiuHod5LFgTd6dwtv
    /p+Po4lHhO6/wiAnrGx+HA7wveDbDDcvKmRSSnA5430sXo0aRnGhc8B8cG2pD51t
    WV+raHJ+1MKVRtmNDrZx/cJDBOGusCY97G+B4n7UNODAAFwZ+r6/107O8q8VxQBl
    uQIDAQAB
    -----END PUBLIC KEY-----
  EOT
  saml_metadata = <<-EOT
    <?xml version="1.0" encoding="UTF-8"?>
    <md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example.com/metadata">
      <md:IDPSSODescriptor WantAuthnRequestsSigned="false" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
        <md:KeyDescriptor use="signing">
          <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">
            <ds:X509Data>
              <ds:X509Certificate>MIIDBzCCAe+gAwIBAgIULkI5qNWu9rgEid7gzWo6O8zzRCUwDQYJKoZIhvcNAQELBQAwGzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLmNvbTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLmNvbTCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAMr1MSCUAFl6KcaQ/eyQeQjWOwqDwjKpa6dreioqzjeiypjJC2zW8WMq8N7EvUrxKmsWxJTnAkWebKblet5SNPXuCWOPGFx1z3YsiJoymJ59akvNzrF26GWiP/ZFgNijYw2IjQLztiG8vNDdOfdH3X06ff88OqHPxIOg5VmINuC3CzgBhKfIEdrk3QalzcOv37psyzzryj4I9LAzGsLaAcX04o2BvxPFN1j8vYGR/6p5zc34g8NLaZjHqFYSNUhVFocWyZngf28+8uQU0/5MQOnd4xFwE930XnMQH8IgNQSEdTw1V2WuniP60aXdJwS/kQgIP/WZQpkLBQi9aYLmXpsCAwEAAaNBMD8wDAYDVR0TAQH/BAIwADAvBgNVHREEKDAmghBzaG9wLmV4YW1wbGUuY29tghIqLnNob3AuZXhhbXBsZS5jb20wDQYJKoZIhvcNAQELBQADggEBAGgHPb8wXNNrIPQtt4aA6x/lXsvWSdh2UEgqTkxniJ871jC+VWyCi67CmOYdC7NUGVfiBUAzjONxf0Fst+CubD4I4j9KPtFFekPrF6twv824lGI+9bc6aHRJpEoTt0mNmuox71vrF9FKW9rCZxGONFXoJrj+W8qQFjIy1qvBzMpTo3D4jmVPccZL+UosGPoqpg8wQG3z9lZK6PHU0NuoXI5xWfrkxeseQg9/xXejH92uAbTi3bjfZqPXKggSSU7z8+D8c+FwBylD15aMzpbDAgT5n/eVlZbktdFqOW8Vic6TBmhm6M1ZxDB7+N7Erq6taLn96EUY2h0h0M4xXW/6H5U=</ds:X509Certificate>
            </ds:X509Data>
          </ds:KeyInfo>
        </md:KeyDescriptor>
        <md:NameIDFormat>urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress</md:NameIDFormat>
        <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example.com/sso"/>
      </md:IDPSSODescriptor>
    </md:EntityDescriptor>
  EOT
  # Of nobody, for tests; valid until 2120.
  certificate = <<-EOT
    -----BEGIN CERTIFICATE-----
    MIIDBzCCAe+gAwIBAgIULkI5qNWu9rgEid7gzWo6O8zzRCUwDQYJKoZIhvcNAQEL
    BQAwGzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLmNvbTAgFw0yMDAxMDEwMDAwMDBa
    GA8yMTIwMDEwMTAwMDAwMFowGzEZMBcGA1UEAwwQc2hvcC5leGFtcGxlLmNvbTCC
    ASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAMr1MSCUAFl6KcaQ/eyQeQjW
    OwqDwjKpa6dreioqzjeiypjJC2zW8WMq8N7EvUrxKmsWxJTnAkWebKblet5SNPXu
    CWOPGFx1z3YsiJoymJ59akvNzrF26GWiP/ZFgNijYw2IjQLztiG8vNDdOfdH3X06
    ff88OqHPxIOg5VmINuC3CzgBhKfIEdrk3QalzcOv37psyzzryj4I9LAzGsLaAcX0
    4o2BvxPFN1j8vYGR/6p5zc34g8NLaZjHqFYSNUhVFocWyZngf28+8uQU0/5MQOnd
    4xFwE930XnMQH8IgNQSEdTw1V2WuniP60aXdJwS/kQgIP/WZQpkLBQi9aYLmXpsC
    AwEAAaNBMD8wDAYDVR0TAQH/BAIwADAvBgNVHREEKDAmghBzaG9wLmV4YW1wbGUu
    Y29tghIqLnNob3AuZXhhbXBsZS5jb20wDQYJKoZIhvcNAQELBQADggEBAGgHPb8w
    XNNrIPQtt4aA6x/lXsvWSdh2UEgqTkxniJ871jC+VWyCi67CmOYdC7NUGVfiBUAz
    jONxf0Fst+CubD4I4j9KPtFFekPrF6twv824lGI+9bc6aHRJpEoTt0mNmuox71vr
    F9FKW9rCZxGONFXoJrj+W8qQFjIy1qvBzMpTo3D4jmVPccZL+UosGPoqpg8wQG3z
    9lZK6PHU0NuoXI5xWfrkxeseQg9/xXejH92uAbTi3bjfZqPXKggSSU7z8+D8c+Fw
    BylD15aMzpbDAgT5n/eVlZbktdFqOW8Vic6TBmhm6M1ZxDB7+N7Erq6taLn96EUY
    2h0h0M4xXW/6H5U=
    -----END CERTIFICATE-----
  EOT
}

resource "aws_ecs_cluster" "main" {
  name = "tf"
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "app" {
  name              = "/tf/app"
  retention_in_days = 7
}

resource "aws_ecr_repository" "app" {
  name                 = "tf/app"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
}

resource "aws_ecr_lifecycle_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "keep ten"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_security_group" "balancer" {
  name   = "tf-balancer"
  vpc_id = data.aws_vpc.default.id
  ingress {
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "tasks" {
  name   = "tf-tasks"
  vpc_id = data.aws_vpc.default.id
}

resource "aws_vpc_security_group_ingress_rule" "tasks" {
  security_group_id            = aws_security_group.tasks.id
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  security_group_id = aws_security_group.tasks.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

# Protocols that have no ports: they must not come back as others than they were written.
resource "aws_security_group" "tunnel" {
  name   = "tf-tunnel"
  vpc_id = data.aws_vpc.default.id
  ingress {
    from_port   = 0
    to_port     = 0
    protocol    = "50"
    cidr_blocks = ["0.0.0.0/0"]
  }
  ingress {
    from_port        = -1
    to_port          = -1
    protocol         = "icmpv6"
    ipv6_cidr_blocks = ["::/0"]
  }
}

resource "aws_vpc_security_group_ingress_rule" "ping" {
  security_group_id = aws_security_group.tasks.id
  cidr_ipv6         = "fd00::/8"
  ip_protocol       = "icmpv6"
}

# Taking it back is refused in AWS's words, which the provider knows.
resource "aws_ecs_account_setting_default" "arns" {
  name  = "taskLongArnFormat"
  value = "enabled"
}

# A public repository of which nothing is said.
resource "aws_ecrpublic_repository" "plain" {
  repository_name = "tf-plain"
}

output "subnets" {
  value = data.aws_subnets.default.ids
}
