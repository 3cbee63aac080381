//! Services of the API and of the embedded servers.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::{
    metadata::{Component, metadata, service_selector},
    validate::{DatabasePlan, MessagingPlan, Plan},
};

/// Builds the Services.
pub fn services(plan: &Plan) -> Vec<Service> {
    let mut services = vec![service(plan, Component::Api, &[("http", 80)])];
    if let DatabasePlan::Embedded(_) = plan.database {
        services.push(service(plan, Component::Postgres, &[("postgres", 5432)]));
    }
    if let MessagingPlan::Embedded(_) = plan.messaging {
        services.push(service(plan, Component::Nats, &[("client", 4222), ("monitor", 8222)]));
    }
    services
}

/// Builds a Service. Its ports target the container ports of the same names.
fn service(plan: &Plan, component: Component, ports: &[(&str, i32)]) -> Service {
    let port = |&(name, number): &(&str, i32)| ServicePort {
        name: Some(name.into()),
        port: number,
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::String(name.into())),
        ..ServicePort::default()
    };
    Service {
        metadata: metadata(plan, plan.shop.named(component.as_str()), component),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(service_selector(plan, component)),
            ports: Some(ports.iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn external_servers_have_no_services() {
        let names = |plan: &Plan| services(plan).into_iter().map(|service| service.metadata.name.unwrap()).collect::<Vec<_>>();
        assert_eq!(names(&samples::minimal()), ["shop-api", "shop-postgres", "shop-nats"]);
        assert_eq!(names(&samples::full()), ["shop-api"]);
    }
}
