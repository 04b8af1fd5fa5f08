# A service of two behind a load balancer with a web ACL.

variable "image" {
  type = string
}

# What the second apply changes.
variable "step" {
  type    = number
  default = 1
}

data "aws_vpc" "default" {
  default = true
}
data "aws_region" "here" {}
data "aws_availability_zones" "here" {
  state = "available"
}
data "aws_route_table" "main" {
  vpc_id = data.aws_vpc.default.id
  filter {
    name   = "association.main"
    values = ["true"]
  }
}
data "aws_internet_gateway" "default" {
  filter {
    name   = "attachment.vpc-id"
    values = [data.aws_vpc.default.id]
  }
}
data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_iam_role" "execution" {
  name = "tf-service-execution"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_cloudwatch_log_group" "web" {
  name = "/tf/web"
}

# The three ways to write rules: within the group, as one resource a rule, as the older resource.
resource "aws_security_group" "balancer" {
  name_prefix = "tf-balancer-"
  vpc_id      = data.aws_vpc.default.id
  dynamic "ingress" {
    for_each = var.step == 1 ? [80, 443] : [80, 8443]
    content {
      from_port   = ingress.value
      to_port     = ingress.value
      protocol    = "tcp"
      cidr_blocks = ["0.0.0.0/0"]
      description = "port ${ingress.value}"
    }
  }
  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

resource "aws_security_group" "web" {
  name   = "tf-web"
  vpc_id = data.aws_vpc.default.id
}

resource "aws_security_group_rule" "web" {
  type                     = "ingress"
  security_group_id        = aws_security_group.web.id
  source_security_group_id = aws_security_group.balancer.id
  from_port                = 8080
  to_port                  = 8080
  protocol                 = "tcp"
  description              = "from the balancer, ${var.step}"
}

resource "aws_vpc_security_group_egress_rule" "web" {
  security_group_id = aws_security_group.web.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
  description       = "step ${var.step}"
}

resource "aws_lb" "web" {
  name               = "tf-web"
  load_balancer_type = "application"
  security_groups    = [aws_security_group.balancer.id]
  subnets            = slice(sort(data.aws_subnets.default.ids), 0, 2)
}

resource "aws_lb_target_group" "web" {
  name                 = "tf-web"
  port                 = 8080
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = data.aws_vpc.default.id
  deregistration_delay = 1
  stickiness {
    type            = "lb_cookie"
    cookie_duration = 600
    enabled         = var.step == 2
  }
  health_check {
    path     = "/health"
    interval = 5
    timeout  = 2
  }
}

resource "aws_lb_listener" "web" {
  load_balancer_arn = aws_lb.web.arn
  port              = 80
  protocol          = "HTTP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.web.arn
  }
}

# The second apply renews the certificate and moves the listener.
resource "aws_iam_server_certificate" "web" {
  name_prefix      = "tf-web-"
  path             = "/tf/"
  certificate_body = file("${path.module}/step${var.step}.pem")
  private_key      = file("${path.module}/step${var.step}.key")
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener" "secure" {
  load_balancer_arn = aws_lb.web.arn
  port              = var.step == 1 ? 443 : 8443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
  certificate_arn   = aws_iam_server_certificate.web.arn
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.web.arn
  }
}

resource "aws_lb_listener_rule" "teapot" {
  listener_arn = aws_lb_listener.web.arn
  priority     = 10
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      message_body = var.step == 1 ? "short and stout" : "tipped over"
      status_code  = "418"
    }
  }
  condition {
    path_pattern {
      values = ["/teapot"]
    }
  }
}

resource "aws_lb_listener_rule" "moved" {
  listener_arn = aws_lb_listener.web.arn
  action {
    type = "redirect"
    redirect {
      path        = "/new/#{path}"
      status_code = "HTTP_301"
    }
  }
  condition {
    path_pattern {
      values = ["/old/*"]
    }
  }
  condition {
    http_request_method {
      values = ["GET", "HEAD"]
    }
  }
}

resource "aws_ecs_cluster" "main" {
  name = "tf-service"
}

resource "aws_ecs_cluster_capacity_providers" "main" {
  cluster_name       = aws_ecs_cluster.main.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
  default_capacity_provider_strategy {
    base              = 1
    weight            = 100
    capacity_provider = "FARGATE"
  }
}

resource "aws_ecs_task_definition" "web" {
  family                   = "tf-web"
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.execution.arn
  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }
  ephemeral_storage {
    size_in_gib = 21
  }
  volume {
    name = "pages"
  }
  container_definitions = jsonencode([{
    name         = "web"
    image        = var.image
    essential    = true
    stopTimeout  = 2
    command      = ["sh", "-c", "hostname > /pages/index.html; echo ok > /pages/health; exec httpd -f -p 8080 -h /pages"]
    portMappings = [{ containerPort = 8080 }]
    environment  = [{ name = "STEP", value = tostring(var.step) }, { name = "A", value = "1" }]
    mountPoints  = [{ sourceVolume = "pages", containerPath = "/pages", readOnly = false }]
    ulimits      = [{ name = "nofile", softLimit = 2048, hardLimit = 4096 }]
    healthCheck  = { command = ["CMD-SHELL", "test -e /pages/health"], interval = 5, timeout = 2, retries = 2 }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.web.name
        awslogs-region        = data.aws_region.here.name
        awslogs-stream-prefix = "web"
      }
    }
  }])
}

resource "aws_ecs_service" "web" {
  name                  = "web"
  cluster               = aws_ecs_cluster.main.id
  task_definition       = aws_ecs_task_definition.web.arn
  desired_count         = 2
  wait_for_steady_state = true

  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  enable_execute_command             = var.step == 2
  deployment_minimum_healthy_percent = var.step == 1 ? 50 : 100
  tags = {
    step = tostring(var.step)
  }
  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = 1
    weight            = 1
  }
  capacity_provider_strategy {
    capacity_provider = "FARGATE_SPOT"
    weight            = 3
  }
  network_configuration {
    subnets          = data.aws_subnets.default.ids
    security_groups  = [aws_security_group.web.id]
    assign_public_ip = true
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.web.arn
    container_name   = "web"
    container_port   = 8080
  }
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  depends_on = [aws_lb_listener.web, aws_ecs_cluster_capacity_providers.main]
}

resource "aws_wafv2_web_acl" "web" {
  name  = "tf-web"
  scope = "REGIONAL"
  default_action {
    allow {}
  }
  rule {
    name     = "sqli"
    priority = 1
    action {
      block {}
    }
    statement {
      sqli_match_statement {
        field_to_match {
          all_query_arguments {}
        }
        text_transformation {
          priority = 0
          type     = "URL_DECODE"
        }
      }
    }
    visibility_config {
      cloudwatch_metrics_enabled = false
      metric_name                = "sqli"
      sampled_requests_enabled   = true
    }
  }
  visibility_config {
    cloudwatch_metrics_enabled = false
    metric_name                = "web"
    sampled_requests_enabled   = true
  }
}

resource "aws_wafv2_web_acl_association" "web" {
  resource_arn = aws_lb.web.arn
  web_acl_arn  = aws_wafv2_web_acl.web.arn
}

output "host" {
  value = aws_lb.web.dns_name
}

output "gateway" {
  value = data.aws_internet_gateway.default.internet_gateway_id
}

output "zones" {
  value = data.aws_availability_zones.here.names
}
