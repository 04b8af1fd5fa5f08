# Honmaru does not scale services by itself: this must fail, and say why.

resource "aws_appautoscaling_target" "web" {
  min_capacity       = 1
  max_capacity       = 4
  resource_id        = "service/tf-service/web"
  scalable_dimension = "ecs:service:DesiredCount"
  service_namespace  = "ecs"
}
