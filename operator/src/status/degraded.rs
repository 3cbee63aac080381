//! Derives the condition `Degraded`.

use super::{Issues, Outcome, conditions::ConditionState, installation};
use crate::observed::DatabaseFindings;

/// Inputs of `Degraded` besides the outcome of the reconcile.
pub struct DegradedInputs<'a> {
    /// Findings about the database.
    pub database: &'a DatabaseFindings,
    /// Issues of the parts; `None` if pods could not be listed.
    pub issues: Option<&'a Issues>,
    /// Unreadable signing keys. Running pods still serve.
    pub signing_keys: Option<ConditionState>,
    /// A failure of mail or autoscaling, without which the shop still serves.
    pub mail_or_autoscaling: Option<ConditionState>,
    /// Type and state of the condition because of which a Catalog that has served is not ready.
    pub failing_condition: Option<(&'static str, &'a ConditionState)>,
}

/// Derives `Degraded`. `None` if it is unknown.
pub fn degraded(outcome: &Outcome, inputs: DegradedInputs<'_>) -> Option<ConditionState> {
    let of_outcome = of_outcome(outcome);
    let failures: Vec<_> = inputs.issues.into_iter().flat_map(Issues::failures).collect();
    let of_pods = failures.first().map(|first| {
        let all: Vec<_> = failures.iter().map(ToString::to_string).collect();
        ConditionState::yes(&first.reason, all.join("; "))
    });
    let of_database = installation::problem(inputs.database);
    if let Some(first) = of_outcome {
        // Database and pods may fail for another reason, so all messages are reported.
        return join([Some(first), of_database, of_pods, inputs.signing_keys]);
    }
    if of_database.is_none() && inputs.issues.is_none() {
        return None;
    }
    let failing_condition =
        inputs.failing_condition.map(|(kind, state)| ConditionState::yes(&state.reason, format!("{kind}: {}", state.message)));
    // Pods may fail because of a signing key.
    join([of_database.or(of_pods).or(failing_condition), inputs.signing_keys])
        .or(inputs.mail_or_autoscaling)
        .or_else(|| Some(ConditionState::no("Healthy", "nothing is wrong")))
}

/// Returns the reason of the first state, and the messages of all.
fn join<const N: usize>(states: [Option<ConditionState>; N]) -> Option<ConditionState> {
    states.into_iter().flatten().reduce(|first, other| ConditionState { message: format!("{}; {}", first.message, other.message), ..first })
}

/// Derives the state from an outcome in which the spec is not applied.
fn of_outcome(outcome: &Outcome) -> Option<ConditionState> {
    match outcome {
        Outcome::Rejected(problems, error) => {
            let restoring = error.as_ref().map(|error| format!("; not all objects of the last applied spec are restored: {error}"));
            let message = format!("{problems}{}", restoring.unwrap_or_default());
            Some(ConditionState::yes(problems.0.first().map_or("Refused", |problem| problem.reason.as_str()), message))
        }
        Outcome::Failed(error) => Some(ConditionState::yes(error.reason(), error.to_string())),
        Outcome::Paused | Outcome::Migrating { .. } | Outcome::Applied(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observed::DatabaseProblem,
        status::issue::{Issue, Source},
        validate::{Problem, Problems, Reason},
    };

    fn degraded_state(outcome: &Outcome, issues: Option<&Issues>, api: Option<&ConditionState>) -> Option<ConditionState> {
        let failing_condition = api.map(|state| ("ApiAvailable", state));
        let database = &DatabaseFindings::default();
        degraded(outcome, DegradedInputs { database, issues, signing_keys: None, mail_or_autoscaling: None, failing_condition })
    }

    fn crash_loop() -> Issues {
        let issue = Issue {
            component: "api".into(),
            source: Source::Pod,
            reason: "CrashLoopBackOff".into(),
            object: "Pod shop-api-1".into(),
            message: "api ended with exit code 1".into(),
            is_failure: true,
            until: None,
        };
        Issues { list: vec![issue], ..Issues::default() }
    }

    #[test]
    fn a_catalog_that_is_no_longer_ready_is_degraded_even_without_an_issue() {
        let unready = ConditionState::no("Unavailable", "0 of 2 pods are available");
        let found = degraded_state(&Outcome::Applied(Vec::new()), Some(&Issues::default()), Some(&unready)).unwrap();
        assert_eq!(found, ConditionState::yes("Unavailable", "ApiAvailable: 0 of 2 pods are available"));
        let found = degraded_state(&Outcome::Applied(Vec::new()), Some(&crash_loop()), Some(&unready)).unwrap();
        assert_eq!(found.reason, "CrashLoopBackOff", "an issue is more specific than the condition");
        assert!(!degraded_state(&Outcome::Applied(Vec::new()), Some(&Issues::default()), None).unwrap().holds);
        assert_eq!(degraded_state(&Outcome::Applied(Vec::new()), None, Some(&unready)), None, "pods could not be listed");
    }

    #[test]
    fn a_lost_volume_and_failing_pods_are_reported_together_with_a_rejected_spec() {
        let problem = Problem { path: "spec.mail".into(), reason: Reason::SecretNotFound, message: "there is no Secret mail".into() };
        let lost = DatabaseFindings { problem: Some(DatabaseProblem::VolumeLost("the volume is lost".into())), ..Default::default() };
        let inputs = DegradedInputs {
            database: &lost,
            issues: Some(&crash_loop()),
            signing_keys: None,
            mail_or_autoscaling: None,
            failing_condition: None,
        };
        let found = degraded(&Outcome::Rejected(Problems(vec![problem]), None), inputs).unwrap();
        assert_eq!(found.reason, "SecretNotFound");
        assert_eq!(found.message, "spec.mail: there is no Secret mail; the volume is lost; Pod shop-api-1: api ended with exit code 1");
    }
}
