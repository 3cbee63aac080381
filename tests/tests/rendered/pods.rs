//! Renders a Catalog, and resolves the variables and volumes of its pods from Secrets and `ConfigMaps` as a kubelet does.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use catalog_operator::{
    build::{Objects, build},
    crd::Catalog,
    observed::{Observed, SecretFacts},
    secrets::{self, LoginInUse},
    validate::{DatabasePlan, ROTATE_DATABASE_PASSWORD, validate},
};
use catalog_tests::{process::Environment, scratch::Scratch};
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Container, EnvVarSource, KeyToPath, PodSpec, PodTemplateSpec, Secret, Volume, VolumeMount},
    jiff::{SignedDuration, Timestamp},
};

/// The objects of a Catalog, with the Secrets that its pods use.
pub struct Rendered {
    catalog: Catalog,
    given: Vec<Secret>,
    /// The objects that the operator builds.
    pub objects: Objects,
    /// The data of the Secrets of the user and of the generated ones, by name.
    pub secrets: BTreeMap<String, BTreeMap<String, ByteString>>,
}

impl Rendered {
    /// Renders a Catalog in a namespace with these Secrets and with KEDA installed.
    ///
    /// # Panics
    /// If the Catalog is invalid.
    pub fn of(catalog: &str, given: &[Secret]) -> Self {
        let catalog: Catalog = serde_norway::from_str(catalog).expect("a Catalog");
        let name = |secret: &Secret| secret.metadata.name.clone().expect("a Secret has a name");
        let facts = |secrets: &[Secret]| secrets.iter().map(|secret| (name(secret), SecretFacts::of(secret))).collect();
        let mut observed = Observed { keda: true, referenced: facts(given), ..Observed::default() };
        let plan = validate(&catalog, &observed).unwrap_or_else(|problems| panic!("{problems}"));
        let secret_specs = secrets::missing(&plan, &observed);
        let generated: Vec<_> = secret_specs.iter().map(|secret_spec| secret_spec.generate(Timestamp::now(), &mut rand::rng())).collect();
        observed.generated = facts(&generated);
        let plan = validate(&catalog, &observed).unwrap_or_else(|problems| panic!("{problems}"));
        let secrets = given.iter().chain(&generated).map(|secret| (name(secret), values(secret))).collect();
        Self { objects: build(&plan), secrets, catalog, given: given.to_vec() }
    }

    /// Renders the Catalog again after a rotation of the database password.
    ///
    /// # Panics
    /// If the database is external.
    pub fn with_rotated_password(&self) -> Self {
        let facts = |secrets: &BTreeMap<String, BTreeMap<String, ByteString>>| {
            let secret = |data: &BTreeMap<String, ByteString>| Secret { data: Some(data.clone()), ..Secret::default() };
            secrets.iter().map(|(name, data)| (name.clone(), SecretFacts::of(&secret(data)))).collect::<BTreeMap<_, _>>()
        };
        let given: Vec<_> = self.given.iter().filter_map(|secret| secret.metadata.name.clone()).collect();
        let observed = |secrets| {
            let (referenced, generated) = facts(secrets).into_iter().partition(|(name, _)| given.contains(name));
            Observed { keda: true, referenced, generated, ..Observed::default() }
        };
        let later = Timestamp::now() + SignedDuration::from_secs(2);
        let mut catalog = self.catalog.clone();
        catalog.metadata.annotations = Some([(ROTATE_DATABASE_PASSWORD.to_owned(), later.to_string())].into());
        let plan = validate(&catalog, &observed(&self.secrets)).unwrap_or_else(|problems| panic!("{problems}"));
        let DatabasePlan::Embedded(database) = &plan.database else { panic!("the database is external") };
        let mut secrets = self.secrets.clone();
        let data = secrets.get_mut(&database.password.secret).expect("the Secret was generated");
        let in_use = LoginInUse { login: database.login.clone(), rolled_out_at: Timestamp::UNIX_EPOCH };
        let changed = secrets::update_login(database, data, Some(&in_use), later, &mut rand::rng());
        (*data, _) = changed.expect("a rotation is due");
        let plan = validate(&catalog, &observed(&secrets)).unwrap_or_else(|problems| panic!("{problems}"));
        Self { objects: build(&plan), secrets, catalog, given: self.given.clone() }
    }

    /// Returns the pod of the Deployment, `StatefulSet` or Job whose name starts with `name`.
    ///
    /// # Panics
    /// If there is none.
    pub fn pod(&self, name: &str) -> Pod<'_> {
        let objects = &self.objects;
        let deployments = objects.workloads.deployments.iter();
        let deployments = deployments.map(|it| (&it.metadata, Some(&it.spec.template)));
        let servers = objects.prerequisites.stateful_sets.iter();
        let servers = servers.map(|it| (&it.metadata, Some(&it.spec.template)));
        let job = (&objects.migration.metadata, objects.migration.spec.as_ref().map(|spec| &spec.template));
        let mut all = deployments.chain(servers).chain([job]);
        let found = all.find(|(metadata, _)| metadata.name.as_ref().is_some_and(|found| found.starts_with(name)));
        let (metadata, template) = found.unwrap_or_else(|| panic!("no workload has a name that starts with {name}"));
        let namespace = metadata.namespace.clone().expect("a namespaced object");
        let template = template.expect("a template");
        Pod { rendered: self, name: metadata.name.clone().unwrap_or_default(), namespace, template, container: 0 }
    }

    /// Returns a value of a Secret.
    ///
    /// # Panics
    /// If the Secret or the key doesn't exist.
    pub fn secret(&self, name: &str, key: &str) -> String {
        let secret = self.secrets.get(name).unwrap_or_else(|| panic!("Secret {name} does not exist"));
        let value = secret.get(key).unwrap_or_else(|| panic!("Secret {name} has no key {key}"));
        String::from_utf8(value.0.clone()).expect("text")
    }

    fn config_map(&self, name: &str) -> &ConfigMap {
        let config_maps = &self.objects.prerequisites.config_maps;
        let found = config_maps.iter().find(|it| it.metadata.name.as_deref() == Some(name));
        found.unwrap_or_else(|| panic!("ConfigMap {name} does not exist"))
    }
}

fn values(secret: &Secret) -> BTreeMap<String, ByteString> {
    let text = secret.string_data.iter().flatten().map(|(key, value)| (key.clone(), ByteString(value.clone().into_bytes())));
    secret.data.clone().into_iter().flatten().chain(text).collect()
}

/// A rendered pod and one of its containers.
pub struct Pod<'a> {
    rendered: &'a Rendered,
    name: String,
    namespace: String,
    template: &'a PodTemplateSpec,
    container: usize,
}

impl Pod<'_> {
    /// Selects the container of this name.
    ///
    /// # Panics
    /// If the pod has no such container.
    pub fn with_container(self, name: &str) -> Self {
        let container = self.spec().containers.iter().position(|container| container.name == name);
        Self { container: container.unwrap_or_else(|| panic!("{} has no container {name}", self.name)), ..self }
    }

    fn spec(&self) -> &PodSpec {
        self.template.spec.as_ref().expect("a pod has a spec")
    }

    /// Returns the selected container, by default the first one.
    ///
    /// # Panics
    /// If there are init containers, which this suite doesn't start.
    pub fn container(&self) -> &Container {
        assert!(self.spec().init_containers.is_none(), "{} has init containers", self.name);
        &self.spec().containers[self.container]
    }

    /// Returns the user and group of the pod.
    ///
    /// # Panics
    /// If its security context doesn't set them.
    pub fn user(&self) -> (u32, u32) {
        let context = self.spec().security_context.as_ref().expect("a security context");
        let number = |id: Option<i64>| u32::try_from(id.expect("a user and a group")).expect("a user or group id");
        (number(context.run_as_user), number(context.run_as_group))
    }

    /// Returns the container's `command` and `args`.
    pub fn words(&self) -> (Vec<String>, Vec<String>) {
        let environment = self.environment();
        let all = |words: &Option<Vec<String>>| words.iter().flatten().map(|word| expanded(word, &environment)).collect();
        (all(&self.container().command), all(&self.container().args))
    }

    /// Returns the container's variables with their resolved values.
    ///
    /// # Panics
    /// If a variable refers to an object that doesn't exist.
    pub fn environment(&self) -> Environment {
        assert!(self.container().env_from.is_none(), "{}: this suite doesn't support envFrom", self.name);
        let mut environment = Environment::new();
        for variable in self.container().env.iter().flatten() {
            let value = match &variable.value_from {
                Some(source) => self.resolved(source, &variable.name),
                None => Some(expanded(variable.value.as_deref().unwrap_or_default(), &environment)),
            };
            if let Some(value) = value {
                environment.insert(variable.name.clone(), value);
            }
        }
        environment
    }

    fn resolved(&self, source: &EnvVarSource, name: &str) -> Option<String> {
        if let Some(key) = &source.secret_key_ref {
            let exists = self.rendered.secrets.get(&key.name).is_some_and(|secret| secret.contains_key(&key.key));
            return if key.optional == Some(true) && !exists { None } else { Some(self.rendered.secret(&key.name, &key.key)) };
        }
        let field = source.field_ref.as_ref().map(|field| field.field_path.as_str());
        Some(match field {
            Some("metadata.name") => format!("{}-0", self.name),
            Some("metadata.namespace") => self.namespace.clone(),
            Some("status.podIP") => "127.0.0.1".to_owned(),
            _ => panic!("{}: this suite doesn't support the source of {name}", self.name),
        })
    }

    /// Creates the container's volumes as directories in `scratch`. Returns them with their mount paths.
    ///
    /// # Panics
    /// If a volume refers to an object that doesn't exist.
    pub fn volumes(&self, scratch: &Scratch) -> Vec<(PathBuf, String)> {
        self.container().volume_mounts.iter().flatten().map(|mount| (self.mounted(mount, scratch), mount.mount_path.clone())).collect()
    }

    fn mounted(&self, mount: &VolumeMount, scratch: &Scratch) -> PathBuf {
        let volume = self.spec().volumes.iter().flatten().find(|volume| volume.name == mount.name);
        let volume = volume.unwrap_or_else(|| panic!("{} mounts {}, which it doesn't have", self.name, mount.name));
        let directory = scratch.path().join(&self.name).join(&volume.name);
        if !directory.exists() {
            fs::create_dir_all(&directory).expect("the scratch directory can be written");
            self.fill(volume, &directory);
        }
        match &mount.sub_path {
            Some(path) => directory.join(path),
            None => directory,
        }
    }

    fn fill(&self, volume: &Volume, directory: &Path) {
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let secret = self.rendered.secrets.get(name).unwrap_or_else(|| panic!("Secret {name} does not exist"));
            write(secret.iter().map(|(key, value)| (key.as_str(), value.0.as_slice())), source.items.as_deref(), directory);
        } else if let Some(source) = &volume.config_map {
            let texts = self.rendered.config_map(&source.name).data.iter().flatten();
            write(texts.map(|(key, text)| (key.as_str(), text.as_bytes())), source.items.as_deref(), directory);
        } else if let Some(claim) = &volume.persistent_volume_claim {
            let claims = &self.rendered.objects.prerequisites.claims;
            let claimed = claims.iter().any(|it| it.metadata.name.as_ref() == Some(&claim.claim_name));
            assert!(claimed, "{} mounts the claim {}, which isn't rendered", self.name, claim.claim_name);
        } else {
            assert!(volume.empty_dir.is_some(), "{}: this suite doesn't support the type of volume {}", self.name, volume.name);
        }
    }
}

/// Writes the files of a volume: the chosen ones under their chosen paths, or all under their keys.
fn write<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>, chosen: Option<&[KeyToPath]>, directory: &Path) {
    let files: BTreeMap<_, _> = files.collect();
    let names: Vec<(&str, &str)> = match chosen {
        Some(chosen) => chosen.iter().map(|item| (item.key.as_str(), item.path.as_str())).collect(),
        None => files.keys().map(|&key| (key, key)).collect(),
    };
    for (key, path) in names {
        let content = files.get(key).unwrap_or_else(|| panic!("the mounted key {key} does not exist"));
        fs::write(directory.join(path), content).expect("the scratch directory can be written");
    }
}

/// Replaces `$(NAME)` by the value of a defined variable, and `$$` by a dollar sign
/// (<https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>).
fn expanded(text: &str, environment: &Environment) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let reference = after.strip_prefix('(').and_then(|name| name.split_once(')'));
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((value, after)) = reference.and_then(|(name, after)| Some((environment.get(name)?, after))) {
            expanded.push_str(value);
            rest = after;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded + rest
}

#[test]
fn variables_are_expanded_as_by_the_kubelet() {
    let environment = Environment::from([("NAME".to_owned(), "shop".to_owned())]);
    assert_eq!(expanded("$(NAME)-$(NONE) $$(NAME) $NAME 5$", &environment), "shop-$(NONE) $(NAME) $NAME 5$");
}
