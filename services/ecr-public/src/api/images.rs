//! The tags of a repository with what they name.

use super::in_registry;
use crate::types::{self, ImageTagDetail, ReferencedImageDetail};
use honmaru_base::ApiError;
use honmaru_ecr::shared::{describe_images, page};
use honmaru_ecr::{Tag, get_repository};
use honmaru_machine::{Call, State};
use honmaru_wire::tree::Tree;
use serde_json::json;

/// Ref: DescribeImageTags: 100 a page unless asked otherwise.
const PAGE: usize = 100;

pub(super) fn describe_tags(
    state: &State,
    call: &Call,
    input: types::DescribeImageTagsRequest,
) -> Result<types::DescribeImageTagsResponse, ApiError> {
    let name = &input.repository_name;
    let (call, _) = in_registry(call, json!({"registryId": input.registry_id}))?;
    get_repository(state, &call.scope, name)?;
    let prefix = Tag::prefix(name);
    let tags = state
        .prefixed::<Tag>(&call.scope, &prefix)
        .map(|(key, tag)| (key.to_owned(), tag));
    let (tags, next_token) = page(tags, input.next_token.as_deref(), input.max_results, PAGE)?;
    let detail = |tag: &Tag| {
        let wanted = json!({"repositoryName": name, "imageIds": [{"imageTag": tag.tag}]});
        let mut described = describe_images(state, &call, wanted)?;
        let image = described.get_mut("imageDetails").and_then(|all| all.get_mut(0));
        let image: ReferencedImageDetail = Tree::from_tree(image.map(serde_json::Value::take).unwrap_or_default());
        // Tags of before this service was there do not know when they were set.
        let set_at = tag.set_at.map(|at| at.as_epoch_s());
        Ok(ImageTagDetail {
            image_tag: Some(tag.tag.clone()),
            created_at: set_at.or(image.image_pushed_at),
            image_detail: Some(image),
        })
    };
    let details = tags.into_iter().map(detail).collect::<Result<_, ApiError>>()?;
    Ok(types::DescribeImageTagsResponse {
        image_tag_details: Some(details),
        next_token,
    })
}
