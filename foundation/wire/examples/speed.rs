//! How long the wire takes: model loads, and route + parse + validate + answer of four calls. Run it optimized:
//! `cargo run --release -p honmaru-wire --example speed`. Figures are the least of many batches, in microseconds a call.

use honmaru_wire::{Request, ok, parse, route, validate};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use std::hint::black_box;
use std::time::{Duration, Instant};

const BATCHES: usize = 200;
const CALLS: u32 = 50;

fn main() {
    for name in ["ecs", "elbv2", "iam", "ec2"] {
        let start = Instant::now();
        let loaded = honmaru_wire::service(name).is_some();
        println!("load {name:24} {:10.1} us ({loaded})", micros(start.elapsed()));
    }
    let start = Instant::now();
    let count = honmaru_wire::service_names().filter_map(honmaru_wire::service).count();
    println!(
        "load all other of {count:2} models    {:10.1} us",
        micros(start.elapsed())
    );
    println!("resident memory {:>30}", resident().unwrap_or_default());

    let json_headers = |target: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_static(target));
        headers.insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
        headers
    };
    let mut form = HeaderMap::new();
    form.insert(
        "content-type",
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    call(
        "ecs ListTasks",
        &json_headers("AmazonEC2ContainerServiceV20141113.ListTasks"),
        "ecs",
        br#"{"cluster": "default"}"#,
        &json!({"taskArns": vec!["arn:aws:ecs:us-east-1:000000000000:task/default/0123456789abcdef"; 10]}),
    );
    let container = |name: &str| {
        json!({"name": name, "image": "nginx:1", "cpu": 256, "memory": 512, "essential": true,
            "portMappings": [{"containerPort": 80, "protocol": "tcp"}],
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "r"}}})
    };
    let definition = json!({"family": "web", "networkMode": "awsvpc", "cpu": "512", "memory": "1024",
        "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container("a"), container("b"), container("c")]});
    call(
        "ecs RegisterTaskDefinition",
        &json_headers("AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition"),
        "ecs",
        definition.to_string().as_bytes(),
        &json!({"taskDefinition": definition}),
    );
    call(
        "elbv2 DescribeTargetHealth",
        &form,
        "elasticloadbalancing",
        b"Action=DescribeTargetHealth&Version=2015-12-01&TargetGroupArn=arn%3Aaws&Targets.member.1.Id=a&Targets.member.1.Port=80",
        &json!({"TargetHealthDescriptions": vec![json!({"Target": {"Id": "a", "Port": 80}, "TargetHealth": {"State": "healthy"}}); 10]}),
    );
    call(
        "ec2 DescribeVpcs",
        &form,
        "ec2",
        b"Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=isDefault&Filter.1.Value.1=true&MaxResults=5",
        &json!({"Vpcs": vec![json!({"VpcId": "vpc-1", "CidrBlock": "172.31.0.0/16", "IsDefault": true}); 10]}),
    );
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn resident() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find(|line| line.starts_with("VmRSS")).map(str::to_owned)
}

/// Times one call from its bytes to the bytes of its answer.
fn call(name: &str, headers: &HeaderMap, scope: &str, body: &[u8], output: &Value) {
    let mut best = Duration::MAX;
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..CALLS {
            let request = Request::new("POST", "/", "", headers, black_box(body)).expect("a sound request");
            let target = route(&request, Some(scope)).expect("a known operation");
            let input = parse(&target, &request).expect("a sound body");
            validate(&target, &input).expect("a valid input");
            black_box(ok(&target, output, "00000000-0000-0000-0000-000000000000"));
        }
        best = best.min(start.elapsed() / CALLS);
    }
    println!("{name:30} {:10.2} us", micros(best));
}
