//! Verifies a presented signature with its owner's secret.

use crate::sigv4::key::{derive, hmac};
use crate::sigv4::parse::basic;
use crate::sigv4::{AuthError, AuthErrorKind, KeyCache, Placement, Presented, is_s3};
use honmaru_base::Time;
use subtle::ConstantTimeEq;

/// How far the two clocks may be apart, in minutes. Ref: "Troubleshoot Signature Version 4": 5, and 15 for s3.
const SKEW_MIN_MAX: i64 = 5;
const SKEW_S3_MIN_MAX: i64 = 15;

/// Verifies a signature at the moment `now`. The signature comes first: only who has the secret learns about skew.
/// Errors: [`AuthErrorKind::Mismatch`] and [`AuthErrorKind::Skewed`].
pub fn verify(presented: &Presented, secret: &str, now: Time, cache: &KeyCache) -> Result<(), AuthError> {
    let Presented {
        date, region, service, ..
    } = presented;
    // No part has a slash in it but the secret, which is the last.
    let scope = [date, "/", region, "/", service, "/", secret].concat();
    let cached = cache.get(&scope);
    let key = cached.unwrap_or_else(|| derive(secret, date, region, service));
    let expected = hmac(&key, presented.string_to_sign.as_bytes());
    let matches = presented
        .signature
        .is_some_and(|signature| bool::from(signature.ct_eq(&expected)));
    if !matches {
        return Err(AuthError::mismatch());
    }
    if cached.is_none() {
        cache.insert(scope, key);
    }
    in_time(presented, now)
}

fn in_time(presented: &Presented, now: Time) -> Result<(), AuthError> {
    let skew_min = if is_s3(&presented.service) {
        SKEW_S3_MIN_MAX
    } else {
        SKEW_MIN_MAX
    };
    let at = presented.at;
    let skewed = |message: String| Err(AuthError::new(AuthErrorKind::Skewed, message));
    if at > now.plus_s(60 * skew_min) {
        return skewed(format!(
            "Signature not yet current: {} is still later than {} ({} + {skew_min} min.)",
            basic(at),
            basic(now.plus_s(60 * skew_min)),
            basic(now),
        ));
    }
    match presented.placement {
        Placement::Header if at < now.plus_s(-60 * skew_min) => skewed(format!(
            "Signature expired: {} is now earlier than {} ({} - {skew_min} min.)",
            basic(at),
            basic(now.plus_s(-60 * skew_min)),
            basic(now),
        )),
        Placement::Query { expires_s } if at.plus_s(expires_s) < now => skewed(format!(
            "Signature expired: {} is now earlier than {} ({} - {expires_s} sec.)",
            basic(at),
            basic(now.plus_s(-expires_s)),
            basic(now),
        )),
        Placement::Header | Placement::Query { .. } => Ok(()),
    }
}
